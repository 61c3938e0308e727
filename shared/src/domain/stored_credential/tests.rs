//! What is written is read, here and by the release before.

use super::*;
use crate::catalog::Entry;
use crate::domain::{
    Access, Credential, Environment, KeyMaterial, PublicKey, Timestamp, token_key::TokenAlgorithm,
};

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
        id: "acme-key".parse().unwrap(),
        customer: "acme".parse().unwrap(),
        environment: Environment::Live,
        kind,
        created_at: Timestamp::from_millis(0),
        access: Access::default(),
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
    assert_eq!((before.id.as_str(), secret, before.revoked_at), ("acme-key", NOBODY, None));
}

#[test]
fn the_plain_way_of_writing_is_read_already_and_a_missing_secret_is_refused() {
    let plain: CredentialKind = serde_json::from_str(r#"{"kind":"hmac","hmac":"v1.abc"}"#).unwrap();
    assert_eq!(plain, sealed());
    assert!(serde_json::from_str::<CredentialKind>(r#"{"kind":"hmac"}"#).is_err());
}

#[test]
fn basic_credentials_are_written_as_before() {
    let basic = CredentialKind::Basic { secret: SecretHash([7; 32]), password: None };
    let sevens = vec!["7"; 32].join(",");
    let text = format!(r#"{{"kind":"basic","secret":[{sevens}]}}"#);
    assert_eq!(serde_json::to_string(&basic).unwrap(), text);
    assert_eq!(serde_json::from_str::<CredentialKind>(&text).unwrap(), basic);
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
fn the_release_before_reads_keys_as_one_that_no_password_opens() {
    let text = serde_json::to_string(&tokens()).unwrap();
    let before: Before = serde_json::from_str(&text).unwrap();
    let KindBefore::Basic { secret } = before.kind;
    assert_eq!((before.id.as_str(), secret), ("acme-key", NOBODY));
}

#[test]
fn the_plain_way_of_writing_keys_is_read_already() {
    let CredentialKind::Jwt { keys } = tokens().kind else { panic!("it has keys") };
    let mut plain = serde_json::to_value(tokens()).unwrap();
    plain["kind"] = "jwt".into();
    plain["keys"] = serde_json::to_value(keys).unwrap();
    assert_eq!(serde_json::from_value::<Credential>(plain).unwrap(), tokens());
}

#[test]
fn a_basic_credential_has_nothing_beside_it() {
    let basic = credential(CredentialKind::Basic { secret: SecretHash([7; 32]), password: None });
    let value = serde_json::to_value(&basic).unwrap();
    assert_eq!((&value["kind"], value.get("jwt")), (&"basic".into(), None));
    assert_eq!(serde_json::from_value::<Credential>(value).unwrap(), basic);
}

#[test]
fn keys_that_only_a_newer_release_can_read_open_nothing() {
    let mut value = serde_json::to_value(tokens()).unwrap();
    value["jwt"]["keys"][0]["alg"] = "ML-DSA-65".into();
    let read: Credential = serde_json::from_value(value).unwrap();
    assert_eq!(read.kind, CredentialKind::Basic { secret: NOBODY, password: None });
}
