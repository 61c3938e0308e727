//! Watches the free space of the data directory's disk: accepts are refused while there is room left for outcomes.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How often the disk is asked.
const EVERY: Duration = Duration::from_millis(500);

/// What is known of the disk; cheap to ask on every accept.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    low_bytes: u64,
    free_bytes: AtomicU64,
    enough: AtomicBool,
}

impl Disk {
    /// Looks once.
    #[must_use]
    pub fn new(path: PathBuf, low_bytes: u64) -> Arc<Self> {
        let disk = Self { path, low_bytes, free_bytes: AtomicU64::new(0), enough: AtomicBool::new(true) };
        disk.look();
        Arc::new(disk)
    }

    /// Whether there is room to accept.
    #[must_use]
    pub fn enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }

    /// Free bytes, as last seen.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    /// Looks twice a second until `stop`.
    pub fn watch(self: Arc<Self>, runtime: &Handle, stop: CancellationToken) -> JoinHandle<()> {
        runtime.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
                self.look();
            }
        })
    }

    fn look(&self) {
        let enough = match rustix::fs::statvfs(&self.path) {
            Ok(stat) => {
                let free = stat.f_bavail.saturating_mul(stat.f_frsize);
                self.free_bytes.store(free, Ordering::Relaxed);
                free >= self.low_bytes
            }
            Err(error) => {
                tracing::warn!(%error, "the disk cannot be looked at: taken for full");
                false
            }
        };
        if self.enough.swap(enough, Ordering::Relaxed) != enough {
            let free_bytes = self.free_bytes();
            if enough {
                tracing::info!(free_bytes, "the disk has room: accepting");
            } else {
                tracing::warn!(
                    free_bytes,
                    low_bytes = self.low_bytes,
                    "the disk is nearly full: refusing accepts"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_less_than_asked_is_not_enough() {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::new(root.path().to_owned(), 1);
        assert!(disk.enough() && disk.free_bytes() > 0);
        assert!(!Disk::new(root.path().to_owned(), u64::MAX).enough());
        assert!(!Disk::new(root.path().join("gone"), 0).enough());
    }
}
