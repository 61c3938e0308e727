//! All files at once: to look at them, and to copy them beside whoever runs.

use std::{fs, io, path::Path};

use super::{
    UNFINISHED,
    expiry::{files, folders},
    file::{self, Found},
};
use crate::blobs::{Blob, BlobError};

/// What a copy came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Blobs that were copied.
    pub copied: u64,
    /// Blobs that were there already, put as late or later.
    pub kept: u64,
    /// Blobs that are damaged, and were left out.
    pub damaged: u64,
}

fn sound(path: &Path) -> Result<(Found, Blob), BlobError> {
    let head = Found::open(path)?;
    let blob = Blob::new(head.head.media_type, Found::open(path)?.content()?);
    if *blob.digest() == head.head.digest {
        Ok((head, blob))
    } else {
        Err(BlobError::Damaged("it has another digest"))
    }
}

fn name<'a>(root: &Path, path: &'a Path) -> &'a Path {
    path.strip_prefix(root).unwrap_or(path)
}

/// Reads every blob below a folder; a sentence for each that is not what it was. None if there is no such folder.
///
/// # Errors
/// If the operating system refuses.
pub fn inspect(root: &Path) -> io::Result<Vec<String>> {
    let mut told = Vec::new();
    if !root.exists() {
        return Ok(told);
    }
    for folder in folders(root)? {
        for (path, _) in files(&folder)? {
            match sound(&path) {
                Ok(_) | Err(BlobError::Gone) => {}
                Err(error) => told.push(format!("{}: {error}", name(root, &path).display())),
            }
        }
    }
    Ok(told)
}

/// Copies every sound blob below a folder into another, with the moment at which it was put. One that is there already, put
/// as late or later, stays.
///
/// # Errors
/// If the operating system refuses.
pub fn copy(from: &Path, to: &Path) -> io::Result<Copied> {
    let mut done = Copied::default();
    if !from.exists() {
        return Ok(done);
    }
    file::make_folders(to, Path::new(UNFINISHED))?;
    for folder in folders(from)? {
        for (path, _) in files(&folder)? {
            let (found, blob) = match sound(&path) {
                Ok(sound) => sound,
                Err(BlobError::Gone) => continue,
                Err(BlobError::Away(error)) => return Err(io::Error::other(error)),
                Err(_) => {
                    done.damaged += 1;
                    continue;
                }
            };
            let target = to.join(name(from, &path));
            if sound_since(&target, &found) {
                done.kept += 1;
                continue;
            }
            file::make_folders(to, name(from, &folder))?;
            let head = file::Head::of(&blob, found.head.put_at);
            let unfinished = file::write(&to.join(UNFINISHED), &head, blob.content())?;
            fs::rename(unfinished, &target)?;
            file::sync(target.parent().unwrap_or(to))?;
            done.copied += 1;
        }
    }
    Ok(done)
}

fn sound_since(target: &Path, than: &Found) -> bool {
    sound(target).is_ok_and(|(there, _)| there.head.put_at >= than.head.put_at)
}
