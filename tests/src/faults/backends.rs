//! Around the backends.

use std::sync::Arc;

use async_trait::async_trait;
use naru_shared::{
    domain::{Outcome, Route},
    ledger::Work,
};
use naru_workers::{Attachment, Backend, BackendError, BackendFactory};

use super::{Fuse, Window};

/// Makes backends that pass the windows before and after an attempt.
pub(super) struct Fused {
    inner: Arc<dyn BackendFactory>,
    fuse: Arc<Fuse>,
}

impl Fused {
    pub(super) fn new(inner: Arc<dyn BackendFactory>, fuse: Arc<Fuse>) -> Self {
        Self { inner, fuse }
    }
}

struct FusedBackend {
    inner: Arc<dyn Backend>,
    fuse: Arc<Fuse>,
}

impl BackendFactory for Fused {
    fn build(&self, route: &Route) -> Result<Arc<dyn Backend>, BackendError> {
        let inner = self.inner.build(route)?;
        Ok(Arc::new(FusedBackend { inner, fuse: Arc::clone(&self.fuse) }))
    }
}

#[async_trait]
impl Backend for FusedBackend {
    async fn deliver(&self, work: &Work, attachments: &[Attachment]) -> Outcome {
        self.fuse.pass(Window::IntakeToAttempt);
        let outcome = self.inner.deliver(work, attachments).await;
        self.fuse.pass(Window::AttemptToOutcome);
        outcome
    }

    fn can_be_asked(&self) -> bool {
        self.inner.can_be_asked()
    }

    async fn inquire(&self, work: &Work) -> Option<Outcome> {
        self.inner.inquire(work).await
    }

    fn is_stale(&self) -> bool {
        self.inner.is_stale()
    }
}
