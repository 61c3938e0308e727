//! A channel that tells when to look: what is said on it is never relied on, only sooner.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{
    PushInfo, PushKind,
    aio::{AsyncPushSender, MultiplexedConnection},
};
use tokio::{sync::Notify, time::timeout};

/// The channel of one link.
pub(super) struct Bell {
    channel: String,
    rings: Arc<Notify>,
    heard: AtomicBool,
}

impl Bell {
    pub(super) fn new(channel: String) -> Self {
        Self { channel, rings: Arc::default(), heard: AtomicBool::new(false) }
    }

    /// What a connection tells of messages that nobody asked for.
    pub(super) fn ear(&self) -> impl AsyncPushSender + use<> {
        let rings = Arc::clone(&self.rings);
        move |info: PushInfo| {
            if matches!(info.kind, PushKind::Message | PushKind::Disconnection) {
                rings.notify_one();
            }
            Ok::<(), ()>(())
        }
    }

    /// Listens with a new connection. Where that is not allowed, whoever waits is told so, and looks more often.
    pub(super) async fn listen(&self, port: &'static str, connection: &mut MultiplexedConnection) {
        let listens = connection.subscribe(&self.channel).await;
        if let Err(error) = &listens {
            let channel = &self.channel;
            tracing::warn!(port, channel, %error, "Redis does not let this user listen; it is asked more often instead");
        }
        self.heard.store(listens.is_ok(), Ordering::Release);
        self.rings.notify_one();
    }

    /// The connection is used no more.
    pub(super) fn silence(&self) {
        self.heard.store(false, Ordering::Release);
    }

    pub(super) async fn rung(&self, heard: Duration, deaf: Duration) {
        let most = if self.heard.load(Ordering::Acquire) { heard } else { deaf };
        // Rung or not: whoever waits looks.
        drop(timeout(most, self.rings.notified()).await);
    }
}
