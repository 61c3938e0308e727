use super::*;
use crate::domain::{
    Access, Credential, CredentialKind, Environment, HttpBackend, Route, SecretHash, Webhook, WhyDisabled,
    preset,
};

fn credential() -> Credential {
    Credential {
        id: "acme-live".parse().unwrap(),
        customer: "acme".parse().unwrap(),
        environment: Environment::Live,
        kind: CredentialKind::Basic { secret: SecretHash([0xab; 32]), password: None },
        access: Access::default(),
        created_at: Timestamp::from_millis(0),
        revoked_at: None,
        version: 7,
    }
}

fn webhook(url: &str) -> Webhook {
    let document = json!({
        "name": "main", "customer": "acme", "environment": "live", "url": url, "generation": 1,
        "state": "enabled", "since": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z", "version": 3,
    });
    serde_json::from_value(document).unwrap()
}

fn told(entry: Entry, before: u64) -> Event {
    event(&entry, before, &Actor::operator("kim"), Timestamp::from_millis(1_000)).unwrap()
}

#[test]
fn an_act_tells_who_did_what_and_never_a_secret_or_its_hash() {
    let made = told(Entry::Credential(credential()), 0);
    assert_eq!(made.kind, "naru.credential.created");
    assert_eq!((made.subject.as_str(), made.sequence), ("catalog/credential/acme-live", 7));
    assert_eq!(made.data["actor"], json!({ "kind": "operator", "name": "kim" }));
    assert_eq!(made.data["customer"], "acme");
    let text = serde_json::to_string(&made).unwrap();
    assert!(!text.contains("secret") && !text.contains("171,171"), "{text}");
    let revoked = Credential { revoked_at: Some(Timestamp::from_millis(1)), ..credential() };
    assert_eq!(told(Entry::Credential(revoked), 7).kind, "naru.credential.revoked");
}

#[test]
fn of_keys_their_names_are_told_and_what_they_verify() {
    let document = json!({
        "id": "acme-tokens", "customer": "acme", "environment": "live", "kind": "jwt",
        "keys": [{ "kid": "k-1", "alg": "HS256", "material": { "sealed": "v1.s3cret" }, "added_at": "2026-01-01T00:00:00Z" }],
        "created_at": "2026-01-01T00:00:00Z", "revoked_at": null, "version": 7,
    });
    let made = told(Entry::Credential(serde_json::from_value(document).unwrap()), 3);
    assert_eq!(
        (made.kind.as_str(), &made.data["document"]["kind"]),
        ("naru.credential.changed", &json!("jwt"))
    );
    assert_eq!(made.data["document"]["keys"], json!([{ "kid": "k-1", "alg": "HS256" }]));
    assert!(!serde_json::to_string(&made).unwrap().contains("s3cret"));
    assert_eq!(told(Entry::Credential(credential()), 3).data["document"].get("keys"), None);
}

#[test]
fn of_a_webhook_only_the_host_is_told_and_what_a_process_does_to_it_is_no_act() {
    for (url, shown) in [
        ("https://hooks.acme.example/T0/s3cret?key=s3cret#s3cret", "https://hooks.acme.example/…"),
        ("https://acme.example:8443?s3cret", "https://acme.example:8443/…"),
        ("https://who:s3cret@acme.example/", "https://acme.example/"),
        ("https://acme.example", "https://acme.example/"),
    ] {
        let made = told(Entry::Webhook(webhook(url)), 0);
        assert_eq!(made.data["document"]["url"], shown);
        assert!(!serde_json::to_string(&made).unwrap().contains("s3cret"));
        assert_eq!((made.kind.as_str(), &made.data["customer"]), ("naru.webhook.created", &json!("acme")));
    }
    let off = webhook("https://acme.example/").disabled(WhyDisabled::Failing, Timestamp::from_millis(1));
    assert_eq!(event(&Entry::Webhook(off), 3, &Actor::Process, Timestamp::from_millis(1)), None);
}

#[test]
fn the_mark_of_the_deployment_s_secrets_is_told_to_nobody() {
    let mark = Entry::Keys(crate::catalog::KeysMark { fingerprint: "f".to_owned(), version: 1 });
    for actor in [Actor::Process, Actor::operator("kim")] {
        assert_eq!(event(&mark, 0, &actor, Timestamp::from_millis(1)), None);
    }
}

