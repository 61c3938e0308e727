//! The data directory of an embedded deployment: its files, who may look inside, and who runs on it.
//!
//! One process at a time runs on a directory; it holds `lock` (flock(2), exclusive), which the kernel frees when that
//! process ends, however it ends. The operator's commands open the directory without the lock.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

/// How the name of a file ends that is written and not yet in its place.
pub const PARTIAL: &str = ".partial";

/// How long a start waits for the lock of a process that was ended just before.
const HANDOVER: Duration = Duration::from_secs(2);

/// How the names of Naru's own files begin.
const OWN: [&str; 8] =
    ["lock", "keys.toml", "queue.db", "topic.db", "ledger.db", "catalog.db", "blobs", "audit-anchors.jsonl"];

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Nothing was ever started on it.
    #[error("there is no data directory at {0}: `naru up` makes it")]
    Missing(PathBuf),
    /// Something else is in its place.
    #[error("{0} is not a directory")]
    NotADirectory(PathBuf),
    /// Others may look into it, or write, and it is not for Naru to change that.
    #[error(
        "others may enter {path} (mode {mode:o}), and {why}: `chmod 700` it if it is for Naru alone, or name one \
             that does not exist yet, which is made closed"
    )]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Why they are left as they are.
        why: String,
    },
    /// Another process runs on it.
    #[error("{path} is in use by {holder}; stop it first")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who, in words.
        holder: String,
    },
    /// A restore ended before it was done: its files are neither all old nor all new.
    #[error(
        "{0} is what a restore left that was cut short: repeat it with `naru restore COPY --replace`; nothing starts on \
         files of two lives"
    )]
    HalfRestored(PathBuf),
    /// The operating system refused.
    #[error("cannot use {path}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl DataDirError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// A data directory. While the value of [`DataDir::acquire`] lives, no other process runs on it.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: Option<File>,
}

impl DataDir {
    /// Opens a directory that is there, beside whoever runs on it.
    ///
    /// # Errors
    /// If it is not there or not a directory.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(Self { path: path.to_owned(), lock: None }),
            Ok(_) => Err(DataDirError::NotADirectory(path.to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(DataDirError::Missing(path.to_owned())),
            Err(e) => Err(DataDirError::io(path)(e)),
        }
    }

    /// Makes the directory if need be (mode 0700) and takes it for this process alone.
    ///
    /// # Errors
    /// If another process has it, or the operating system refuses.
    pub fn acquire(path: &Path) -> Result<Self, DataDirError> {
        let existed = path.is_dir();
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(DataDirError::io(path))?;
        if !existed && let Some(parent) = path.parent() {
            sync_dir(parent).map_err(DataDirError::io(parent))?;
        }
        let mut dir = Self::open(path)?;
        dir.close_to_others()?;
        dir.lock = Some(dir.await_lock()?);
        Ok(dir)
    }

    /// Takes the lock; waits for a moment for a process that was killed and whose memory the kernel has not yet taken back.
    fn await_lock(&self) -> Result<File, DataDirError> {
        let begun = Instant::now();
        loop {
            match self.take_lock() {
                Err(DataDirError::InUse { .. }) if begun.elapsed() < HANDOVER => {
                    thread::sleep(Duration::from_millis(20));
                }
                taken => return taken,
            }
        }
    }

