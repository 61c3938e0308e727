//! Where blobs are kept.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{OpenError, Probe, place};
use crate::{
    blobs::{Blobs, DiskBlobs, S3Blobs},
    data_dir::DataDir,
    engines::BlobsEngine,
};

/// The port, if anything is kept, and what readiness asks of it.
pub(super) struct Storage {
    pub(super) blobs: Option<Arc<dyn Blobs>>,
    pub(super) probe: Option<Arc<dyn Probe>>,
}

pub(super) fn open(
    engine: &BlobsEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
) -> Result<Storage, OpenError> {
    match engine {
        BlobsEngine::Disk { max_bytes } => {
            let folder = place(dir, "blobs")?.blobs();
            let opened = DiskBlobs::open(&folder, *max_bytes, runtime);
            let blobs = opened.map_err(|source| OpenError::Files { port: "blobs", source })?;
            // Its disk is watched as that of the other files is.
            Ok(Storage { blobs: Some(Arc::new(blobs)), probe: None })
        }
        BlobsEngine::S3(settings) => {
            let opened = S3Blobs::open(settings, runtime);
            let blobs = Arc::new(opened.map_err(|source| OpenError::S3 { port: "blobs", source })?);
            Ok(Storage { blobs: Some(Arc::<S3Blobs>::clone(&blobs)), probe: Some(blobs) })
        }
        BlobsEngine::None {} => Ok(Storage { blobs: None, probe: None }),
    }
}

/// The port to read from, beside whoever owns the directory.
pub(super) fn beside(
    engine: &BlobsEngine,
    dir: Option<&DataDir>,
    runtime: &Handle,
) -> Result<Option<Arc<dyn Blobs>>, OpenError> {
    match engine {
        BlobsEngine::Disk { .. } => {
            Ok(Some(Arc::new(DiskBlobs::beside(&place(dir, "blobs")?.blobs(), runtime))))
        }
        BlobsEngine::S3(_) | BlobsEngine::None {} => Ok(open(engine, dir, runtime)?.blobs),
    }
}
