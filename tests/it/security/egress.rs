//! A webhook or a route into an inner network is refused where it is set up, however its address is spelled.

use naru_tests::gateway::{Gateway, Setup};

use crate::stage::beside_others;

const INNER: &[&str] = &[
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://0x7f000001/",
    "https://0/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://[::1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://[fd00::1]/",
    "https://[fe80::1]/",
    "https://１２７.0.0.1/",
];

const NO_WEB: &[&str] =
    &["http://93.184.216.34/", "file:///etc/passwd", "gopher://a.example/", "ftp://a.example/", "https://"];

#[test]
fn no_webhook_is_made_into_an_inner_network_or_by_another_scheme() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let reason = |url: &str| gateway.verb(&["webhook", "add", "c0", "w", url]).unwrap_err().to_string();
    for url in INNER {
        let reason = reason(url);
        assert!(reason.contains("is private, loopback or reserved"), "{url}: {reason}");
    }
    for url in NO_WEB {
        let reason = reason(url);
        let told = ["is not https", "its scheme is another", "not a URL"];
        assert!(told.iter().any(|told| reason.contains(told)), "{url}: {reason}");
    }
    let listed = gateway.verb(&["webhook", "list", "--json"]).unwrap();
    assert!(!listed.contains("https:"), "{listed}");
    // The same call with nothing wrong about its URL is taken.
    gateway.verb(&["webhook", "add", "c0", "w", "https://a.example/"]).unwrap();
}

#[test]
fn no_route_leads_into_an_inner_network_unless_that_is_named() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let reason = |url: &str| gateway.verb(&["route", "add", "r", "http", url]).unwrap_err().to_string();
    for url in INNER {
        let reason = reason(url);
        assert!(reason.contains("is private, loopback or reserved: allow its network"), "{url}: {reason}");
    }
    // Unlike a webhook, a route may lead over plain HTTP.
    for url in NO_WEB.iter().filter(|url| !url.starts_with("http://")) {
        let reason = reason(url);
        assert!(!reason.contains("is private"), "{url}: {reason}");
    }
    assert!(!gateway.verb(&["route", "list", "--json"]).unwrap().contains("\"r\""));
    gateway
        .verb(&["route", "add", "r", "http", "https://10.0.0.1/", "--allow-network", "10.0.0.0/24"])
        .unwrap();
    let beside = ["route", "add", "s", "http", "https://10.0.1.1/", "--allow-network", "10.0.0.0/24"];
    let reason = gateway.verb(&beside).unwrap_err().to_string();
    assert!(reason.contains("is private, loopback or reserved"), "{reason}");
}
