//! What is not signed as it should be is a `401` and has no effect; a secret that could be guessed signs nothing, since no credential is made
//! of it.

use std::{fs, time::Duration};

use data_encoding::BASE64;
use naru_tests::{
    gateway::{Gateway, Setup},
    proving::{Shape, Signing, add_signer, secret},
    wire::{Reply, Wire},
};

use crate::stage::{beside_others, message, within};

const PATIENCE: Duration = Duration::from_secs(15);

/// Status and code.
fn told(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn what_is_not_signed_as_it_should_be_is_a_401_and_has_no_effect() {
    let _beside = beside_others();
    let config = "[ingress]\nguess_wait_ms = 0\n".to_owned();
    let setup = Setup { customers: 2, quota: Some(1_000), config, ..Setup::default() };
    let gateway = Gateway::spawn(&setup).unwrap();
    let mine = add_signer(&gateway, "c0", "signer-0").unwrap();
    let other = add_signer(&gateway, "c1", "signer-1").unwrap();
    let (body, another) = (message("sms", "signed").to_string(), message("sms", "another").to_string());
    let host = gateway.address().to_string();
    let good = Shape { host: &host, method: "POST", path: "/v1.0/messages", body: &body };
    let now = || Signing::now(good, "signer-0", &mine);
    let ask = |bytes: &[u8]| Wire::new(gateway.address(), PATIENCE).exchange(bytes).unwrap();
    // Known within a second.
    let first = within(PATIENCE, "a call that is signed as it should be is taken", || {
        let bytes = now().call(&good);
        (ask(&bytes).status == 202).then_some(bytes)
    });
    assert_eq!(told(&ask(&first)), (401, "nonce-replayed".to_owned()));
    let created_now = now().created;
    let wrong = |code: &str, call: Vec<u8>, what: &str| {
        assert_eq!(told(&ask(&call)), (401, code.to_owned()), "{what}");
    };
    wrong("signed-digest-mismatch", now().call(&Shape { body: &another, ..good }), "another body");
    let bare = Signing { covers_digest: false, ..now() };
    wrong("signature-incomplete", bare.call(&good), "a digest that is not signed");
    for (what, signs) in [
        ("another method", Shape { method: "PUT", ..good }),
        ("another path", Shape { path: "/v1.0/messages/batch", ..good }),
        ("another authority", Shape { host: "naru.example", ..good }),
    ] {
        wrong("unauthorized", Signing { signs, ..now() }.call(&good), what);
    }
    let query = Shape { path: "/v1.0/messages?dry_run=false", ..good };
    wrong("unauthorized", now().call(&query), "another query");
    for created in [created_now - 305, created_now + 305, 0] {
        let stale = Signing { created, ..now() };
        wrong("stale-signature", stale.call(&good), &format!("made at {created}"));
    }
    for more in [";alg=\"none\"", ";alg=\"hmac-sha512\"", ";alg=\"rsa-v1_5-sha256\""] {
        wrong("malformed-signature", Signing { more, ..now() }.call(&good), more);
    }
    let nothing = secret(b"");
    for (what, id, secret) in [
        ("another customer's key id", "signer-1", &mine),
        ("another customer's secret", "signer-0", &other),
        ("an unknown key id", "signer-2", &mine),
        ("a key id of a password", "c0-live", &mine),
        ("an empty secret", "signer-0", &nothing),
    ] {
        wrong("unauthorized", Signing::now(good, id, secret).call(&good), what);
    }
    let used = |index| gateway.customer(index).get("/quota").unwrap().json()["quotas"][0]["used"].as_u64();
    within(PATIENCE, "the first call is charged", || (used(0) == Some(1)).then_some(()));
    assert_eq!((used(0), used(1)), (Some(1), Some(0)));
}

#[test]
fn no_credential_is_made_of_an_empty_or_weak_secret() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let path = gateway.home().join("secret");
    let add = |secret: &str| {
        fs::write(&path, secret).unwrap();
        let file = path.to_str().unwrap();
        gateway.verb(&["credential", "add", "c0", "--kind", "hmac", "--secret-file", file])
    };
    let before = gateway.verb(&["credential", "list", "--json"]).unwrap();
    let random: Vec<u8> = (0..=255_u8).map(|byte| byte.wrapping_mul(167) ^ 0x5a).collect();
    let of = |length: usize| BASE64.encode(&random[..length]);
    for weak in [String::new(), "\n".to_owned(), "secret".to_owned(), of(1), of(31), of(129), "!".repeat(44)]
    {
        let refused = add(&weak);
        assert!(refused.is_err(), "{weak:?}: {refused:?}");
    }
    assert_eq!(gateway.verb(&["credential", "list", "--json"]).unwrap(), before);
    add(&of(32)).unwrap();
}
