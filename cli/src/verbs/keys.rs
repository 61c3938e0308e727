//! `naru keys`: the secrets that all processes of a deployment share.

use std::path::PathBuf;

use clap::Subcommand;
use naru_shared::key_file::{self, KeyFileError};
use serde_json::json;

use crate::{exit::Failure, output::Output};

/// What can be done to secrets.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make the secrets of a new deployment, in a file that only its owner reads
    Make {
        /// A file that does not exist yet
        file: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// [`Failure::Conflict`] if the file exists; else if it cannot be written.
pub fn run(verb: &KeysVerb, out: Output) -> anyhow::Result<()> {
    let KeysVerb::Make { file } = verb;
    match key_file::create(file) {
        Err(KeyFileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            let taken = format!("{} exists already: secrets are never replaced", file.display());
            return Err(Failure::Conflict(taken).into());
        }
        made => made?,
    };
    let path = file.display();
    let sentence = format!("made {path}: give every process this file (keys.file) or its text (NARU_KEYS)");
    out.said(&json!({ "file": path.to_string() }), &sentence)
}
