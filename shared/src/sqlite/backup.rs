//! Copies of the files while they are in use, all of one moment, and putting them back.
//!
//! These calls block: run them on a thread of their own.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::BUSY;
use crate::data_dir::PARTIAL;

/// Pages copied at once.
const PAGES: std::ffi::c_int = 1_024;

/// Why files were not copied or not put back; whatever was there before still is.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is in the way: nothing was changed.
    #[error("`{0}` exists already")]
    Exists(PathBuf),
    /// SQLite found it damaged.
    #[error("`{path}` is damaged: {finding}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What SQLite says.
        finding: String,
    },
    /// The file could not be read or written as a database.
    #[error("`{path}` does not work as a database")]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file could not be read or written.
    #[error("`{path}` cannot be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl BackupError {
    /// The same about the file that was copied.
    fn of(self, from: &Path) -> Self {
        match self {
            Self::Damaged { finding, .. } => Self::Damaged { path: from.to_owned(), finding },
            Self::Database { source, .. } => Self::Database { path: from.to_owned(), source },
            other => other,
        }
    }
}

fn database(path: &Path) -> impl FnOnce(rusqlite::Error) -> BackupError {
    move |source| BackupError::Database { path: path.to_owned(), source }
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::File { path: path.to_owned(), source }
}

/// Copies files that may be in use to new ones, given as (from, to): all as of one moment.
///
/// Writers of every file are held for that moment, in the order given; readers are not. `Ok` promises that the copies
/// are durable, whole, and single files.
///
/// # Errors
/// If a target exists, or a file cannot be read or written; no target is left behind then.
pub fn backup(files: &[(&Path, &Path)]) -> Result<(), BackupError> {
    refuse_existing(files)?;
    let copied = copy_all(files);
    if copied.is_err() {
        drop_partials(files);
    }
    copied
}

fn copy_all(files: &[(&Path, &Path)]) -> Result<(), BackupError> {
    let snapshots = snapshots(files)?;
    for (snapshot, (from, to)) in snapshots.iter().zip(files) {
        let partial = partial(to);
        remove_if_there(&partial)?;
        // What cannot be copied, or is no database once it is, was so before.
        copy(snapshot, &partial).map_err(database(from))?;
        check(&partial).map_err(|error| error.of(from))?;
        sync(&partial)?;
    }
    put_in_place(files)
}

/// Puts files in place, given as (copy, target): databases and others. The caller owns the data directory, so that nothing
/// else has the targets open, and has looked at the copies. `prepare` changes what was copied before it is in place; it is
/// given the target, and where its copy lies until then.
///
/// Everything is written beside the targets first, under names that end in `.partial`. Until the first of them is in place,
/// a failure takes them back and the targets are as they were. From then on what was not put in place stays beside its
/// target, and whoever would start on the directory sees that it is neither the old nor the new one.
///
/// # Errors
/// If a target exists and `replace` is not set, or a file cannot be read or written.
pub fn restore<E: From<BackupError>>(
    files: &[(&Path, &Path)],
    replace: bool,
    prepare: impl FnMut(&Path, &Path) -> Result<(), E>,
) -> Result<(), E> {
    if !replace {
        refuse_existing(files)?;
    }
    let written = write_partials(files, prepare);
    if written.is_err() {
        drop_partials(files);
    }
    written?;
    for (_, to) in files {
        // A log of the former file must not be applied to the new one.
        for suffix in ["-wal", "-shm"] {
            remove_if_there(&beside(to, suffix))?;
        }
    }
    Ok(put_in_place(files)?)
}

fn write_partials<E: From<BackupError>>(
    files: &[(&Path, &Path)],
    mut prepare: impl FnMut(&Path, &Path) -> Result<(), E>,
) -> Result<(), E> {
    for (from, to) in files {
        let partial = partial(to);
        remove_if_there(&partial)?;
        copy_private(from, &partial).map_err(file(to))?;
        prepare(to, &partial)?;
        sync(&partial)?;
    }
    Ok(())
}

/// Whatever the mode of the copy, what is put in place is for its owner only.
fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut target).map(drop)
}

/// Takes back what was written and is not in place. What cannot be removed is seen by the next start.
fn drop_partials(files: &[(&Path, &Path)]) {
    for (_, to) in files {
        let partial = partial(to);
        for suffix in ["", "-wal", "-shm", "-journal"] {
            drop(remove_if_there(&beside(&partial, suffix)));
        }
    }
}

/// Makes a database one file again that was changed through a log, and closes it.
///
/// # Errors
/// If it cannot be written.
pub fn seal(connection: Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.close().map_err(|(_, error)| error)
}

fn refuse_existing(files: &[(&Path, &Path)]) -> Result<(), BackupError> {
    match files.iter().find(|(_, to)| to.exists()) {
        Some((_, to)) => Err(BackupError::Exists((*to).to_owned())),
        None => Ok(()),
    }
}

