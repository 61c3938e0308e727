//! The page to read and try the contract: all that it loads comes from the gateway, and nothing else may be loaded.

use std::collections::BTreeSet;

use naru_tests::gateway::{Gateway, Setup};

use super::call;
use crate::stage::beside_others;

/// Directives of a policy by their names.
fn directives(policy: &str) -> BTreeSet<(&str, Vec<&str>)> {
    let words = policy.split(';').map(|directive| directive.split_ascii_whitespace().collect::<Vec<_>>());
    words.filter_map(|words| words.split_first().map(|(name, rest)| (*name, rest.to_vec()))).collect()
}

/// What a page loads.
fn loaded(page: &str) -> Vec<&str> {
    ["src=\"", "href=\""]
        .into_iter()
        .flat_map(|attribute| page.split(attribute).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|place| !place.starts_with("data:"))
        .collect()
}

#[test]
fn the_page_and_all_that_it_loads_come_from_the_gateway() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let page = call(&gateway, "GET", "/docs", &[]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = str::from_utf8(&page.body).unwrap();
    let places = loaded(text);
    assert!(places.len() >= 4, "{places:?}");
    for place in places {
        assert!(place.starts_with('/') && !place.starts_with("//"), "{place} leads elsewhere");
        let file = call(&gateway, "GET", place, &[]);
        assert_eq!(file.status, 200, "{place}");
        let policy = file.header("content-security-policy");
        assert_eq!(policy.is_some(), place.starts_with("/docs"), "{place}");
        let tag = file.header("etag").unwrap().to_owned();
        assert_eq!(call(&gateway, "GET", place, &[format!("If-None-Match: {tag}")]).status, 304, "{place}");
    }
    let policy = page.header("content-security-policy").unwrap();
    let allowed = directives(policy);
    assert!(
        allowed.contains(&("default-src", vec!["'none'"]))
            && allowed.contains(&("script-src", vec!["'self'"]))
    );
    for (name, sources) in &allowed {
        let known = ["'none'", "'self'", "data:"];
        let inline = *name == "style-src-attr" && *sources == ["'unsafe-inline'"];
        assert!(inline || sources.iter().all(|source| known.contains(source)), "{name} {sources:?}");
    }
    let start = call(&gateway, "GET", "/docs/start.js", &[]);
    let start = str::from_utf8(&start.body).unwrap();
    assert!(start.contains("url: \"/openapi.json\"") && start.contains("validatorUrl: null"));
    assert!(call(&gateway, "GET", "/docs/swagger-ui-license.txt", &[]).body.len() > 10_000);
    for nothing in ["/docs/", "/docs/nothing.js", "/docs/..%2fserver.rs"] {
        assert!([400, 404].contains(&call(&gateway, "GET", nothing, &[]).status), "{nothing}");
    }
}

#[test]
fn an_operator_may_switch_the_page_off() {
    let _beside = beside_others();
    let config = "[ingress]\ndocs = false\n".to_owned();
    let gateway = Gateway::spawn(&Setup { config, ..Setup::default() }).unwrap();
    for path in ["/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js"] {
        let reply = call(&gateway, "GET", path, &[]);
        assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some("not-found")), "{path}");
    }
    assert_eq!(call(&gateway, "GET", "/openapi.json", &[]).status, 200);
}
