//! Brings the catalog's changes into the projection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::time::{error::Elapsed, sleep, timeout};

use super::{
    head::{Epoch, Head},
    projection::{Projection, ProjectionError},
};
use crate::{
    catalog::{Catalog, CatalogError},
    metrics,
};

/// How often whoever has the turn asks the catalog for its version: a change is in force within a second, and what comes
/// after takes moments.
const POLL: Duration = Duration::from_millis(500);

/// How often the turn is kept while nothing changes; well within what a turn lasts.
const KEEP: Duration = Duration::from_secs(1);

/// How often the others take up what was last seen of the turn.
const WAIT: Duration = Duration::from_millis(500);

/// The longest pause after errors.
const BACKOFF: Duration = Duration::from_secs(5);

/// How long a call to the catalog may take. It may take longer than a turn: then somebody else tries as well.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Documents read at once.
const PAGE: usize = 2_000;

/// Projects when it has the turn.
pub struct Projector {
    projection: Arc<Projection>,
    catalog: Arc<dyn Catalog>,
    /// When the turn was last kept, and the version of which the projection had everything then.
    kept: Mutex<Option<(Instant, u64)>>,
}

#[derive(Debug, thiserror::Error)]
enum ProjectError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("the catalog did not answer in time")]
    Late(#[from] Elapsed),
    #[error(
        "Redis has version {there}, the catalog only {newest}: after the catalog was put back to an older state, remove the \
         registry's keys from Redis"
    )]
    WentBack { there: u64, newest: u64 },
    #[error(transparent)]
    Projection(#[from] ProjectionError),
}

impl Projector {
    /// One of many; one at a time does something.
    #[must_use]
    pub fn new(projection: Arc<Projection>, catalog: Arc<dyn Catalog>) -> Self {
        Self { projection, catalog, kept: Mutex::default() }
    }

    /// Projects for as long as it is polled.
    pub async fn run(&self) {
        let mut failures = 0_u32;
        loop {
            if !self.projection.is_up() {
                sleep(POLL).await;
                continue;
            }
            let pause = match self.round().await {
                Ok(mine) => {
                    failures = 0;
                    if mine { POLL } else { WAIT }
                }
                Err(error) => {
                    metrics::ENGINE_ERRORS.of(&[("port", "registry")]).increment(1);
                    if failures == 0 {
                        tracing::warn!(%error, "the catalog's changes cannot be brought to Redis; it is tried again");
                    }
                    failures = failures.saturating_add(1);
                    POLL.saturating_mul(1 << failures.min(5)).min(BACKOFF)
                }
            };
            // Not all at the same moment.
            sleep(pause.mul_f64(0.8 + 0.2 * fastrand::f64())).await;
        }
    }

    /// Brings over what is new, if it is this process's turn; whether it is.
    async fn round(&self) -> Result<bool, ProjectError> {
        let newest = match *self.kept.lock() {
            Some((at, version)) if at.elapsed() < KEEP => Some(version),
            _ => None,
        };
        if let Some(version) = newest
            && timeout(CALL_TIMEOUT, self.catalog.version()).await?? == version
        {
            return Ok(true);
        }
        *self.kept.lock() = None;
        if self.projection.is_taken() {
            return Ok(false);
        }
        let Some((epoch, head)) = self.projection.turn().await? else { return Ok(false) };
        let at = Instant::now();
        let newest = timeout(CALL_TIMEOUT, self.catalog.version()).await??;
        match head {
            Some(head) if head.version > newest => {
                return Err(ProjectError::WentBack { there: head.version, newest });
            }
            Some(head) if head.version == newest => *self.kept.lock() = Some((at, newest)),
            head => self.bring(epoch, head).await?,
        }
        Ok(true)
    }

    /// Only of a projection that has a head it is known what is there; else everything is written.
    async fn bring(&self, epoch: Epoch, head: Option<Head>) -> Result<(), ProjectError> {
        let mut known = head.map_or(0, |head| head.version);
        loop {
            let page = timeout(CALL_TIMEOUT, self.catalog.changes(known, PAGE)).await??;
            self.projection.write(&page).await?;
            known = page.last().map_or(known, |entry| entry.version());
            if page.len() < PAGE {
                break;
            }
            if self.projection.turn().await?.is_none_or(|(now, _)| now != epoch) {
                return Ok(());
            }
        }
        Ok(self.projection.complete(&epoch, known).await?)
    }
}
