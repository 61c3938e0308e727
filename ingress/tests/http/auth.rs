use naru_shared::{catalog::Entry, domain::Timestamp};

use crate::gateway::{Gateway, JSON, LIVE, Setup, TEST, sms};

fn without_instance(reply: &crate::wire::Reply) -> String {
    let id = reply.header("request-id").unwrap();
    String::from_utf8(reply.body.clone()).unwrap().replace(id, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_look_up_fails_with_the_same_bytes() {
    let gateway = Gateway::spawn().await;
    gateway.change(&Setup::default(), |all| {
        for entry in all {
            if let Entry::Credential(credential) = entry
                && credential.id.as_str() == "other-live"
            {
                credential.revoked_at = Some(Timestamp::from_millis(1));
            }
        }
    });
    let mut seen = Vec::new();
    for (what, basic) in [
        ("unknown id", "bm9ib2R5OnNlY3JldDprZXk="),
        ("wrong password", "YWNtZS1saXZlOndyb25nOmtleQ=="),
        ("wrong key", "YWNtZS1saXZlOnNlY3JldDp3cm9uZw=="),
        ("revoked", "b3RoZXItbGl2ZTpzZWNyZXQ6a2V5"),
    ] {
        let header = format!("Basic {basic}");
        let reply = gateway.call("GET", "/v1.0/quota", &[("Authorization", &header)], "").await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "unauthorized"), "{what}");
        let challenge = "Basic realm=\"naru\", charset=\"UTF-8\", Bearer realm=\"naru\"";
        assert_eq!(reply.header("www-authenticate"), Some(challenge));
        assert_eq!(reply.header("ratelimit"), None);
        let mut names: Vec<_> = reply.headers.keys().cloned().collect();
        names.sort_unstable();
        seen.push((without_instance(&reply), names));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_that_needs_no_look_up_has_its_own_code() {
    let gateway = Gateway::spawn().await;
    let none = gateway.call("GET", "/v1.0/quota", &[], "").await;
    assert_eq!((none.status, none.code().as_str()), (401, "missing-authorization"));
    // no colon, one colon, empty id, not base64, not UTF-8, no padding, another scheme, no scheme
    for value in [
        "Basic YWNtZQ==",
        "Basic YTpi",
        "Basic OnNlY3JldDprZXk=",
        "Basic %%%",
        "Basic /////w==",
        "Basic YTpiOmM6ZA",
        "Digest abc",
        "Basic",
        "",
    ] {
        let reply = gateway.call("GET", "/v1.0/quota", &[("Authorization", value)], "").await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "malformed-authorization"), "{value}");
    }
    let twice = gateway.call("GET", "/v1.0/quota", &[LIVE, LIVE], "").await;
    assert_eq!((twice.status, twice.code().as_str()), (400, "duplicate-header"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_opens_its_own_environment_only() {
    let gateway = Gateway::spawn().await;
    for (credential, path) in [(LIVE, "/sandbox/v1.0/messages"), (TEST, "/v1.0/messages")] {
        let reply = gateway.call("POST", path, &[credential, JSON], &sms("a").to_string()).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "wrong-environment"));
    }
    assert!(gateway.messages().await.is_empty() && gateway.messages_of("sandbox").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_customer_is_refused_and_nobody_else() {
    let gateway = Gateway::spawn().await;
    gateway.change(&Setup::default(), |all| {
        for entry in all {
            if let Entry::Customer(customer) = entry {
                customer.suspended = customer.id.as_str() == "acme";
            }
        }
    });
    let refused = gateway.post("/v1.0/messages", &sms("a")).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "suspended"));
    let other = gateway.call("GET", "/v1.0/quota", &[crate::gateway::OTHER], "").await;
    assert_eq!(other.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_never_a_401() {
    let gateway = Gateway::with(Setup { complete: false, ..Setup::default() }).await;
    let reply =
        gateway.call("GET", "/v1.0/quota", &[("Authorization", "Basic bm9ib2R5OnNlY3JldDprZXk=")], "").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "unavailable"));
    assert!(reply.header("retry-after").is_some());
}
