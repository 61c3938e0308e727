//! `naru backup` and `naru restore`: everything as of one moment.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use naru_shared::{
    data_dir::{DataDir, write_private},
    domain::Timestamp,
    key_file,
    ledger::mark_restored,
    sqlite::backup as files,
};
use serde::{Deserialize, Serialize};

use crate::{config::Config, desk::Desk, exit::Failure, output::Output};

/// Says what a copy is, and when it was made. Written last: a copy without it is not whole.
const MANIFEST: &str = "backup.json";

#[derive(Serialize, Deserialize)]
struct Manifest {
    made_at: Timestamp,
    files: Vec<String>,
}

#[derive(Serialize)]
struct Restored {
    made_at: Timestamp,
    held: usize,
}

/// The files of a directory that are copied, in the order in which their writers are held.
fn parts(dir: &DataDir) -> [PathBuf; 4] {
    [dir.queue(), dir.ledger(), dir.topic(), dir.catalog()]
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn pairs<'a>(from: &'a [PathBuf], to: &'a [PathBuf]) -> Vec<(&'a Path, &'a Path)> {
    from.iter().zip(to).map(|(from, to)| (from.as_path(), to.as_path())).collect()
}

/// Copies the data directory into a new directory, while a process runs on it or while none does.
///
/// # Errors
/// [`Failure::Conflict`] if the target exists; else if a file cannot be read or written.
pub fn backup(desk: &Desk, target: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().mode(0o700).create(target) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let taken =
                format!("{} exists already: a copy goes into a directory of its own", target.display());
            return Err(Failure::Conflict(taken).into());
        }
        made => made.with_context(|| format!("cannot make {}", target.display()))?,
    }
    let sources: Vec<PathBuf> = parts(&desk.dir).into_iter().filter(|path| path.exists()).collect();
    let copies: Vec<PathBuf> = sources.iter().map(|path| target.join(name_of(path))).collect();
    files::backup(&pairs(&sources, &copies))?;
    let keys = fs::read(desk.dir.keys()).context("the deployment's secrets cannot be read")?;
    write_private(&target.join(name_of(&desk.dir.keys())), &keys)?;
    // After the moment of the copy: what was accepted in between is not in it, and is not harmed by being thought so.
    let manifest =
        Manifest { made_at: desk.now(), files: sources.iter().map(|path| name_of(path)).collect() };
    write_private(&target.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    let sentence = format!("copied as of {} into {}; it holds secrets", manifest.made_at, target.display());
    desk.out.said(&manifest, &sentence)
}

/// Puts a copy in place. What had not ended when it was made may have been sent since: it waits for a person.
///
/// # Errors
/// If a process runs on the data directory, the copy is not whole, or something would be replaced unasked.
pub async fn restore(config: Config, out: Output, copy: PathBuf, replace: bool) -> anyhow::Result<()> {
    let manifest = fs::read(copy.join(MANIFEST))
        .with_context(|| format!("{} is not a whole copy: {MANIFEST} cannot be read", copy.display()))?;
    let manifest: Manifest = serde_json::from_slice(&manifest).context("the copy's manifest is damaged")?;
    let dir = DataDir::acquire(&config.data)?;
    put_keys(&dir, &copy, replace)?;
    let targets: Vec<PathBuf> =
        parts(&dir).into_iter().filter(|path| manifest.files.contains(&name_of(path))).collect();
    let copies: Vec<PathBuf> = targets.iter().map(|path| copy.join(name_of(path))).collect();
    if !replace && let Some(there) = parts(&dir).iter().find(|path| path.exists()) {
        let why = format!("{} exists: --replace puts the copy in its place", there.display());
        return Err(Failure::Conflict(why).into());
    }
    files::restore(&pairs(&copies, &targets), replace)?;
    let held = if dir.ledger().exists() { mark_restored(&dir.ledger(), manifest.made_at)? } else { 0 };
    let made_at = manifest.made_at;
    let sentence = format!(
        "the copy of {made_at} is in place; {held} messages that had not ended wait for a person (naru uncertain list)"
    );
    out.said(&Restored { made_at, held }, &sentence)
}

fn put_keys(dir: &DataDir, copy: &Path, replace: bool) -> anyhow::Result<()> {
    let (path, copied) = (dir.keys(), copy.join("keys.toml"));
    key_file::load(&copied)?;
    let wanted = fs::read(&copied)?;
    match fs::read(&path) {
        Ok(there) if there == wanted => return Ok(()),
        Ok(_) if !replace => {
            let why =
                format!("{} holds other secrets: --replace puts the copy's in their place", path.display());
            return Err(Failure::Conflict(why).into());
        }
        Ok(_) => fs::remove_file(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(write_private(&path, &wanted)?)
}