#[test]
fn of_a_backend_s_url_the_query_is_not_told() {
    let document = json!({
        "name": "a", "environment": "live", "on_uncertain": "fail", "idempotent": false, "concurrency": 1,
        "attempt_timeout_ms": 1_000, "max_attempts": 1, "paused": false, "version": 1,
        "backend": { "kind": "http", "url": "https://a.example/send?key=s3cret" },
    });
    let mut route: Route = serde_json::from_value(document).unwrap();
    let made = told(Entry::Route(route.clone()), 0);
    assert_eq!(made.data["document"]["backend"]["url"], "https://a.example/send?…");
    assert!(!serde_json::to_string(&made).unwrap().contains("s3cret"));
    let url = "https://a.example/send".to_owned();
    route.backend =
        BackendConfig::Http(HttpBackend { url: url.clone(), allow_networks: Vec::new(), provider: None });
    assert_eq!(told(Entry::Route(route), 1).data["document"]["backend"]["url"], url);
}

#[test]
fn of_a_provider_only_the_host_is_told_and_that_its_description_changed() {
    let document = |secret: &str| {
        json!({
            "name": "a", "environment": "live", "on_uncertain": "fail", "idempotent": false, "concurrency": 1,
            "attempt_timeout_ms": 1_000, "max_attempts": 1, "paused": false, "version": 1,
            "backend": { "kind": "http", "url": "", "provider": {
                "url": "https://a.example:8443/s3cret/x", "headers": { "x-odd": "s3cret" },
                "auth": { "kind": "bearer", "token": { "sealed": secret } },
            } },
        })
    };
    let made = |secret: &str| {
        let route: Route = serde_json::from_value(document(secret)).unwrap();
        assert!(!format!("{route:?}").contains("s3cret"), "nor does a log tell it");
        told(Entry::Route(route), 0)
    };
    let provider = |event: &Event| event.data["document"]["backend"]["provider"].clone();
    let first = made("v1.s3cret");
    assert!(!serde_json::to_string(&first).unwrap().contains("s3cret"), "{first:?}");
    assert_eq!(provider(&first)["url"], "https://a.example:8443/…");
    assert_ne!(provider(&first)["digest"], provider(&made("v1.s3cret-2"))["digest"]);
    assert_eq!(provider(&first), provider(&made("v1.s3cret")));
}

#[test]
fn a_route_that_the_release_before_wrote_has_no_rate_and_the_usual_retry_budget() {
    let text = json!({
        "name": "a", "environment": "live", "on_uncertain": "fail", "idempotent": false, "concurrency": 1,
        "attempt_timeout_ms": 1_000, "max_attempts": 1, "paused": false, "version": 1,
        "backend": { "kind": "http", "url": "https://a.example/" },
    });
    let route: Route = serde_json::from_value(text).unwrap();
    assert_eq!((route.pacing.per_second, route.pacing.retry_percent), (None, 20));
}

#[test]
fn of_a_table_s_address_no_secret_is_told() {
    let document = json!({
        "name": "a", "environment": "live", "on_uncertain": "fail", "idempotent": true, "concurrency": 1,
        "attempt_timeout_ms": 1_000, "max_attempts": 1, "paused": false, "version": 1,
        "backend": { "kind": "table", "url": "postgres://u:s3cret@db/relay?password=s3cret",
            "mapping": preset("em_tran").unwrap() },
    });
    let route: Route = serde_json::from_value(document).unwrap();
    let made = told(Entry::Route(route.clone()), 0);
    assert_eq!(made.data["document"]["backend"]["kind"], "table");
    assert_eq!(made.data["document"]["backend"]["url"], "postgres://…@db/relay?…");
    assert!(!serde_json::to_string(&made).unwrap().contains("s3cret"));
    assert!(!format!("{route:?}").contains("s3cret"));
}

#[test]
fn ids_are_stable_and_not_used_again_by_a_catalog_that_was_restored() {
    let entry = Entry::Credential(credential());
    let at = |millis, who: &Actor| event(&entry, 0, who, Timestamp::from_millis(millis)).unwrap().id;
    let kim = Actor::operator("kim");
    assert_eq!(at(1_000, &kim), at(1_000, &kim));
    assert!(at(1_000, &kim).starts_with("act_7_"));
    assert_ne!(at(1_000, &kim), at(2_000, &kim));
    assert_ne!(at(1_000, &kim), at(1_000, &Actor::operator("lee")));
}

#[test]
fn a_name_breaks_no_line_and_is_bounded() {
    let name = |text: &str| Actor::operator(text).told()["name"].as_str().map(str::to_owned).unwrap();
    assert_eq!(name("kim\r\n\u{1b}[2J"), "kim[2J");
    assert_eq!(name("\n"), "unknown");
    assert_eq!(name(&"x".repeat(1_000)).len(), NAME);
}