    /// What others may do in the directory: its mode, if that is anything.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn open_to_others(&self) -> Result<Option<u32>, DataDirError> {
        let mode = fs::metadata(&self.path).map_err(DataDirError::io(&self.path))?.mode() & 0o7777;
        Ok(Some(mode).filter(|mode| mode & 0o077 != 0))
    }

    /// Takes from others what they may do here. A directory that holds anything else may be somebody else's, or everybody's
    /// (`/tmp`), and is refused as it is.
    fn close_to_others(&self) -> Result<(), DataDirError> {
        let Some(mode) = self.open_to_others()? else { return Ok(()) };
        let refuse = |why: String| DataDirError::OpenToOthers { path: self.path.clone(), mode, why };
        for entry in fs::read_dir(&self.path).map_err(DataDirError::io(&self.path))? {
            let name = entry.map_err(DataDirError::io(&self.path))?.file_name();
            let name = name.to_string_lossy();
            if !OWN.iter().any(|own| name.starts_with(own)) {
                return Err(refuse(format!("it holds `{name}`, which is not Naru's")));
            }
        }
        let closed = fs::Permissions::from_mode(mode & 0o700);
        fs::set_permissions(&self.path, closed).map_err(|_| refuse("it is another user's".to_owned()))?;
        tracing::warn!(path = %self.path.display(), mode = format!("{mode:o}"), "others could enter the data directory: it is closed to them now");
        Ok(())
    }

    /// Whether a process runs on this directory, and which, in words.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn holder(&self) -> Result<Option<String>, DataDirError> {
        if self.lock.is_some() || !self.lock_path().exists() {
            return Ok(None);
        }
        match self.take_lock() {
            Ok(_freed_at_once) => Ok(None),
            Err(DataDirError::InUse { holder, .. }) => Ok(Some(holder)),
            Err(error) => Err(error),
        }
    }

    /// Refuses a directory in which a restore was cut short.
    ///
    /// # Errors
    /// If there is such a file, or the directory cannot be read.
    pub fn refuse_half_restored(&self) -> Result<(), DataDirError> {
        let failed = |source| DataDirError::Io { path: self.path.clone(), source };
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.to_string_lossy().ends_with(PARTIAL) {
                return Err(DataDirError::HalfRestored(path));
            }
        }
        Ok(())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Packs on their way from ingress to intake.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.path.join("queue.db")
    }

    /// Events on their way to subscriptions.
    #[must_use]
    pub fn topic(&self) -> PathBuf {
        self.path.join("topic.db")
    }

    /// The truth about messages, and the outbox.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.path.join("ledger.db")
    }

    /// Customers, credentials, routes and quotas of record.
    #[must_use]
    pub fn catalog(&self) -> PathBuf {
        self.path.join("catalog.db")
    }

    /// Attachments, and packs that a queue did not take.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.path.join("blobs")
    }

    /// The deployment's secrets.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys.toml")
    }

    /// Signed heads of the record of acts.
    #[must_use]
    pub fn anchors(&self) -> PathBuf {
        self.path.join("audit-anchors.jsonl")
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    fn take_lock(&self) -> Result<File, DataDirError> {
        let path = self.lock_path();
        let failed = |e| DataDirError::Io { path: path.clone(), source: e };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // What is written in it is for people only; a holder that has not yet written is told as unknown.
                let read = file.take(64).read_to_string(&mut text);
                let pid = read.ok().and(text.trim().parse::<u32>().ok());
                let holder = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                return Err(DataDirError::InUse { path: self.path.clone(), holder });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(file)
    }
}

/// Whether others than its owner may read or write a file.
///
/// # Errors
/// If it cannot be looked at.
pub fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.mode() & 0o077 != 0)
}

/// Writes a file that only its owner may read, so that after a crash it is there whole or not at all.
///
/// # Errors
/// If the operating system refuses, or the file exists already.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = parent.join(name);
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    // A link, unlike a rename, never replaces what is there.
    fs::hard_link(&temporary, path)?;
    fs::remove_file(&temporary)?;
    sync_dir(parent)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_runner_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        let first = DataDir::acquire(&path).unwrap();
        let second = DataDir::acquire(&path);
        let holder = format!("process {}", std::process::id());
        assert!(matches!(second, Err(DataDirError::InUse { holder: h, .. }) if h == holder));
        assert_eq!(DataDir::open(&path).unwrap().holder().unwrap(), Some(holder));
        drop(first);
        assert_eq!(DataDir::open(&path).unwrap().holder().unwrap(), None);
        DataDir::acquire(&path).unwrap();
    }

    #[test]
    fn a_start_waits_for_one_that_is_just_ending() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        let ending = DataDir::acquire(&path).unwrap();
        let end = thread::spawn(move || {
            thread::sleep(HANDOVER / 4);
            drop(ending);
        });
        DataDir::acquire(&path).unwrap();
        end.join().unwrap();
    }

    #[test]
    fn a_new_directory_is_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Missing(_))));
        let _dir = DataDir::acquire(&path).unwrap();
        assert!(!is_open_to_others(&path).unwrap());
    }

    #[test]
    fn a_private_file_is_never_replaced_and_seen_by_its_owner_only() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("secret");
        write_private(&path, b"one").unwrap();
        assert!(!is_open_to_others(&path).unwrap());
        assert!(write_private(&path, b"two").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(is_open_to_others(&path).unwrap());
    }
}
