//! Append-only journals of what each side saw, one JSON line for each thing.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::Context;
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};

/// A journal that is being written. A line is one `write(2)`: a process that is killed leaves whole lines.
#[derive(Debug)]
pub struct Journal(Mutex<File>);

impl Journal {
    /// Opens a journal to append to it.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Ok(Self(Mutex::new(file.with_context(|| format!("opening {}", path.display()))?)))
    }

    /// Writes one line.
    ///
    /// # Errors
    /// If the file does not take it.
    pub fn append<T: Serialize>(&self, entry: &T) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        Ok(self.0.lock().write_all(&line)?)
    }
}

/// Everything in a journal, in order; nothing if it was never begun.
///
/// # Errors
/// If a line is not what belongs there.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let parse = |line: &str| serde_json::from_str(line).with_context(|| format!("line `{line}`"));
    text.lines().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        assert_eq!(read::<u32>(&path).unwrap(), Vec::<u32>::new());
        for part in [[1, 2], [3, 4]] {
            let journal = Journal::open(&path).unwrap();
            part.iter().for_each(|n| journal.append(n).unwrap());
        }
        assert_eq!(read::<u32>(&path).unwrap(), [1, 2, 3, 4]);
    }
}
