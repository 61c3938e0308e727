//! What is known of a file's damage while it is in use. Damage does not mend itself: once seen, it stays known.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use async_trait::async_trait;

use super::{Db, DbError, inspect::skim};
use crate::{
    metrics,
    ports::{Probe, ProbeError},
};

/// Shared by the threads of one file.
#[derive(Debug)]
pub(super) struct Health {
    path: PathBuf,
    name: String,
    damage: OnceLock<String>,
}

impl Health {
    pub(super) fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { path: path.to_owned(), name, damage: OnceLock::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Remembers an error if it tells of damage, counts it, and says so once.
    pub(super) fn note(&self, error: &DbError) {
        let DbError::Damaged { source, .. } = error else { return };
        metrics::FILE_DAMAGE.of(&[("file", &self.name)]).increment(1);
        if self.damage.set(format!("{error} ({source})")).is_ok() {
            tracing::error!(file = %self.path.display(), finding = %source, "a data file is damaged: stop, and restore a copy");
        }
    }
}

#[async_trait]
impl Probe for Db {
    fn name(&self) -> &str {
        &self.health.name
    }

    /// Reads both ends of every table and index.
    async fn ask(&self) -> Result<(), ProbeError> {
        let answer = self.read(|connection| skim(connection, 0)).await;
        match (self.health.damage.get(), answer) {
            (Some(damage), _) => Err(ProbeError::Damaged(damage.clone())),
            (None, Err(error)) => Err(ProbeError::Away(Box::new(error))),
            (None, Ok(())) => Ok(()),
        }
    }
}
