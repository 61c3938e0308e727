use std::time::Instant;

use data_encoding::BASE64;
use futures_util::future::join_all;
use naru_ingress::IngressConfig;
use naru_shared::{
    catalog::Entry,
    domain::{CredentialKind, Timestamp},
};

use crate::gateway::{Gateway, Setup};

const PASSWORD: &str = "korrekt: pferd batterie";

/// A front behind a proxy on this machine, so that callers have addresses; the live credential's password was chosen.
async fn spawn() -> (Gateway, Setup) {
    let default = Setup::default();
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let setup = Setup { config: IngressConfig { trusted_proxies, ..default.config.clone() }, ..default };
    let gateway = Gateway::with(setup.clone()).await;
    choose(&gateway, &setup, PASSWORD, None);
    (gateway, setup)
}

fn choose(gateway: &Gateway, setup: &Setup, password: &str, revoked_at: Option<Timestamp>) {
    let (hasher, passwords) = gateway.hashers();
    gateway.change(setup, |all| {
        for entry in all {
            if let Entry::Credential(credential) = entry
                && credential.id.as_str() == "acme-live"
            {
                let secret = hasher.api_key("acme-live", "key");
                let password = Some(passwords.keep(password).unwrap());
                credential.kind = CredentialKind::Basic { secret, password };
                credential.revoked_at = revoked_at;
            }
        }
    });
}

async fn call(gateway: &Gateway, password: &str, key: &str, from: &str) -> (u16, String) {
    let header = format!("Basic {}", BASE64.encode(format!("acme-live:{password}:{key}").as_bytes()));
    let headers = [("Authorization", header.as_str()), ("X-Forwarded-For", from)];
    let reply = gateway.call("GET", "/v1.0/quota", &headers, "").await;
    (reply.status, if reply.status == 200 { String::new() } else { reply.code() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_password_opens_with_its_key_and_nothing_else_does() {
    let (gateway, _) = spawn().await;
    let from = "192.0.2.1";
    assert_eq!(call(&gateway, PASSWORD, "key", from).await.0, 200);
    for (password, key) in
        [(PASSWORD, "kex"), ("wrong password!", "key"), ("wrong password!", "kex"), ("secret", "key")]
    {
        assert_eq!(
            call(&gateway, password, key, from).await,
            (401, "unauthorized".to_owned()),
            "{password} {key}"
        );
    }
    assert_eq!(call(&gateway, PASSWORD, "key", from).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_calls_at_once_are_verified_once() {
    let (gateway, _) = spawn().await;
    let calls = (0..60).map(|_| call(&gateway, PASSWORD, "key", "192.0.2.1"));
    for reply in join_all(calls).await {
        assert_eq!(reply.0, 200, "{}", reply.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_without_the_key_are_as_many_as_they_like_and_cost_next_to_nothing() {
    let (gateway, _) = spawn().await;
    let began = Instant::now();
    assert_eq!(call(&gateway, "one that is verified", "key", "192.0.2.9").await.0, 401);
    let verified = began.elapsed();
    let began = Instant::now();
    for number in 0..200 {
        let guess = format!("guess number {number}");
        assert_eq!(call(&gateway, &guess, "wrong", "192.0.2.9").await, (401, "unauthorized".to_owned()));
    }
    let each = began.elapsed() / 200;
    assert!(each < verified / 2, "{each:?} each; a password that is verified takes {verified:?}");
    assert_eq!(
        call(&gateway, PASSWORD, "key", "192.0.2.9").await.0,
        200,
        "they count as no guess of who holds the key"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_with_the_key_are_bounded_by_source_and_lock_nobody_out() {
    let (gateway, _) = spawn().await;
    let (bad, good, known) = ("192.0.2.66", "198.51.100.1", "192.0.2.66");
    // Somebody behind the same address was verified before.
    assert_eq!(call(&gateway, PASSWORD, "key", known).await.0, 200);
    let mut codes = Vec::new();
    for number in 0..20 {
        codes.push(call(&gateway, &format!("guess number {number}"), "key", bad).await.1);
    }
    let looked_at = codes.iter().filter(|code| *code == "unauthorized").count();
    let put_off = codes.iter().filter(|code| *code == "too-many-guesses").count();
    assert_eq!((looked_at, put_off), (10, 10), "{codes:?}");
    // A wrong one that is known is wrong still, and is looked at by nobody.
    assert_eq!(call(&gateway, "guess number 0", "key", bad).await.1, "unauthorized");
    assert_eq!(call(&gateway, PASSWORD, "key", known).await.0, 200, "behind the same address");
    assert_eq!(call(&gateway, PASSWORD, "key", good).await.0, 200, "and elsewhere");
    assert_eq!(
        call(&gateway, "another guess", "key", good).await.1,
        "unauthorized",
        "others have guesses of their own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_password_ends_with_its_credential() {
    let (gateway, setup) = spawn().await;
    assert_eq!(call(&gateway, PASSWORD, "key", "192.0.2.1").await.0, 200);
    choose(&gateway, &setup, PASSWORD, Some(Timestamp::from_millis(1)));
    assert_eq!(call(&gateway, PASSWORD, "key", "192.0.2.1").await, (401, "unauthorized".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_opens_no_more() {
    let (gateway, setup) = spawn().await;
    assert_eq!(call(&gateway, PASSWORD, "key", "192.0.2.1").await.0, 200);
    choose(&gateway, &setup, "another korrekt pferd", None);
    assert_eq!(call(&gateway, PASSWORD, "key", "192.0.2.1").await.0, 401);
    assert_eq!(call(&gateway, "another korrekt pferd", "key", "192.0.2.1").await.0, 200);
}
