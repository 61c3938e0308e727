//! How a credential proves itself, as documents of the catalog hold it.
//!
//! A release reads all credentials, or none: it must not meet a `kind` that it does not know, or it would hear of no revocation any
//! more. What proves itself otherwise is therefore written as a Basic credential whose hash is all zeros, with what proves it
//! beside it. For a release that knows nothing of it no password has that hash, and such a credential opens nothing there. The plain
//! way of writing is read already.

use serde::{Deserialize, Serialize};

use super::{
    customer::{CredentialKind, SecretHash},
    token_key::TokenKey,
};

/// The hash that no password has.
const NONE: SecretHash = SecretHash([0; 32]);

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum StoredKind {
    Basic(StoredBasic),
    Jwt(Tokens),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum StoredBasic {
    Jwt { secret: SecretHash, jwt: Tokens },
    Plain { secret: SecretHash },
}

/// What proves a credential by tokens.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    keys: Vec<TokenKey>,
}

impl From<StoredKind> for CredentialKind {
    fn from(stored: StoredKind) -> Self {
        match stored {
            StoredKind::Basic(StoredBasic::Plain { secret }) => Self::Basic { secret },
            StoredKind::Basic(StoredBasic::Jwt { jwt, .. }) | StoredKind::Jwt(jwt) => {
                Self::Jwt { keys: jwt.keys }
            }
        }
    }
}

impl From<CredentialKind> for StoredKind {
    fn from(kind: CredentialKind) -> Self {
        Self::Basic(match kind {
            CredentialKind::Basic { secret } => StoredBasic::Plain { secret },
            CredentialKind::Jwt { keys } => StoredBasic::Jwt { secret: NONE, jwt: Tokens { keys } },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Entry;
    use crate::domain::{
        Credential, Environment, KeyMaterial, PublicKey, Timestamp, token_key::TokenAlgorithm,
    };

    /// What the release before knows of credentials.
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Before {
        Basic { secret: SecretHash },
    }

    #[derive(Debug, Deserialize)]
    struct CredentialBefore {
        id: String,
        #[serde(flatten)]
        kind: Before,
    }

    fn credential(kind: CredentialKind) -> Credential {
        Credential {
            id: "acme-tokens".parse().unwrap(),
            customer: "acme".parse().unwrap(),
            environment: Environment::Live,
            kind,
            created_at: Timestamp::from_millis(1),
            revoked_at: None,
            version: 7,
        }
    }

    fn tokens() -> Credential {
        let key = |kid: &str, alg, material| TokenKey {
            kid: kid.parse().unwrap(),
            alg,
            material,
            added_at: Timestamp::from_millis(2),
        };
        let keys = vec![
            key("a", TokenAlgorithm::Es256, KeyMaterial::Public(PublicKey::new(&[1, 2, 3]))),
            key("b", TokenAlgorithm::Hs256, KeyMaterial::Sealed("v1.AAAA".to_owned())),
        ];
        credential(CredentialKind::Jwt { keys })
    }

    #[test]
    fn a_credential_with_keys_is_read_as_it_was_written() {
        let text = serde_json::to_string(&tokens()).unwrap();
        assert_eq!(serde_json::from_str::<Credential>(&text).unwrap(), tokens(), "{text}");
        let entry = Entry::Credential(tokens());
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
    }

    #[test]
    fn the_release_before_reads_one_that_no_password_opens() {
        let text = serde_json::to_string(&tokens()).unwrap();
        let before: CredentialBefore = serde_json::from_str(&text).unwrap();
        let Before::Basic { secret } = before.kind;
        assert_eq!((before.id.as_str(), secret), ("acme-tokens", NONE));
    }

    #[test]
    fn the_plain_way_of_writing_is_read_already() {
        let CredentialKind::Jwt { keys } = tokens().kind else { panic!("it has keys") };
        let mut plain = serde_json::to_value(tokens()).unwrap();
        plain["kind"] = "jwt".into();
        plain["keys"] = serde_json::to_value(keys).unwrap();
        assert_eq!(serde_json::from_value::<Credential>(plain).unwrap(), tokens());
    }

    #[test]
    fn a_basic_credential_is_written_as_before() {
        let basic = credential(CredentialKind::Basic { secret: SecretHash([7; 32]) });
        let value = serde_json::to_value(&basic).unwrap();
        assert_eq!((&value["kind"], value.get("jwt")), (&"basic".into(), None));
        assert_eq!(serde_json::from_value::<Credential>(value).unwrap(), basic);
    }

    #[test]
    fn keys_that_only_a_newer_release_can_read_open_nothing() {
        let mut value = serde_json::to_value(tokens()).unwrap();
        value["jwt"]["keys"][0]["alg"] = "ML-DSA-65".into();
        let read: Credential = serde_json::from_value(value).unwrap();
        assert_eq!(read.kind, CredentialKind::Basic { secret: NONE });
    }
}
