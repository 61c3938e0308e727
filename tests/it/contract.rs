//! The contract: what is served is what is kept in docs/, what docs/api.md says, what linters pass, and what the sandbox does.

mod examples;
mod lint;
mod page;
mod schemathesis;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use naru_tests::{
    gateway::{Gateway, Setup},
    wire::{Reply, Wire},
};
use serde_json::Value;

use crate::stage::beside_others;

const PATIENCE: Duration = Duration::from_secs(15);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn call(gateway: &Gateway, method: &str, path: &str, headers: &[String]) -> Reply {
    Wire::new(gateway.listen(), PATIENCE).call(method, path, headers, b"").unwrap()
}

/// Holds a file against what the code says; with `NARU_WRITE_DOCS=1`, writes it.
fn told(path: &str, expected: &str) {
    let file = root().join(path);
    if fs::read_to_string(&file).unwrap_or_default() == expected {
        return;
    }
    if std::env::var_os("NARU_WRITE_DOCS").is_some() {
        fs::write(file, expected).unwrap();
        return;
    }
    panic!("{path} differs from the code; run the test once with NARU_WRITE_DOCS=1");
}

fn kept() -> String {
    serde_json::to_string_pretty(&naru_ingress::contract()).unwrap() + "\n"
}

#[test]
fn the_contract_that_is_kept_is_that_of_the_code() {
    told("docs/openapi.json", &kept());
}

#[test]
fn the_contract_is_served_to_everybody_and_sent_once() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let served = call(&gateway, "GET", "/openapi.json", &[]);
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    assert_eq!(str::from_utf8(&served.body).unwrap(), kept());
    let tag = served.header("etag").unwrap().to_owned();
    assert!(served.header("cache-control").unwrap().contains("max-age=3600"));
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = call(&gateway, "GET", "/openapi.json", &[format!("If-None-Match: {known}")]);
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(&*tag)), "{known}");
    }
    let other = call(&gateway, "GET", "/openapi.json", &["If-None-Match: \"other\"".to_owned()]);
    assert_eq!(other.status, 200);
    for path in ["/v1.0/openapi.json", "/openapi.json/", "/openapi.yaml"] {
        assert!([401, 404].contains(&call(&gateway, "GET", path, &[]).status), "{path}");
    }
}

/// Each path of the document with the base that it is called under, and its methods.
fn paths(document: &Value) -> Vec<(String, BTreeSet<String>)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let written = paths.map(|(path, item)| {
        let base = if item.get("servers").is_some() { "" } else { "/v1.0" };
        let methods = item.as_object().unwrap().keys().filter(|key| *key != "servers");
        (format!("{base}{path}"), methods.map(|method| method.to_uppercase()).collect())
    });
    written.collect()
}

#[test]
fn every_path_of_the_contract_is_there_with_its_methods_and_no_others() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let document = naru_ingress::contract();
    let all = paths(&document);
    assert!(all.len() >= 11, "{all:?}");
    for (path, methods) in &all {
        let place = path.replace("{id}", "msg_00000000000000000000000000").replace("{code}", "not-found");
        let place = place.replace("{route}", "carrier-a");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let reply = call(&gateway, method, &place, &[]);
            assert_eq!(reply.status == 405, !methods.contains(method), "{method} {path}: {}", reply.status);
            assert_ne!(reply.status, 404, "{method} {path}");
            if reply.status == 405 {
                let allowed = reply.header("allow").unwrap().split(", ").map(str::to_owned).collect();
                assert_eq!(methods, &allowed, "{path}");
            }
        }
    }
}

/// The tables of docs/api.md: below which call, which codes.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let document = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut call = String::new();
    for line in document.lines() {
        if line.starts_with("## ") {
            call.clear();
        }
        let named = line.strip_prefix('`').and_then(|rest| rest.split('`').next());
        if let Some(named) = named.filter(|named| named.contains(" /") && call.is_empty()) {
            named.split('?').next().unwrap_or_default().clone_into(&mut call);
        }
        let Some((status, codes)) = line.strip_prefix("| ").and_then(|row| row.split_once(" | `")) else {
            continue;
        };
        if status.parse::<u16>().is_ok() && !call.is_empty() {
            let words = codes.split('`').filter(|word| !word.trim().is_empty() && *word != " |");
            told.entry(call.clone()).or_default().extend(words.map(str::to_owned));
        }
    }
    told
}

#[test]
fn the_codes_of_every_call_are_those_of_the_reference() {
    let told = documented();
    let common = told.get("every call").cloned().unwrap_or_default();
    assert!(common.is_empty() && told.len() >= 9, "{:?}", told.keys());
    for (call, codes) in naru_ingress::contract_codes() {
        let codes: BTreeSet<String> = codes.into_iter().map(str::to_owned).collect();
        // What is about this gateway itself has no table.
        let Some(told) = told.get(&call) else {
            assert!(codes.len() <= 1, "docs/api.md has no table of {call}");
            continue;
        };
        let missing: Vec<_> = codes.difference(told).collect();
        let too_many: Vec<_> = told
            .difference(&codes)
            .filter(|code| *code != "unavailable" && *code != "rate-limited")
            .collect();
        assert!(
            missing.is_empty() && too_many.is_empty(),
            "{call}: the contract alone says {missing:?}, docs/api.md alone {too_many:?}"
        );
    }
}
