//! What lies there, and what is removed of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use super::{Place, UNFINISHED, file::Found};
use crate::domain::Timestamp;

/// Files removed in one step at the most.
const REMOVED: usize = 1_000;

/// Every folder that may hold files, below `root`.
pub(super) fn folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut ahead) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && entry.file_name() != UNFINISHED {
                ahead.push(entry.path());
            }
        }
        if folder != root {
            found.push(folder);
        }
    }
    Ok(found)
}

/// The files of a folder. One that is removed meanwhile is none.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(of) if of.is_file() => found.push((entry.path(), of)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(found)
}

/// Bytes of everything.
pub(super) fn used(root: &Path) -> io::Result<u64> {
    let mut sum = 0_u64;
    for folder in folders(root)? {
        sum += files(&folder)?.iter().map(|(_, of)| of.len()).sum::<u64>();
    }
    Ok(sum)
}

/// Looks through one folder, of a list that is made when the last is through; whether there is more to do now.
pub(super) fn step(place: &Place, before: Timestamp) -> io::Result<bool> {
    let next = place.folders.lock().pop();
    let Some(folder) = next else {
        let mut list = place.folders.lock();
        *list = folders(&place.root)?;
        return Ok(!list.is_empty());
    };
    let mut removed = 0;
    for (path, of) in files(&folder)? {
        // Damage tells no moment: such a file is as old as the system says.
        let old = || match Found::open(&path) {
            Ok(found) => found.head.put_at < before,
            Err(_) => modified(&of).is_some_and(|at| at < before),
        };
        if !old() {
            continue;
        }
        let _placing = place.placing.lock();
        // It may have been put again since.
        if old() && path.metadata().is_ok_and(|now| now.len() == of.len()) {
            fs::remove_file(&path)?;
            place.used.fetch_sub(of.len(), Ordering::AcqRel);
            removed += 1;
        }
        if removed >= REMOVED {
            place.folders.lock().push(folder);
            return Ok(true);
        }
    }
    Ok(!place.folders.lock().is_empty())
}

fn modified(of: &fs::Metadata) -> Option<Timestamp> {
    let since = of.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp::from_millis)
}
