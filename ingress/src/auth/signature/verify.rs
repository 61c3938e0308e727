//! Whose secret it is, and whether it signed the call: the same work whether the id is known or not.

use std::sync::Arc;

use naru_shared::{
    domain::{Access, Credential, CredentialKind, Environment, SealedSecret, SignedCall, Timestamp},
    registry::Registry,
    sealing::Sealer,
    shared_secret::SharedSecret,
};

use super::input::Claim;
use crate::{
    auth::Denied,
    problem::{Code, Problem},
};

/// Opens secrets and verifies with them.
pub struct Verifier {
    sealer: Sealer,
    /// What is verified with where nothing is known: sealed like the others, and told to nobody.
    nobody: Credential,
    nothing: SealedSecret,
}

/// What became of a claim.
#[derive(Debug)]
pub struct Signer {
    /// The credential that was named, if it is known; that it signed is another question.
    pub named: Option<Arc<Credential>>,
    /// Whether its secret signed the call, and it may.
    pub proved: bool,
}

impl Verifier {
    /// With the secrets of the deployment; `None` if the cryptography refuses.
    pub fn new(sealer: Sealer) -> Option<Self> {
        let (id, customer, environment) = ("nobody".parse().ok()?, "nobody".parse().ok()?, Environment::Live);
        let nothing = SharedSecret::random().seal(&sealer, &id, &customer, environment).ok()?;
        let kind = CredentialKind::Hmac { secret: nothing.clone() };
        let created_at = Timestamp::from_millis(0);
        let access = Access::default();
        let nobody =
            Credential { id, customer, environment, kind, access, created_at, revoked_at: None, version: 0 };
        Some(Self { sealer, nobody, nothing })
    }

    /// Verifies a claim.
    ///
    /// # Errors
    /// If it cannot be known whether the id is known, or a secret that is kept does not open.
    pub async fn verify(&self, claim: &Claim, registry: &dyn Registry) -> Result<Signer, Problem> {
        let named = registry.credential(&claim.key_id).await.map_err(|_| Code::Unavailable)?;
        let known = named.as_deref().and_then(|credential| match &credential.kind {
            CredentialKind::Hmac { secret } => Some((credential, secret)),
            CredentialKind::Basic { .. } | CredentialKind::Jwt { .. } => None,
        });
        let (credential, sealed) = known.unwrap_or((&self.nobody, &self.nothing));
        let secret = SharedSecret::open(&self.sealer, credential, sealed).map_err(|error| {
            tracing::error!(credential = %credential.id, %error, "the secret of a credential does not open");
            Problem::from(Code::Unavailable)
        })?;
        let signed = secret.verifies(claim.base.as_bytes(), &claim.tag);
        let may = known.is_some_and(|(credential, _)| credential.revoked_at.is_none());
        Ok(Signer { named, proved: signed && may })
    }
}

impl Signer {
    /// The credential, if it signed; else the one refusal for every reason that needs a look-up.
    pub fn credential(&self) -> Result<Arc<Credential>, Denied> {
        match &self.named {
            Some(named) if self.proved => Ok(Arc::clone(named)),
            Some(named) => Err(Denied::of(&named.customer, Code::Unauthorized)),
            None => Err(Code::Unauthorized.into()),
        }
    }

    /// What may not come again, if it signed.
    pub fn call(&self, claim: &Claim) -> Option<SignedCall> {
        let named = self.named.as_ref().filter(|_| self.proved)?;
        Some(SignedCall { credential: named.id.clone(), nonce: claim.nonce.clone() })
    }
}
