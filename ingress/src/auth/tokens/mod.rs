//! Bearer tokens (RFC 6750): JWTs (RFC 7519) that a customer signs with a key of its credential, and those that are made here.
//!
//! Read in this order: `compact` takes a token apart, `claims` checks what it claims, `signature` verifies it, `ours` makes our own,
//! `seen` remembers. A token names its credential by `iss` and one of its keys by `kid`; neither leads anywhere else.

mod claims;
mod compact;
mod ours;
mod seen;
mod signature;

use std::{hint::black_box, sync::Arc, time::Duration};

pub use claims::{Claims, LONGEST_LIFE};
pub use compact::Parts;
use compact::{Form, Header, malformed};
use naru_shared::{
    domain::{Credential, CredentialKind, Timestamp, TokenAlgorithm, TokenKey},
    keys::Keyring,
    registry::Registry,
    sealing::{NotOurs, Sealer},
};
use ours::{ISSUER, Ours};
use seen::{Known, Seen};
use signature::by_key;

use super::{Denied, Proved, Strangers, Way};
use crate::problem::{Code, Problem};

/// What verifies tokens, and makes them.
pub struct Tokens {
    audience: Box<str>,
    sealer: Sealer,
    strangers: Strangers,
    ours: Ours,
    seen: Seen,
}

impl Tokens {
    /// With the deployment's secrets; `audience` is what it is called in `aud`.
    ///
    /// # Errors
    /// If the cryptography refuses.
    pub fn new(keyring: &Keyring, audience: &str) -> Result<Self, NotOurs> {
        let sealer = keyring.sealer();
        let keys = |_: &mut Credential| signature::strangers(&sealer).ok();
        let strangers =
            Strangers::new(|one| Some(CredentialKind::Jwt { keys: keys(one)? })).ok_or(NotOurs)?;
        let ours = Ours::new(&keyring.tokens());
        Ok(Self { audience: audience.into(), sealer, strangers, ours, seen: Seen::new() })
    }

    /// A token of a credential.
    pub fn issue(&self, credential: &Credential, now: Timestamp, life: Duration) -> String {
        self.ours.issue(&credential.id, &self.audience, now, life)
    }

    /// The credential that a token proves, or the one refusal for every reason that needs a look-up.
    pub async fn verify(
        &self,
        token: &str,
        registry: &dyn Registry,
        now: Timestamp,
    ) -> Result<Proved, Denied> {
        let mark = self.seen.mark(token);
        if let Some(known) = self.seen.get(&mark) {
            known.claims.hold(now)?;
            if let Some(proved) = still(&known, registry).await? {
                return Ok(proved);
            }
            self.seen.forget(&mark);
        }
        let parts = Parts::of(token)?;
        let header = parts.header()?;
        let claims = Claims::read(&parts.claims()?, &self.audience)?;
        let proved = match header.form {
            Form::Ours => self.made_here(&parts, &header, &claims, registry, now).await?,
            Form::Customers => self.signed(&parts, &header, &claims, registry, now).await?,
        };
        let Proved { credential, way } = &proved;
        let (id, version, ours) = (credential.id.clone(), credential.version, *way == Way::OurToken);
        self.seen.put(mark, Known { credential: id, version, ours, claims });
        Ok(proved)
    }

