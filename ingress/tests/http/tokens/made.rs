//! Tokens that are made here for a Basic credential.

use data_encoding::BASE64URL_NOPAD;
use naru_shared::{
    catalog::Entry,
    domain::{Customer, Timestamp},
};
use serde_json::{Value, json};

use super::Stage;
use crate::{
    gateway::{Gateway, JSON, LIVE, Setup, TEST, sms},
    wire::Reply,
};

async fn made(gateway: &Gateway, path: &str, user: (&str, &str), body: &str) -> Reply {
    gateway.call("POST", path, &[user, JSON], body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_basic_credential_gets_a_token_that_opens_what_it_opens() {
    let gateway = Gateway::spawn().await;
    for (user, base, other) in [(LIVE, "/v1.0", "/sandbox/v1.0"), (TEST, "/sandbox/v1.0", "/v1.0")] {
        let reply = made(&gateway, &format!("{base}/tokens"), user, "").await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{reply:?}");
        let answer = reply.json();
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)));
        assert_eq!(answer.as_object().unwrap().len(), 3);
        let token = format!("Bearer {}", answer["access_token"].as_str().unwrap());
        let bearer = ("Authorization", token.as_str());
        let sent =
            gateway.call("POST", &format!("{base}/messages"), &[bearer, JSON], &sms("a").to_string()).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        let elsewhere = gateway.call("GET", &format!("{other}/quota"), &[bearer], "").await;
        assert_eq!((elsewhere.status, elsewhere.code().as_str()), (403, "wrong-environment"));
        let again = made(&gateway, &format!("{base}/tokens"), bearer, "").await;
        assert_eq!((again.status, again.code().as_str()), (403, "basic-needed"));
    }
    let mut lives = Vec::new();
    for body in [r#"{"expires_in":60}"#, r#"{"expires_in":3600}"#, "{}"] {
        let answer = made(&gateway, "/v1.0/tokens", LIVE, body).await.json();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        let claims = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["sub"], &claims["aud"]), (&json!("acme-live"), &json!("naru")));
        lives.push((
            answer["expires_in"].clone(),
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        ));
    }
    assert_eq!(lives, [(json!(60), 60), (json!(3_600), 3_600), (json!(900), 900)]);
    for (body, status, code) in [
        (r#"{"expires_in":3601}"#, 422, "invalid-message"),
        (r#"{"expires_in":"60"}"#, 422, "invalid-message"),
        (r#"{"scope":"send"}"#, 422, "unknown-field"),
        ("{", 400, "malformed-json"),
    ] {
        let reply = made(&gateway, "/v1.0/tokens", LIVE, body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{body}");
    }
    let nobody = gateway.call("POST", "/v1.0/tokens", &[], "").await;
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "missing-authorization"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_made_dies_with_its_credential_and_rests_with_its_customer() {
    let stage = Stage::new().await;
    let answer = made(&stage.gateway, "/v1.0/tokens", LIVE, "").await.json();
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(stage.quota(token).await.status, 200);
    let customer = Customer { suspended: true, version: 800, ..Customer::new("acme".parse().unwrap()) };
    stage.gateway.registry.apply(vec![Entry::Customer(customer.clone())], true, 800);
    assert_eq!(stage.quota(token).await.code(), "suspended");
    let customer = Customer { suspended: false, version: 801, ..customer };
    stage.gateway.registry.apply(vec![Entry::Customer(customer)], true, 801);
    assert_eq!(stage.quota(token).await.status, 200);
    stage.gateway.change(&Setup::default(), |all| {
        for entry in all {
            if let Entry::Credential(credential) = entry {
                credential.revoked_at = Some(Timestamp::from_millis(1));
            }
        }
    });
    assert_eq!(stage.quota(token).await.code(), "unauthorized");
    // Who signs tokens needs none.
    let own = format!("Bearer {}", stage.good());
    let refused = made(&stage.gateway, "/v1.0/tokens", ("Authorization", &own), "").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "basic-needed"));
}
