//! The file that anchors are written to: a line for each, the latest last.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{Anchor, AuditKey, NotAnAnchor};

/// Beyond this the older half of the file goes: links follow from one another, so that the latest anchors say all.
const LARGEST: u64 = 1024 * 1024;

/// More than this is not read: no file of ours is so large.
const MOST: u64 = 16 * LARGEST;

/// How long a writer waits for another.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(10);

/// Where anchors are kept. Its calls block.
#[derive(Debug, Clone)]
pub struct AnchorFile {
    path: PathBuf,
}

impl AnchorFile {
    /// It need not be there yet.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends lines and syncs them. Writers of several processes wait for one another, for at most two seconds.
    ///
    /// # Errors
    /// If it cannot be written in time.
    pub fn append(&self, anchors: &[Anchor]) -> io::Result<()> {
        if anchors.is_empty() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        lock(&file)?;
        let mut lines: String = anchors.iter().map(|anchor| anchor.line() + "\n").collect();
        if file.metadata()?.len() > LARGEST {
            shorten(&mut file)?;
        }
        if !ends_a_line(&mut file)? {
            // A writer died in the middle of a line: that line is told, and harms no other.
            lines.insert(0, '\n');
        }
        file.write_all(lines.as_bytes())?;
        file.sync_all()
    }

    /// Every line that is no empty one, in order, with its number: an anchor, or why it is none. Nothing, where there is no
    /// file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, key: &AuditKey) -> io::Result<Vec<(usize, Result<Anchor, NotAnAnchor>)>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        if file.metadata()?.len() > MOST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is too large to be a file of anchors",
            ));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        Ok(lines.map(|(index, line)| (index + 1, Anchor::read(key, line))).collect())
    }
}

fn lock(file: &File) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= PATIENCE => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds it"));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(AGAIN),
        }
    }
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Leaves the newer half. A crash in between leaves fewer anchors, and every later one says more than those that went.
fn shorten(file: &mut File) -> io::Result<()> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    let half = text.len() / 2;
    let from = text.iter().skip(half).position(|byte| *byte == b'\n').map_or(half, |at| half + at + 1);
    let newer = text.split_off(from);
    file.set_len(0)?;
    file.write_all(&newer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{AnchorKind, Chain, Head},
        domain::Timestamp,
        keys::Secret,
    };

    fn key() -> AuditKey {
        AuditKey::new(&Secret::new([7; 32]))
    }

    fn anchor(sequence: i64) -> Anchor {
        let head = Head { sequence, hash: "0".repeat(64) };
        Anchor::new(&key(), AnchorKind::Head, Chain::Ledger, head, Timestamp::from_millis(sequence))
    }

    fn read(file: &AnchorFile) -> Vec<Option<i64>> {
        let lines = file.read(&key()).unwrap();
        lines.into_iter().map(|(_, line)| line.ok().map(|anchor| anchor.sequence)).collect()
    }

    #[test]
    fn a_line_that_was_cut_short_is_told_and_harms_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = AnchorFile::at(dir.path().join("anchors"));
        assert!(read(&file).is_empty());
        file.append(&[anchor(1), anchor(2)]).unwrap();
        let whole = std::fs::read(file.path()).unwrap();
        std::fs::write(file.path(), &whole[..whole.len() - 9]).unwrap();
        file.append(&[anchor(3)]).unwrap();
        assert_eq!(read(&file), [Some(1), None, Some(3)]);
    }

    #[test]
    fn the_file_is_bounded_and_keeps_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let file = AnchorFile::at(dir.path().join("anchors"));
        let many: Vec<Anchor> = (1..6_000).map(anchor).collect();
        file.append(&many).unwrap();
        assert!(std::fs::metadata(file.path()).unwrap().len() > LARGEST);
        file.append(&[anchor(6_000)]).unwrap();
        assert!(std::fs::metadata(file.path()).unwrap().len() < LARGEST);
        let left = read(&file);
        assert_eq!(left.last(), Some(&Some(6_000)));
        assert!(left.len() > 1_000 && left.iter().all(Option::is_some));
    }

    #[test]
    fn many_writers_lose_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchors");
        thread::scope(|scope| {
            for writer in 0..4 {
                let file = AnchorFile::at(path.clone());
                scope.spawn(move || {
                    for number in 0..10 {
                        file.append(&[anchor(writer * 100 + number)]).unwrap();
                    }
                });
            }
        });
        assert_eq!(read(&AnchorFile::at(path)).into_iter().flatten().count(), 40);
    }
}