    /// One that a customer signed.
    async fn signed(
        &self,
        parts: &Parts<'_>,
        header: &Header,
        claims: &Claims,
        registry: &dyn Registry,
        now: Timestamp,
    ) -> Result<Proved, Denied> {
        let issuer = &*claims.issuer;
        let kid = header.kid.as_deref().ok_or_else(|| malformed("kid is needed: the name of the key."))?;
        if claims.subject.as_deref().is_some_and(|subject| subject != issuer) {
            return Err(Problem::new(Code::InvalidClaim, "sub, if it is there, is the same as iss.").into());
        }
        claims.hold(now)?;
        let found = registry.credential(issuer).await.map_err(|_| Code::Unavailable)?;
        let (named, is_known) = self.strangers.or_known(found, issuer).ok_or(Code::Internal)?;
        let key = if is_known { key_of(&named, kid, header.algorithm) } else { None };
        let (input, signature) = (parts.signed.as_bytes(), &*parts.signature);
        let by = |place: &str, key: &TokenKey| by_key(&self.sealer, place, key, input, signature);
        let proved = match key {
            Some(key) => by(&TokenKey::place(issuer, kid), key),
            None => {
                // The same work where there is no such key, whatever comes of it.
                let stranger = if is_known {
                    self.strangers.or_known(None, issuer)
                } else {
                    Some((named.clone(), false))
                };
                let stranger =
                    stranger.as_ref().and_then(|(stranger, _)| key_for(stranger, header.algorithm));
                black_box(stranger.is_some_and(|key| by(&TokenKey::place("", ""), key)));
                false
            }
        };
        if proved && is_known && named.revoked_at.is_none() {
            return Ok(Proved { credential: named, way: Way::Token });
        }
        Err(Denied::unproved(&named, is_known))
    }

    /// One that was made here, or says so.
    async fn made_here(
        &self,
        parts: &Parts<'_>,
        header: &Header,
        claims: &Claims,
        registry: &dyn Registry,
        now: Timestamp,
    ) -> Result<Proved, Denied> {
        if &*claims.issuer != ISSUER || header.algorithm != TokenAlgorithm::Hs256 || header.kid.is_some() {
            return Err(malformed("typ, if it is there, is JWT.").into());
        }
        claims.hold(now)?;
        // Nothing is looked up for who cannot sign.
        if !self.ours.signed(parts.signed.as_bytes(), &parts.signature) {
            return Err(Code::Unauthorized.into());
        }
        let of = claims.subject.as_deref().ok_or(Code::Unauthorized)?;
        let credential = registry.credential(of).await.map_err(|_| Code::Unavailable)?;
        let basic = credential.as_deref().is_some_and(of_tokens_made_here);
        admitted(credential, basic)
    }
}

/// Whether tokens are made of such a credential.
pub fn of_tokens_made_here(credential: &Credential) -> bool {
    match credential.kind {
        CredentialKind::Basic { .. } => true,
        CredentialKind::Hmac { .. } | CredentialKind::Jwt { .. } => false,
    }
}

/// The key of a credential by its name, if it is one of this algorithm: what the token says of the algorithm chooses nothing.
fn key_of<'a>(credential: &'a Credential, kid: &str, algorithm: TokenAlgorithm) -> Option<&'a TokenKey> {
    match &credential.kind {
        CredentialKind::Jwt { keys } => {
            keys.iter().find(|key| key.kid.as_str() == kid && key.alg == algorithm)
        }
        CredentialKind::Basic { .. } | CredentialKind::Hmac { .. } => None,
    }
}

/// The first key of an algorithm, whatever it is called.
fn key_for(stranger: &Credential, algorithm: TokenAlgorithm) -> Option<&TokenKey> {
    match &stranger.kind {
        CredentialKind::Jwt { keys } => keys.iter().find(|key| key.alg == algorithm),
        CredentialKind::Basic { .. } | CredentialKind::Hmac { .. } => None,
    }
}

/// One that was made here is forged by nobody: who shows it may know whether its credential is still one.
fn admitted(credential: Option<Arc<Credential>>, proved: bool) -> Result<Proved, Denied> {
    let way = Way::OurToken;
    match credential {
        Some(known) if proved && known.revoked_at.is_none() => Ok(Proved { credential: known, way }),
        Some(known) => Err(Denied::of(&known.customer, Code::Unauthorized)),
        None => Err(Code::Unauthorized.into()),
    }
}

/// The credential of a token that was verified, if it is as it was then.
async fn still(known: &Known, registry: &dyn Registry) -> Result<Option<Proved>, Denied> {
    let credential = registry.credential(known.credential.as_str()).await.map_err(|_| Code::Unavailable)?;
    let same = credential.filter(|now| now.version == known.version && now.revoked_at.is_none());
    let way = if known.ours { Way::OurToken } else { Way::Token };
    Ok(same.map(|credential| Proved { credential, way }))
}

#[cfg(test)]
mod tests;
