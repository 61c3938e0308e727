//! How a credential proves itself, as documents of the catalog hold it.
//!
//! A release reads all credentials, or none: it must not meet a `kind` that it does not know, or it would hear of no revocation any
//! more. What the release before does not know is therefore written as a `basic` credential with a hash that no password has, and the
//! truth beside it: to that release it is a credential that nobody can prove. The plain way of writing is read already.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    customer::{ChosenPassword, CredentialKind, SealedSecret, SecretHash},
    token_key::TokenKey,
};

/// The hash of no password: to find one would be to invert HMAC-SHA-256.
const NOBODY: SecretHash = SecretHash([0; 32]);

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredCredential {
    kind: Word,
    #[serde(default = "nobody")]
    secret: SecretHash,
    /// Of a Basic credential, where a person chose the password. A release that knows nothing of such passwords compares `secret`
    /// with a hash over both, which it never is, and refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<ChosenPassword>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hmac: Option<SealedSecret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwt: Option<Tokens>,
    /// Of the plain way.
    #[serde(default, skip_serializing)]
    keys: Option<Value>,
}

/// What proves a credential by tokens. Keys that only a newer release can read open nothing here.
#[derive(Clone, Serialize, Deserialize)]
struct Tokens {
    keys: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Basic,
    Hmac,
    Jwt,
}

const fn nobody() -> SecretHash {
    NOBODY
}

/// A document says that it is of a kind, and lacks what that kind needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a credential without what proves it")]
pub(super) struct Unproved;

impl TryFrom<StoredCredential> for CredentialKind {
    type Error = Unproved;
    fn try_from(stored: StoredCredential) -> Result<Self, Unproved> {
        let StoredCredential { kind, secret, password, hmac, jwt, keys } = stored;
        if let Some(secret) = hmac {
            return Ok(Self::Hmac { secret });
        }
        let read = |keys: Value| match serde_json::from_value::<Vec<TokenKey>>(keys) {
            Ok(keys) => Self::Jwt { keys },
            Err(_) => Self::Basic { secret: NOBODY, password: None },
        };
        match (kind, jwt.map(|tokens| tokens.keys).or(keys.filter(|_| kind == Word::Jwt))) {
            (_, Some(keys)) => Ok(read(keys)),
            (Word::Basic, None) => Ok(Self::Basic { secret, password }),
            (Word::Hmac | Word::Jwt, None) => Err(Unproved),
        }
    }
}

impl From<CredentialKind> for StoredCredential {
    fn from(kind: CredentialKind) -> Self {
        let basic =
            Self { kind: Word::Basic, secret: NOBODY, password: None, hmac: None, jwt: None, keys: None };
        match kind {
            CredentialKind::Basic { secret, password } => Self { secret, password, ..basic },
            CredentialKind::Hmac { secret } => Self { hmac: Some(secret), ..basic },
            CredentialKind::Jwt { keys } => {
                // Keys are texts and numbers: they are always JSON.
                let keys = serde_json::to_value(keys).unwrap_or_default();
                Self { jwt: Some(Tokens { keys }), ..basic }
            }
        }
    }
}

#[cfg(test)]
mod tests;
