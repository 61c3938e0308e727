//! Whether what was set aside is a pack of this deployment after all: its keys may have been missing, its blob away, its worker
//! too old.

use std::sync::Arc;

use super::{super::claim_check, SetAside};
use crate::{
    blobs::{BlobError, Blobs},
    domain::{EnvelopeError, EnvelopeKeys, NoticePack, Opened, Pack},
};

/// What was found.
#[derive(Debug)]
pub enum Finding {
    /// It is a pack that this deployment wrote.
    Ours(Pack),
    /// It holds what a provider told, and this deployment wrote it.
    Told(NoticePack),
    /// It cannot be opened, and may be ours all the same: its key, its blob or a program that knows its version is missing. The
    /// sentence says which.
    Unsure(String),
    /// It is certainly none that this deployment wrote, or no longer as it wrote it; the sentence says why.
    Foreign(String),
    /// Its blob could not be had: another look may find it.
    NotNow(BlobError),
}

impl Finding {
    /// Why it does not open, if it does not.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        match self {
            Self::Ours(_) | Self::Told(_) => None,
            Self::Unsure(why) | Self::Foreign(why) => Some(why.clone()),
            Self::NotNow(error) => Some(format!("its blob could not be had: {error}")),
        }
    }
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
            Ok(Some(envelope)) => envelope,
            Ok(None) => return Finding::Foreign("a claim check that cannot be read".to_owned()),
            Err(claim_check::Lost::ForEver(why)) => return Finding::Unsure(why),
            Err(claim_check::Lost::ForNow(error)) => return Finding::NotNow(error),
        };
        match self.keys.open_any(&envelope) {
            Ok(Opened::Pack(pack)) => Finding::Ours(pack),
            Ok(Opened::Notices(pack)) => Finding::Told(pack),
            Err(error @ EnvelopeError::Newer { .. }) => {
                Finding::Unsure(format!("{error}: a newer program may know it"))
            }
            // Its MAC is ours: a program of ours wrote it, whatever it is.
            Err(error @ (EnvelopeError::Unverified(_) | EnvelopeError::Malformed(_))) => {
                Finding::Unsure(error.to_string())
            }
            Err(error @ EnvelopeError::Forged(_)) => Finding::Foreign(error.to_string()),
        }
    }
}
