//! Whose secret it is, and whether it signed the call: the same work whether the id is known or not.

use std::{hint::black_box, sync::Arc};

use naru_shared::{
    domain::{Credential, CredentialKind, CustomerId, SealedSecret, SignedCall},
    registry::Registry,
    sealing::Sealer,
    shared_secret::SharedSecret,
};

use super::input::Claim;
use crate::{
    auth::{Denied, Strangers},
    problem::{Code, Problem},
};

/// Opens secrets and verifies with them.
pub struct Verifier {
    sealer: Sealer,
    /// What is verified with where nothing is known: sealed like the others, and told to nobody.
    strangers: Strangers,
}

/// What became of a claim.
#[derive(Debug)]
pub struct Signer {
    /// The credential that was named, or a stranger; that it signed is another question.
    named: Arc<Credential>,
    /// Whether it is known.
    known: bool,
    /// Whether its secret signed the call, and it may.
    proved: bool,
}

impl Verifier {
    /// With the secrets of the deployment; `None` if the cryptography refuses.
    pub fn new(sealer: Sealer) -> Option<Self> {
        let strangers = Strangers::new(|stranger| {
            let Credential { id, customer, environment, .. } = stranger;
            let secret = SharedSecret::random().seal(&sealer, id, customer, *environment).ok()?;
            Some(CredentialKind::Hmac { secret })
        })?;
        Some(Self { sealer, strangers })
    }

    /// Verifies a claim.
    ///
    /// # Errors
    /// If it cannot be known whether the id is known, or a secret that is kept does not open.
    pub async fn verify(&self, claim: &Claim, registry: &dyn Registry) -> Result<Signer, Problem> {
        let id = &claim.key_id;
        let found = registry.credential(id).await.map_err(|_| Code::Unavailable)?;
        let (named, known) = self.strangers.or_known(found, id).ok_or(Code::Internal)?;
        let (proved, known) = match &named.kind {
            CredentialKind::Hmac { secret } => (self.signed(&named, secret, claim)? && known, known),
            // Another way's credential signs as nobody does.
            CredentialKind::Basic { .. } | CredentialKind::Jwt { .. } => {
                let (stranger, _) = self.strangers.or_known(None, id).ok_or(Code::Internal)?;
                if let CredentialKind::Hmac { secret } = &stranger.kind {
                    black_box(self.signed(&stranger, secret, claim)?);
                }
                (false, known)
            }
        };
        let proved = proved && named.revoked_at.is_none();
        Ok(Signer { named, known, proved })
    }

    fn signed(&self, credential: &Credential, sealed: &SealedSecret, claim: &Claim) -> Result<bool, Problem> {
        let secret = SharedSecret::open(&self.sealer, credential, sealed).map_err(|error| {
            tracing::error!(credential = %credential.id, %error, "the secret of a credential does not open");
            Problem::from(Code::Unavailable)
        })?;
        Ok(secret.verifies(claim.base.as_bytes(), &claim.tag))
    }
}

impl Signer {
    /// The credential, if it signed; else the one refusal for every reason that needs a look-up.
    pub fn credential(&self) -> Result<Arc<Credential>, Denied> {
        match self.signer() {
            Some(signer) => Ok(Arc::clone(signer)),
            None => Err(Denied::unproved(&self.named, self.known)),
        }
    }

    /// The credential, if it signed.
    pub fn signer(&self) -> Option<&Arc<Credential>> {
        (self.proved && self.known).then_some(&self.named)
    }

    /// Whose the credential is that was named, if it is known.
    pub fn customer(&self) -> Option<CustomerId> {
        Denied::unproved(&self.named, self.known).customer
    }

    /// What may not come again, if it signed.
    pub fn call(&self, claim: &Claim) -> Option<SignedCall> {
        let signer = self.signer()?;
        Some(SignedCall { credential: signer.id.clone(), nonce: claim.nonce.clone() })
    }
}
