//! Secrets of descriptions: where they come from, who opens them, and that they are looked at before they are kept.

use std::fs;

use data_encoding::BASE64;
use naru_shared::domain::HttpBackend;

use super::{header, made, sealer, work};
use crate::{
    backend::provider::{Description, Provider, ProviderError, check_sealed},
    samples,
    tests::http::install_tls,
};

#[test]
fn secrets_come_from_files_are_never_shown_and_open_for_their_route_only() {
    install_tls();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "s3cret-of-a-file\n").unwrap();
    let auth = |how: &str| {
        format!("url = \"https://a.example/\"\n[auth]\nkind = \"bearer\"\ntoken = {{ {how} = {path:?} }}")
    };
    for how in ["file", "import"] {
        let made = made(&auth(how), &work());
        assert_eq!(header(&made, "authorization"), "Bearer s3cret-of-a-file");
        assert!(!format!("{made:?}").contains("s3cret"), "it is sensitive");
    }
    let mut description = Description::from_toml(&auth("import")).unwrap();
    description.seal("other", &sealer()).unwrap();
    let document = description.document().unwrap();
    let config = HttpBackend { url: String::new(), allow_networks: Vec::new(), provider: None };
    let route = samples::route("carrier-a");
    let opened = Provider::new(&route, &config, &document, Some(&sealer()));
    assert!(matches!(opened, Err(ProviderError::Source(..))), "sealed for another route");
    let shown = description.without_secrets().document().unwrap().0.to_string();
    assert!(!shown.contains("v1.") && shown.contains('…'), "{shown}");
}

#[test]
fn secrets_that_are_brought_along_are_looked_at_before_they_are_kept() {
    install_tls();
    let head = "url = \"https://a.example/\"\n";
    let looked_at = |text: &str| {
        let mut description = Description::from_toml(&format!("{head}{text}")).unwrap();
        description.seal("carrier-a", &sealer()).unwrap();
        check_sealed(&description.document().unwrap(), "carrier-a", &sealer())
    };
    let webhooks = |secret: &str| format!("[auth]\nkind = \"standard-webhooks\"\nsecret = {secret}");
    let good = format!("\"whsec_{}\"", BASE64.encode(&[1; 32]));
    assert!(looked_at(&webhooks(&good)).is_ok());
    assert!(looked_at(&webhooks("{ file = \"/there/only\" }")).is_ok(), "the workers have it");
    for wrong in [
        &webhooks("\"whsec_AAAA\""),
        "[auth]\nkind = \"bearer\"\ntoken = \"a\\nb\"",
        "[auth]\nkind = \"basic\"\nuser = \"u\"\npassword = \"a\\nb\"",
        "[tls]\nca = \"none\"",
        "[tls]\ncertificate = \"none\"\nkey = \"none\"",
    ] {
        assert!(looked_at(wrong).is_err(), "{wrong}");
    }
}
