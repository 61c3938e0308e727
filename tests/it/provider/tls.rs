//! TLS with an authority and a client certificate of the operator's own, from files that the workers read again when they change.

use std::{fs, thread, time::Duration};

use naru_tests::engines::{certify, certify_client};

use super::{
    PATIENCE, add, gateway, send,
    standin::{Reply, StandIn},
};
use crate::stage::{beside_others, until, within};

#[test]
fn a_provider_is_called_over_tls_with_files_that_are_read_again_when_they_change() {
    let _beside = beside_others();
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certify(folder.path()).unwrap();
    certify_client(folder.path()).unwrap();
    certify(other.path()).unwrap();
    let provider = StandIn::start_tls(folder.path(), |_| Reply::new(200, "{}"));
    let gateway = gateway("");
    // The operator names the wrong authority first.
    let ca = gateway.home().join("trusted.pem");
    fs::copy(other.path().join("ca.pem"), &ca).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let description = format!(
        "url = \"https://localhost:{}/\"\n[json]\nto = \"{{recipient}}\"\n[tls]\nca = {{ file = {ca:?} }}\n\
         certificate = {{ file = {:?} }}\nkey = {{ import = {:?} }}\n",
        provider.port(),
        at("client.pem"),
        at("client.key"),
    );
    let shown = add(&gateway, &description, &[]);
    assert!(shown.contains("a client certificate") && shown.contains("tls.key: sealed"), "{shown}");
    let mut customer = gateway.customer(0);
    let id = send(&mut customer, "+821000000001");
    until(&mut customer, &id, &["retrying"], PATIENCE);
    assert_eq!(provider.calls().len(), 0, "an authority that is not trusted is sent nothing");
    fs::copy(folder.path().join("ca.pem"), &ca).unwrap();
    // Files are looked at every ten seconds. What failed before that may wait for two minutes, so others ask meanwhile.
    within(2 * PATIENCE, "the right file is read", || {
        send(&mut customer, "+821000000002");
        thread::sleep(Duration::from_secs(2));
        (!provider.calls().is_empty()).then_some(())
    });
    until(&mut customer, &id, &["delivered"], 6 * PATIENCE);
}

#[test]
fn without_a_client_certificate_nothing_arrives() {
    let _beside = beside_others();
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path()).unwrap();
    let provider = StandIn::start_tls(folder.path(), |_| Reply::new(200, "{}"));
    let gateway = gateway("");
    let description = format!(
        "url = \"https://localhost:{}/\"\n[json]\nto = \"{{recipient}}\"\n[tls]\nca = {{ import = {:?} }}\n",
        provider.port(),
        folder.path().join("ca.pem"),
    );
    add(&gateway, &description, &[]);
    let mut customer = gateway.customer(0);
    let id = send(&mut customer, "+821000000001");
    // In TLS 1.3 a server refuses a client after the client's side of the handshake has ended.
    until(&mut customer, &id, &["failed", "retrying"], PATIENCE);
    assert_eq!(provider.calls().len(), 0);
}
