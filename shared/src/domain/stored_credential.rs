//! How a credential proves itself, as documents of the catalog hold it.
//!
//! A release reads all credentials, or none: it must not meet a `kind` that it does not know. What the release before does not know is
//! therefore written as a `basic` credential with a hash that no password has, and the truth beside it: to that release it is a
//! credential that nobody can prove. The plain way of writing is read already.

use serde::{Deserialize, Serialize};

use super::customer::{CredentialKind, SealedSecret, SecretHash};

/// The hash of no password: to find one would be to invert HMAC-SHA-256.
const NOBODY: SecretHash = SecretHash([0; 32]);

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredCredential {
    kind: Word,
    #[serde(default = "nobody")]
    secret: SecretHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hmac: Option<SealedSecret>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Basic,
    Hmac,
}

const fn nobody() -> SecretHash {
    NOBODY
}

/// A document says that it is of a kind, and lacks what that kind needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a credential without its secret")]
pub(super) struct WithoutSecret;

impl TryFrom<StoredCredential> for CredentialKind {
    type Error = WithoutSecret;
    fn try_from(stored: StoredCredential) -> Result<Self, WithoutSecret> {
        match stored {
            StoredCredential { hmac: Some(secret), .. } => Ok(Self::Hmac { secret }),
            StoredCredential { kind: Word::Basic, secret, .. } => Ok(Self::Basic { secret }),
            StoredCredential { kind: Word::Hmac, .. } => Err(WithoutSecret),
        }
    }
}

impl From<CredentialKind> for StoredCredential {
    fn from(kind: CredentialKind) -> Self {
        match kind {
            CredentialKind::Basic { secret } => Self { kind: Word::Basic, secret, hmac: None },
            CredentialKind::Hmac { secret } => Self { kind: Word::Basic, secret: NOBODY, hmac: Some(secret) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Credential, Environment, Timestamp};

    /// What the release before knows of credentials.
    #[derive(Debug, Deserialize)]
    struct Before {
        id: String,
        #[serde(flatten)]
        kind: KindBefore,
        revoked_at: Option<Timestamp>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum KindBefore {
        Basic { secret: SecretHash },
    }

    fn credential(kind: CredentialKind) -> Credential {
        Credential {
            id: "acme-hmac".parse().unwrap(),
            customer: "acme".parse().unwrap(),
            environment: Environment::Live,
            kind,
            created_at: Timestamp::from_millis(0),
            revoked_at: None,
            version: 1,
        }
    }

    fn sealed() -> CredentialKind {
        CredentialKind::Hmac { secret: SealedSecret("v1.abc".to_owned()) }
    }

    #[test]
    fn a_secret_that_signs_is_read_as_it_was_written_and_never_printed() {
        let text = serde_json::to_string(&credential(sealed())).unwrap();
        assert_eq!(serde_json::from_str::<Credential>(&text).unwrap(), credential(sealed()));
        assert!(!format!("{:?}", credential(sealed())).contains("abc"));
    }

    #[test]
    fn the_release_before_reads_a_credential_that_nobody_can_prove() {
        let text = serde_json::to_string(&credential(sealed())).unwrap();
        let before: Before = serde_json::from_str(&text).unwrap();
        let KindBefore::Basic { secret } = before.kind;
        assert_eq!((before.id.as_str(), secret, before.revoked_at), ("acme-hmac", NOBODY, None));
    }

    #[test]
    fn the_plain_way_of_writing_is_read_already_and_a_missing_secret_is_refused() {
        let plain: CredentialKind = serde_json::from_str(r#"{"kind":"hmac","hmac":"v1.abc"}"#).unwrap();
        assert_eq!(plain, sealed());
        assert!(serde_json::from_str::<CredentialKind>(r#"{"kind":"hmac"}"#).is_err());
    }

    #[test]
    fn basic_credentials_are_written_as_before() {
        let basic = CredentialKind::Basic { secret: SecretHash([7; 32]) };
        let sevens = vec!["7"; 32].join(",");
        let text = format!(r#"{{"kind":"basic","secret":[{sevens}]}}"#);
        assert_eq!(serde_json::to_string(&basic).unwrap(), text);
        assert_eq!(serde_json::from_str::<CredentialKind>(&text).unwrap(), basic);
    }
}
