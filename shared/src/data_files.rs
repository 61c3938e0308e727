//! The data files of a deployment with embedded engines, as one: whether a process may begin on them.
//!
//! The first start makes them in a fixed order and writes nothing into any before all are there. So a file that is missing
//! or empty although a later one is there, or although another holds something, was there once: to make it anew would
//! begin a second life beside the first one's data.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    catalog,
    data_dir::DataDir,
    engines::{CatalogEngine, Engines, LedgerEngine, QueueEngine, TopicEngine},
    ledger, queue,
    sqlite::{Depth, Unsound, holds_rows, inspect as inspect_file},
    topic,
};

/// A file and the schema that it is written with.
type DataFile = (PathBuf, &'static [&'static str]);

/// The files of these engines, in the order in which the first start makes them.
fn files(engines: &Engines, dir: &DataDir) -> Vec<DataFile> {
    let mut files: Vec<DataFile> = Vec::new();
    if let QueueEngine::Sqlite { .. } = engines.queue {
        files.push((dir.queue(), queue::SCHEMA));
    }
    if let TopicEngine::Sqlite { .. } = engines.topic {
        files.push((dir.topic(), topic::SCHEMA));
    }
    if let LedgerEngine::Sqlite {} = engines.ledger {
        files.push((dir.ledger(), ledger::MIGRATIONS));
    }
    if let CatalogEngine::Sqlite {} = engines.catalog {
        files.push((dir.catalog(), catalog::SCHEMA));
    }
    files
}

/// Everything that is wrong with the data files, each as an error that names one; none before the first start.
/// Nothing is written.
#[must_use]
pub fn inspect(engines: &Engines, dir: &DataDir, depth: Depth) -> Vec<Unsound> {
    let files = files(engines, dir);
    let mut found = Vec::new();
    let mut absent = Vec::new();
    let mut present = 0;
    let mut used = false;
    for (path, schema) in &files {
        match inspect_file(path, schema, depth) {
            Err(unsound @ (Unsound::Gone(_) | Unsound::Empty(_))) => absent.push((present, unsound)),
            Err(unsound) => {
                present += 1;
                found.push(unsound);
            }
            Ok(()) => {
                present += 1;
                used |= holds_rows(path).unwrap_or(true);
            }
        }
    }
    // One that was made before another that is there, or beside something that is held, is no beginning.
    let used = used || !found.is_empty();
    let lost = absent.into_iter().filter(|(before, unsound)| {
        used || *before < present || has_log(path_of(unsound).unwrap_or_else(|| Path::new("")))
    });
    found.extend(lost.map(|(_, unsound)| unsound));
    found
}

/// Whether any data file is there: then there were secrets that it was written with.
#[must_use]
pub fn any(engines: &Engines, dir: &DataDir) -> bool {
    files(engines, dir).iter().any(|(path, _)| path.metadata().is_ok_and(|found| found.len() > 0))
}

fn path_of(unsound: &Unsound) -> Option<&Path> {
    match unsound {
        Unsound::Gone(path) | Unsound::Empty(path) => Some(path),
        _ => None,
    }
}

/// A log without its file: SQLite would drop it.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let size: io::Result<u64> = Path::new(&log).metadata().map(|found| found.len());
    size.is_ok_and(|size| size > 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{ledger::SqliteLedger, sqlite::Db};

    fn begun() -> (tempfile::TempDir, DataDir) {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::acquire(&root.path().join("data")).unwrap();
        for (path, schema) in files(&Engines::default(), &dir) {
            drop(Db::open(&path, schema, std::time::Duration::ZERO).unwrap());
        }
        (root, dir)
    }

    fn found(dir: &DataDir) -> Vec<String> {
        inspect(&Engines::default(), dir, Depth::Start).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_beginning_of_any_length_is_no_damage() {
        let (_root, dir) = begun();
        assert_eq!(found(&dir), Vec::<String>::new());
        for (path, _) in files(&Engines::default(), &dir).iter().rev() {
            fs::write(path, "").unwrap();
            for suffix in ["-wal", "-shm"] {
                let mut log = path.as_os_str().to_owned();
                log.push(suffix);
                drop(fs::remove_file(log));
            }
            assert_eq!(found(&dir), Vec::<String>::new(), "{}", path.display());
            fs::remove_file(path).unwrap();
            assert_eq!(found(&dir), Vec::<String>::new(), "{}", path.display());
        }
        assert!(!any(&Engines::default(), &dir));
    }

    #[test]
    fn a_missing_file_beside_later_ones_or_beside_data_is_told() {
        let (_root, dir) = begun();
        fs::remove_file(dir.topic()).unwrap();
        let told = found(&dir);
        assert!(told.len() == 1 && told[0].contains("topic.db is gone"), "{told:?}");
        let (_root, dir) = begun();
        fs::remove_file(dir.catalog()).unwrap();
        let connection = crate::sqlite::connect(&dir.ledger()).unwrap();
        connection.execute("INSERT INTO meta (name, value) VALUES ('x', 1)", []).unwrap();
        let told = found(&dir);
        assert!(told.len() == 1 && told[0].contains("catalog.db is gone"), "{told:?}");
    }

    #[test]
    fn a_file_in_another_s_place_and_one_of_a_newer_program_are_told() {
        let (_root, dir) = begun();
        let connection = crate::sqlite::connect(&dir.ledger()).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let told = found(&dir);
        assert!(told[0].contains("ledger.db has schema version 99"), "{told:?}");
        assert!(SqliteLedger::open(&dir.ledger()).is_err());
        let (_root, dir) = begun();
        let connection = crate::sqlite::connect(&dir.queue()).unwrap();
        connection.pragma_update(None, "application_id", 7).unwrap();
        let told = found(&dir);
        assert!(told[0].contains("queue.db is another program's"), "{told:?}");
    }
}
