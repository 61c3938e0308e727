//! Keeps a process's copy in step with the projection; with the catalog itself while there is no complete projection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, time::sleep};

use super::{
    head::Epoch,
    projection::{Projection, ProjectionError},
};
use crate::{
    catalog::Catalog,
    metrics,
    registry::{MemoryRegistry, Registry, memory::Follower},
};

/// How often Redis is looked at unless it tells of a change: whether it was emptied, and who projects.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is looked at where it tells nothing: a change is in force within a second, most of which the projector takes.
const POLL: Duration = Duration::from_millis(300);

/// How often the catalog is asked while Redis does not tell: at first often, until everything is known; then so seldom
/// that a database is not asked in vain by many, and often enough for a revocation to hold within a minute.
const ASK: Duration = Duration::from_secs(5);

/// Follows the projection.
pub struct Reader {
    projection: Arc<Projection>,
    registry: Arc<MemoryRegistry>,
    direct: Follower,
    place: Mutex<Place>,
    /// Whether the projection is complete and was read.
    followed: AtomicBool,
}

/// How far it has read.
#[derive(Default)]
struct Place {
    epoch: Option<Epoch>,
    version: u64,
    complete: bool,
}

impl Reader {
    /// Fills a registry.
    #[must_use]
    pub fn new(
        projection: Arc<Projection>,
        catalog: Arc<dyn Catalog>,
        registry: Arc<MemoryRegistry>,
    ) -> Self {
        let direct = Follower::new(catalog, Arc::clone(&registry));
        Self { projection, registry, direct, place: Mutex::default(), followed: AtomicBool::new(false) }
    }

    /// Follows for as long as it is polled.
    pub async fn run(&self) {
        tokio::join!(self.follow(), self.ask());
    }

    async fn follow(&self) {
        loop {
            let complete = match self.refresh().await {
                Ok(complete) => complete,
                Err(error) => {
                    tracing::debug!(%error, "the projection cannot be read");
                    false
                }
            };
            if self.followed.swap(complete, Ordering::Relaxed) != complete {
                tracing::info!(
                    complete,
                    "the registry's projection in Redis; the catalog is asked while it is not"
                );
            }
            self.projection.moved(LOOK, POLL).await;
        }
    }

    /// Follows the catalog itself while there is no projection to follow.
    async fn ask(&self) {
        loop {
            // The projection goes first.
            sleep(if self.registry.is_complete() { ASK.mul_f64(0.5 + fastrand::f64()) } else { POLL }).await;
            if self.followed.load(Ordering::Relaxed) {
                continue;
            }
            if let Err(error) = self.direct.catch_up().await {
                metrics::ENGINE_ERRORS.of(&[("port", "catalog")]).increment(1);
                tracing::debug!(%error, "the catalog cannot be asked either; the last known copy rules");
            }
        }
    }

    /// Reads what is new; whether the projection is complete and was read whole.
    ///
    /// # Errors
    /// If Redis does not answer, or lacks a document that it names.
    pub async fn refresh(&self) -> Result<bool, ProjectionError> {
        let mut place = self.place.lock().await;
        let (epoch, head) = self.projection.look().await?;
        if epoch != place.epoch {
            // Another projection: what it holds may bear any version.
            *place = Place { epoch, ..Place::default() };
        }
        if place.complete && head.as_ref().is_some_and(|head| head.version == place.version) {
            return Ok(true);
        }
        loop {
            let (entries, last) = self.projection.changes(place.version).await?;
            let all = entries.len() < Projection::page();
            // How far everything is here is only known of a projection with a head.
            self.registry.apply(entries, false, 0);
            place.version = last;
            if all {
                break;
            }
        }
        let Some(head) = head else { return Ok(false) };
        if !place.complete && self.projection.documents().await? < head.documents {
            return Err(ProjectionError::Lacking("a part of its list".to_owned()));
        }
        place.complete = true;
        place.version = place.version.max(head.version);
        self.registry.apply(Vec::new(), true, head.version);
        Ok(true)
    }
}