/// Read transactions that all began while every file's write lock was held.
fn snapshots(files: &[(&Path, &Path)]) -> Result<Vec<Connection>, BackupError> {
    let begin = |path: &Path, sql: &str| -> Result<Connection, BackupError> {
        let connection = open(path).map_err(database(path))?;
        connection.execute_batch(sql).map_err(database(path))?;
        Ok(connection)
    };
    let locks =
        files.iter().map(|(from, _)| begin(from, "BEGIN IMMEDIATE")).collect::<Result<Vec<_>, _>>()?;
    // The snapshot is taken by the first read, not by BEGIN.
    let look = "BEGIN; SELECT count(*) FROM sqlite_schema";
    let snapshots = files.iter().map(|(from, _)| begin(from, look)).collect::<Result<Vec<_>, _>>()?;
    // Closing rolls back: nothing was written.
    drop(locks);
    Ok(snapshots)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn copy(snapshot: &Connection, to: &Path) -> rusqlite::Result<()> {
    let mut target = Connection::open(to)?;
    target.pragma_update(None, "synchronous", "FULL")?;
    Backup::new(snapshot, &mut target)?.run_to_completion(PAGES, Duration::ZERO, None)?;
    // The copy carries the source's mode; a single file has no log beside it.
    seal(target)
}

fn check(path: &Path) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(database(path))?;
    let finding: String =
        connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(database(path))?;
    if finding == "ok" { Ok(()) } else { Err(BackupError::Damaged { path: path.to_owned(), finding }) }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn partial(path: &Path) -> PathBuf {
    beside(path, PARTIAL)
}

fn remove_if_there(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(path)(error)),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|opened| opened.sync_all()).map_err(file(path))
}

fn put_in_place(files: &[(&Path, &Path)]) -> Result<(), BackupError> {
    for (_, to) in files {
        fs::rename(partial(to), to).map_err(file(to))?;
    }
    for (_, to) in files {
        sync(to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new(".")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::sqlite::Db;

    const SCHEMA: &[&str] = &["CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB NOT NULL) STRICT"];

    fn count(path: &Path) -> i64 {
        Connection::open(path).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn copies_of_files_in_use_are_of_one_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let open = |name: &str| Db::open(&path(name), SCHEMA, std::time::Duration::ZERO).unwrap();
        let (first, second) = (open("a.db"), open("b.db"));
        for db in [&first, &second] {
            db.write(|c| c.execute("INSERT INTO t (v) VALUES (x'07')", [])).await.unwrap();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn({
            let stop = Arc::clone(&stop);
            async move {
                let insert = |db: &Db| {
                    let db = db.clone();
                    async move {
                        let row = vec![7_u8; 2_000];
                        db.write(move |c| c.execute("INSERT INTO t (v) VALUES (?1)", [row])).await.unwrap()
                    }
                };
                while !stop.load(Ordering::SeqCst) {
                    // Never is anything in the second that is not in the first.
                    insert(&first).await;
                    insert(&second).await;
                }
            }
        });
        for round in 0..5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let (a, b) = (path(&format!("a{round}.copy")), path(&format!("b{round}.copy")));
            let (from_a, from_b) = (path("a.db"), path("b.db"));
            let (to_a, to_b) = (a.clone(), b.clone());
            tokio::task::spawn_blocking(move || backup(&[(&from_a, &to_a), (&from_b, &to_b)]))
                .await
                .unwrap()
                .unwrap();
            let ahead = count(&a) - count(&b);
            assert!((0..=1).contains(&ahead), "{ahead}");
            assert!(count(&b) > 0 && !beside(&a, "-wal").exists());
        }
        stop.store(true, Ordering::SeqCst);
        writer.await.unwrap();
    }

    #[test]
    fn what_is_put_back_replaces_only_when_told_and_leaves_no_old_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let source = super::super::connect(&path("a.db")).unwrap();
        source.execute_batch(SCHEMA[0]).unwrap();
        source.execute_batch("INSERT INTO t (v) VALUES (x'00')").unwrap();
        let (from, copy) = (path("a.db"), path("copy"));
        backup(&[(&from, &copy)]).unwrap();
        assert!(matches!(backup(&[(&from, &copy)]), Err(BackupError::Exists(_))));
        source.execute_batch("INSERT INTO t (v) VALUES (x'01')").unwrap();
        // As a crash leaves it: the log stays.
        std::mem::forget(source);
        assert!(beside(&from, "-wal").exists());
        let as_it_is = |_: &Path, _: &Path| Ok::<(), BackupError>(());
        assert!(matches!(restore(&[(&copy, &from)], false, as_it_is), Err(BackupError::Exists(_))));
        let refuse = |to: &Path, _: &Path| Err(BackupError::Exists(to.to_owned()));
        assert!(restore(&[(&copy, &from)], true, refuse).is_err());
        assert!(count(&from) == 2 && !partial(&from).exists());
        restore(&[(&copy, &from)], true, as_it_is).unwrap();
        assert_eq!(count(&from), 1);
    }
}
