//! Schemathesis holds a running gateway's sandbox against the contract: every call, valid and invalid, all of its checks.

use std::fs;

use naru_tests::{
    gateway::{Gateway, Setup},
    tools::tool,
};

use super::root;
use crate::stage::beside_others;

/// Cases for each call in the phase that draws them; those of examples and of borders come on top.
const CASES: &str = "10";

const SEED: &str = "20261130";

/// What Schemathesis says; `operations`: a regular expression of paths.
fn run(gateway: &Gateway, base: &str, operations: &str, file: &str) -> (bool, String) {
    let home = tempfile::tempdir().unwrap();
    let document = home.path().join("openapi.json");
    fs::write(&document, naru_ingress::contract().to_string()).unwrap();
    let (id, password) = gateway.users.sandbox[0].split_once(':').unwrap();
    let mut command = tool("pip/bin/st").unwrap();
    command
        .current_dir(home.path())
        .env("SCHEMATHESIS_HOOKS", root().join("tests/tools/schemathesis_hooks.py"))
        .envs([("NARU_ATTACHMENT", file), ("NARU_ID", id), ("NARU_PASSWORD", password)])
        .arg("--config-file")
        .arg(root().join("tests/tools/schemathesis.toml"))
        .arg("run")
        .arg(&document)
        .args(["--url", &format!("http://{}{base}", gateway.listen()), "--include-path-regex", operations])
        .args(["--max-examples", CASES, "--seed", SEED, "--generation-deterministic"])
        .args(["--no-color", "--continue-on-failure", "--request-timeout", "30", "--warnings", "off"]);
    let output = command.output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

#[test]
fn the_sandbox_does_what_the_contract_says() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let user = &gateway.users.sandbox[0];
    let mut customer = naru_tests::customer::Customer::sandbox(gateway.listen(), user, super::PATIENCE);
    let file = customer.attach("image/png", b"\x89PNG\r\n\x1a\n and the picture").unwrap();
    let file = file.json()["id"].as_str().unwrap().to_owned();
    let (passes, said) =
        run(&gateway, "/sandbox/v1.0", "^/(messages|reports|quota|attachments|tokens)", &file);
    assert!(passes, "{said}");
    eprintln!(
        "{}",
        said.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    );
    let (passes, said) = run(&gateway, "", "^/(problems|docs|openapi)", &file);
    assert!(passes, "{said}");
    assert!(!gateway.log_tail().contains("panicked"));
}
