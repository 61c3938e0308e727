//! A doorbell: whoever puts something on a queue rings, and whoever receives from it sleeps until then.
//!
//! A ring says only that it is worth looking, and nothing rests on it: a queue is looked at now and then without one, and all
//! the time while nobody could hear it. It is rung while something is being put there and not after, so that whoever rings
//! may die at any moment: the look that it causes waits long enough to see what was put.

mod redis;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
pub use redis::RedisDoorbell;
pub use settings::DoorbellSettings;
use tokio::sync::watch;

/// What is known of a bell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// How often it was heard; also counted when it could not be heard for a while and can be again.
    pub rings: u64,
    /// Whether a ring would be heard now. While it would not, whoever listens looks all the time.
    pub hears: bool,
}

/// Bells by name: what is rung in one process is heard in all.
#[async_trait]
pub trait Doorbell: Send + Sync + 'static {
    /// Says that something is being put there. Returns at once; a ring that cannot be told now is told when it can.
    fn ring(&self, name: &str);

    /// Listens to a bell from now on.
    fn listen(&self, name: &str) -> watch::Receiver<Heard>;

    /// Waits until all that was rung is told, for a process that is about to end; whether it is.
    async fn told(&self, _patience: Duration) -> bool {
        true
    }
}

/// No doorbell: nothing is heard, and everybody looks all the time.
#[derive(Debug, Default)]
pub struct NoDoorbell;

impl Doorbell for NoDoorbell {
    fn ring(&self, _name: &str) {}

    fn listen(&self, _name: &str) -> watch::Receiver<Heard> {
        watch::channel(Heard::default()).1
    }
}
