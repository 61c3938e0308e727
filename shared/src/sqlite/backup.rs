//! Copies of the files while they are in use, all of one moment, and putting them back.
//!
//! These calls block: run them on a thread of their own.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::BUSY;

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
    let snapshots = snapshots(files)?;
    for (snapshot, (_, to)) in snapshots.iter().zip(files) {
        let partial = partial(to);
        remove_if_there(&partial)?;
        copy(snapshot, &partial).map_err(database(&partial))?;
        sync(&partial)?;
    }
    put_in_place(files)
}

/// Puts copies in place, given as (copy, target), after checking that they are whole. The caller owns the data
/// directory: nothing else has the targets open.
///
/// # Errors
/// If a copy is damaged, a target exists and `replace` is not set, or a file cannot be read or written.
pub fn restore(files: &[(&Path, &Path)], replace: bool) -> Result<(), BackupError> {
    if !replace {
        refuse_existing(files)?;
    }
    for (from, to) in files {
        check(from)?;
        let partial = partial(to);
        fs::copy(from, &partial).map_err(file(&partial))?;
        sync(&partial)?;
    }
    for (_, to) in files {
        // A log of the former file must not be applied to the new one.
        for suffix in ["-wal", "-shm"] {
            remove_if_there(&beside(to, suffix))?;
        }
    }
    put_in_place(files)
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
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.close().map_err(|(_, error)| error)
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
    beside(path, ".partial")
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
        assert!(matches!(restore(&[(&copy, &from)], false), Err(BackupError::Exists(_))));
        restore(&[(&copy, &from)], true).unwrap();
        assert_eq!(count(&from), 1);
        fs::write(&copy, b"not a database, but long enough to look like one to a careless reader").unwrap();
        assert!(restore(&[(&copy, &from)], true).is_err());
        assert_eq!(count(&from), 1);
    }
}
