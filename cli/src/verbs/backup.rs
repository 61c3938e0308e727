//! `naru backup` and `naru restore`: everything as of one moment.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use naru_shared::{
    audit::{self, AnchorFile, Chain, Scribe},
    blobs::{copy_disk, inspect_disk},
    data_dir::{DataDir, write_private},
    data_files,
    domain::Timestamp,
    key_file,
    ledger::mark_restored,
    sqlite::{Depth, backup as files},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    desk::{Desk, actor},
    exit::Failure,
    output::Output,
};

/// Says what a copy is, and when it was made. Written last: a copy without it is not whole.
const MANIFEST: &str = "backup.json";

/// Why there is no copy of a deployment on shared engines.
const SHARED: &str =
    "the engines are shared: each is copied by its own means (pg_dump, base backups, snapshots)";

#[derive(Serialize, Deserialize)]
struct Manifest {
    made_at: Timestamp,
    files: Vec<String>,
    /// Attachments, each as it lies.
    #[serde(default)]
    blobs: u64,
    /// Attachments that were damaged already.
    #[serde(default, skip_serializing_if = "is_none")]
    damaged_blobs: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

#[derive(Serialize)]
struct Restored {
    made_at: Timestamp,
    held: usize,
    blobs: u64,
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
/// [`Failure::Conflict`] if the target exists; else if a file cannot be read or written, or is damaged. The target is not
/// left behind then.
pub fn backup(desk: &Desk, target: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().mode(0o700).create(target) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let taken =
                format!("{} exists already: a copy goes into a directory of its own", target.display());
            return Err(Failure::Conflict(taken).into());
        }
        made => made.with_context(|| format!("cannot make {}", target.display()))?,
    }
    let made = fill(desk, target);
    if made.is_err() {
        // It was made here, and is no copy. If it cannot be removed, it lacks its manifest all the same.
        drop(fs::remove_dir_all(target));
    }
    let manifest = made?;
    let sentence = format!("copied as of {} into {}; it holds secrets", manifest.made_at, target.display());
    desk.out.said(&manifest, &sentence)
}

