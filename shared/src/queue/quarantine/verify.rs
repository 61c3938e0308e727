//! Whether what was set aside is a pack of this deployment after all: its keys may have been missing, its blob away, its worker
//! too old.

use std::sync::Arc;

use super::{super::claim_check, SetAside};
use crate::{
    blobs::{BlobError, Blobs},
    domain::{EnvelopeError, EnvelopeKeys, Pack},
};

/// What was found.
#[derive(Debug)]
pub enum Finding {
    /// It is a pack that this deployment wrote.
    Ours(Pack),
    /// It is not, or cannot be read by this release; the sentence says why.
    Refused(String),
    /// Its blob could not be had: another look may find it.
    NotNow(BlobError),
}

/// Opens what was set aside as intake would.
pub struct Verifier {
    keys: EnvelopeKeys,
    blobs: Option<Arc<dyn Blobs>>,
}

impl Verifier {
    /// By these keys; claim checks are redeemed here.
    #[must_use]
    pub const fn new(keys: EnvelopeKeys, blobs: Option<Arc<dyn Blobs>>) -> Self {
        Self { keys, blobs }
    }

    /// Looks at one.
    pub async fn look(&self, pack: &SetAside) -> Finding {
        let envelope = match claim_check::redeemed(self.blobs.as_deref(), &pack.envelope).await {
            Ok(envelope) => envelope,
            Err(claim_check::Lost::ForEver(why)) => return Finding::Refused(why),
            Err(claim_check::Lost::ForNow(error)) => return Finding::NotNow(error),
        };
        match self.keys.open(&envelope) {
            Ok(pack) => Finding::Ours(pack),
            Err(error @ EnvelopeError::Newer { .. }) => {
                Finding::Refused(format!("{error}: a newer program may know it"))
            }
            Err(error) => Finding::Refused(error.to_string()),
        }
    }
}
