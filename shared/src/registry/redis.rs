//! The registry of many processes: a projection of the catalog in Redis, and a copy of it in each process's memory.
//!
//! One of all processes has the turn to project: it follows the catalog and writes what is new. Every process follows the
//! projection, and answers from its own memory. While Redis is away, or not complete, it follows the catalog itself.

mod head;
mod projection;
mod projector;
mod reader;

use std::{future::Future, sync::Arc};

pub use head::{Epoch, Head};
pub use projection::{Projection, ProjectionError};
pub use projector::Projector;
pub use reader::Reader;

use super::MemoryRegistry;
use crate::{
    catalog::Catalog,
    redis::{RedisSettings, SettingsError},
};

/// A registry that is filled through Redis, and what keeps it filled for as long as it is polled.
///
/// # Errors
/// If the settings cannot be used.
pub fn open(
    settings: &RedisSettings,
    catalog: &Arc<dyn Catalog>,
) -> Result<(Arc<MemoryRegistry>, impl Future<Output = ()> + Send + 'static), SettingsError> {
    let projection = Arc::new(Projection::new(settings)?);
    let registry = MemoryRegistry::new();
    let projector = Projector::new(Arc::clone(&projection), Arc::clone(catalog));
    let reader = Reader::new(Arc::clone(&projection), Arc::clone(catalog), Arc::clone(&registry));
    Ok((registry, async move {
        tokio::join!(projection.keep(), projector.run(), reader.run());
    }))
}