fn fill(desk: &Desk, target: &Path) -> anyhow::Result<Manifest> {
    let dir = desk.dir().ok_or_else(|| Failure::Refused(SHARED.to_owned()))?;
    let sources = parts(dir);
    let copies = sources.each_ref().map(|path| target.join(name_of(path)));
    files::backup(&pairs(&sources, &copies))?;
    let keys = fs::read(dir.keys()).context("the deployment's secrets cannot be read")?;
    write_private(&target.join(name_of(&dir.keys())), &keys)?;
    // After the moment of the copy: what was accepted in between is not in it, and is not harmed by being thought so.
    let made_at = desk.now();
    // What the messages name was there before they were accepted, and is not removed while they last.
    let copied = copy_disk(&dir.blobs(), &target.join(name_of(&dir.blobs())));
    let copied = copied.context("the attachments cannot be copied")?;
    if copied.damaged > 0 {
        tracing::warn!(
            damaged = copied.damaged,
            "attachments are damaged and were left out: `naru check` names them"
        );
    }
    let files = sources.iter().map(|path| name_of(path)).collect();
    let manifest = Manifest { made_at, files, blobs: copied.copied, damaged_blobs: copied.damaged };
    write_private(&target.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    Ok(manifest)
}

/// Puts a copy in place. What had not ended when it was made may have been sent since: it waits for a person.
///
/// # Errors
/// If the copy is not whole (nothing was changed then), a process runs on the data directory, something would be replaced
/// unasked, or a file cannot be written.
pub async fn restore(config: Config, out: Output, copy: PathBuf, replace: bool) -> anyhow::Result<()> {
    let (manifest, copies) = verified(&config, &copy)?;
    let dir = DataDir::acquire(&config.data)?;
    let mut list: Vec<(PathBuf, PathBuf)> = copies.into_iter().zip(parts(&dir)).collect();
    if !replace && let Some((_, there)) = list.iter().find(|(_, path)| path.exists()) {
        let why = format!("{} exists: --replace puts the copy in its place", there.display());
        return Err(Failure::Conflict(why).into());
    }
    list.extend(keys(&dir, &copy, replace)?);
    // First: a message that is there finds what it names. More than it names harms nothing.
    let blobs = copy_disk(&copy.join(name_of(&dir.blobs())), &dir.blobs());
    let blobs = blobs.context("the attachments cannot be put in place")?.copied;
    let list: Vec<(&Path, &Path)> = list.iter().map(|(from, to)| (from.as_path(), to.as_path())).collect();
    let scribe = Scribe::new(key_file::load(&copy.join(name_of(&dir.keys())))?.audit(), actor());
    let (mut held, mut anchors) = (0, Vec::new());
    files::restore(&list, replace, |target, copied| -> anyhow::Result<()> {
        if target == dir.ledger() {
            held = mark_restored(copied, manifest.made_at)?;
        }
        let chains = [(dir.catalog(), Chain::Catalog), (dir.ledger(), Chain::Ledger)];
        for (_, chain) in chains.into_iter().filter(|(file, _)| target == file) {
            anchors.extend(audit::mark_restored(copied, chain, &scribe, manifest.made_at)?);
        }
        Ok(())
    })?;
    let kept = AnchorFile::at(dir.anchors()).append(&anchors);
    kept.context("the copy is in place, and the file of anchors does not say so")?;
    let made_at = manifest.made_at;
    let sentence = format!(
        "the copy of {made_at} is in place; {held} messages that had not ended wait for a person (naru uncertain list)"
    );
    out.said(&Restored { made_at, held, blobs }, &sentence)
}

/// Looks at everything in a copy before anything is written: its manifest, its secrets, every page of its files.
fn verified(config: &Config, copy: &Path) -> anyhow::Result<(Manifest, [PathBuf; 4])> {
    let whole = || format!("{} is not a whole copy: nothing was changed", copy.display());
    let path = copy.join(MANIFEST);
    let manifest =
        fs::read(&path).with_context(|| format!("{MANIFEST} cannot be read")).with_context(whole)?;
    let manifest: Manifest = serde_json::from_slice(&manifest)
        .with_context(|| format!("{MANIFEST} is damaged"))
        .with_context(whole)?;
    let place = DataDir::open(copy)?;
    key_file::load(&place.keys()).with_context(whole)?;
    let copies = parts(&place);
    for path in &copies {
        let there = path.metadata().is_ok_and(|found| found.len() > 0);
        if !there || !manifest.files.contains(&name_of(path)) {
            let lacks = Failure::Refused(format!("it lacks {}", name_of(path)));
            return Err(anyhow::Error::new(lacks).context(whole()));
        }
    }
    let damaged = inspect_disk(&place.blobs()).with_context(whole)?;
    if let Some(first) = damaged.first() {
        return Err(anyhow::Error::new(Failure::Refused(first.clone())).context(whole()));
    }
    match data_files::inspect(&config.engines(), &place, Depth::Whole).into_iter().next() {
        Some(unsound) => Err(anyhow::Error::new(unsound).context(whole())),
        None => Ok((manifest, copies)),
    }
}

/// The secrets as a file to put in place; none if they are there already.
fn keys(dir: &DataDir, copy: &Path, replace: bool) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
    let (path, copied) = (dir.keys(), copy.join(name_of(&dir.keys())));
    match fs::read(&path) {
        Ok(there) if there == fs::read(&copied)? => Ok(None),
        Ok(_) if !replace => {
            let why =
                format!("{} holds other secrets: --replace puts the copy's in their place", path.display());
            Err(Failure::Conflict(why).into())
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot read {}", path.display()))
        }
        _ => Ok(Some((copied, path))),
    }
}
