use naru_ingress::{ForwardedBy, IngressConfig};
use naru_shared::{
    catalog::Entry,
    domain::{Access, Customer, Scope, Scopes},
};

use crate::gateway::{Gateway, JSON, LIVE, OTHER, Setup, sms};

/// The live credential may do and come from where `access` says.
fn limited(gateway: &Gateway, setup: &Setup, access: &Access) {
    gateway.change(setup, |all| {
        for entry in all {
            if let Entry::Credential(credential) = entry
                && credential.id.as_str() == "acme-live"
            {
                credential.access = access.clone();
            }
        }
    });
}

fn scopes(scopes: &[Scope]) -> Access {
    Access { scopes: Scopes::only(scopes.to_vec()), ..Access::default() }
}

fn addresses(networks: &[&str]) -> Access {
    let addresses = networks.iter().map(|network| network.parse().unwrap()).collect();
    Access { addresses, ..Access::default() }
}

/// A front that believes whom it is told of by this machine.
fn behind_a_proxy(by: ForwardedBy) -> Setup {
    let default = Setup::default();
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    Setup { config: IngressConfig { trusted_proxies, forwarded_by: by, ..default.config.clone() }, ..default }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_does_what_its_scopes_say_and_nothing_else() {
    let gateway = Gateway::spawn().await;
    let id = gateway.post("/v1.0/messages", &sms("before")).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(gateway.messages().await.len(), 1);
    let calls = [
        (Scope::Send, "POST", "/v1.0/messages".to_owned(), sms("a").to_string()),
        (Scope::Send, "POST", "/v1.0/messages?dry_run=true".to_owned(), sms("a").to_string()),
        (Scope::Send, "POST", "/v1.0/messages/batch".to_owned(), format!(r#"{{"messages":[{}]}}"#, sms("b"))),
        (Scope::Read, "GET", format!("/v1.0/messages/{id}"), String::new()),
        (Scope::Read, "GET", "/v1.0/reports".to_owned(), String::new()),
        (Scope::Read, "GET", "/v1.0/quota".to_owned(), String::new()),
        (
            Scope::Read,
            "POST",
            "/v1.0/reports/ack".to_owned(),
            format!(r#"{{"reports":[{{"id":"{id}","revision":1}}]}}"#),
        ),
        (Scope::Cancel, "DELETE", format!("/v1.0/messages/{id}"), String::new()),
    ];
    for only in Scope::ALL {
        limited(&gateway, &Setup::default(), &scopes(&[only]));
        for (needed, method, path, body) in &calls {
            let reply = gateway.call(method, path, &[LIVE, JSON], body).await;
            if *needed == only {
                assert!(reply.status < 300, "{only:?} {method} {path}: {}", reply.status);
            } else {
                assert_eq!(
                    (reply.status, reply.code().as_str()),
                    (403, "insufficient-scope"),
                    "{only:?} {method} {path}"
                );
                assert!(reply.header("ratelimit").is_none(), "it cost nothing");
            }
        }
    }
    assert_eq!(gateway.messages().await.len(), 2, "those of the credential that may send, and no others");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_asked_of_who_proved_itself_and_of_nobody_else() {
    let gateway = Gateway::spawn().await;
    limited(&gateway, &Setup::default(), &addresses(&["192.0.2.0/24", "2001:db8::/32"]));
    let elsewhere = gateway.get("/v1.0/quota").await;
    assert_eq!((elsewhere.status, elsewhere.code().as_str()), (403, "address-not-allowed"));
    // Whoever guesses learns nothing of it, and a header that nobody vouches for changes nothing.
    let wrong = ("Authorization", "Basic YWNtZS1saXZlOndyb25nOmtleQ==");
    let guess = gateway.call("GET", "/v1.0/quota", &[wrong], "").await;
    assert_eq!((guess.status, guess.code().as_str()), (401, "unauthorized"));
    for name in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP"] {
        for value in ["192.0.2.7", "for=192.0.2.7", "for=\"", "%%%"] {
            let forged = gateway.call("GET", "/v1.0/quota", &[LIVE, (name, value)], "").await;
            assert_eq!(
                (forged.status, forged.code().as_str()),
                (403, "address-not-allowed"),
                "{name}: {value}"
            );
        }
    }
    assert_eq!(gateway.call("GET", "/v1.0/quota", &[OTHER], "").await.status, 200, "nobody else is asked");
    limited(&gateway, &Setup::default(), &addresses(&["192.0.2.0/24", "127.0.0.0/8"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_allowed_opens() {
    let gateway = Gateway::spawn().await;
    limited(&gateway, &Setup::default(), &addresses(&["192.0.2.0/24", "127.0.0.0/8"]));
    assert_eq!(gateway.get("/v1.0/quota").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_trusted_says_from_where_a_call_comes() {
    for (by, name, write) in [
        (ForwardedBy::XForwardedFor, "X-Forwarded-For", (|ip| ip) as fn(String) -> String),
        (ForwardedBy::Forwarded, "Forwarded", |ip| format!("for=\"{ip}\";proto=https")),
    ] {
        let setup = behind_a_proxy(by);
        let gateway = Gateway::with(setup.clone()).await;
        limited(&gateway, &setup, &addresses(&["192.0.2.0/24", "2001:db8::/32"]));
        let from = async |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|ip| write((*ip).to_owned())).collect();
            let mut headers = vec![LIVE];
            headers.extend(values.iter().map(|value| (name, value.as_str())));
            gateway.call("GET", "/v1.0/quota", &headers, "").await
        };
        for allowed in [
            &["192.0.2.7"][..],
            &["203.0.113.1", "192.0.2.7", "10.0.0.9"],
            &["[2001:db8::1]:4711"],
            &["[::ffff:192.0.2.7]"],
        ] {
            assert_eq!(from(allowed).await.status, 200, "{name} {allowed:?}");
        }
        for refused in [&["203.0.113.1"][..], &["192.0.2.7", "203.0.113.1"], &["unknown"], &[]] {
            let reply = from(refused).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (403, "address-not-allowed"),
                "{name} {refused:?}"
            );
        }
        let garbled = from(&["192.0.2"]).await;
        assert_eq!((garbled.status, garbled.code().as_str()), (400, "malformed-forwarded"), "{name}");
        // The header that proxies here do not write is a caller's own.
        let other = if name == "Forwarded" {
            ("X-Forwarded-For", "192.0.2.7")
        } else {
            ("Forwarded", "for=192.0.2.7")
        };
        let reply = gateway.call("GET", "/v1.0/quota", &[LIVE, other], "").await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "address-not-allowed"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_or_in_the_other_environment_is_told_so_before_scopes() {
    let gateway = Gateway::spawn().await;
    gateway.change(&Setup::default(), |all| {
        for entry in all {
            match entry {
                Entry::Customer(Customer { id, suspended, .. }) if id.as_str() == "acme" => *suspended = true,
                Entry::Credential(credential) => credential.access = scopes(&[Scope::Read]),
                _ => {}
            }
        }
    });
    let reply = gateway.post("/v1.0/messages", &sms("a")).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "suspended"));
    let reply = gateway.post("/sandbox/v1.0/messages", &sms("a")).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "wrong-environment"));
}
