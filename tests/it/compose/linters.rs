//! What others know about such files.

use std::{fs, path::Path, process::Command};

use naru_tests::compose::source;

use super::{file, text, tool, words};

fn schema(path: &Path) -> Command {
    let mut command = tool("pip/bin/check-jsonschema");
    command.args(["--builtin-schema", "vendor.compose-spec"]).arg(path);
    command
}

fn linter(path: &Path) -> Command {
    let mut command = tool("npm/node_modules/.bin/dclint");
    command.args(["--max-warnings", "0", "--config"]).arg(file("tests/tools/dclint.json")).arg(path);
    command
}

fn container_linter(path: &Path) -> Command {
    let mut command = tool("pip/bin/hadolint");
    command.args(["--no-color", "--failure-threshold", "style"]).arg(path);
    command
}

fn haproxy(path: &Path) -> Command {
    let mut command = Command::new("/usr/sbin/haproxy");
    command.args(["-c", "-f"]).arg(path);
    command
}

/// A check passes a file of `compose/`, and refuses it once this is in place of that.
fn holds(name: &str, check: fn(&Path) -> Command, right: &str, wrong: &str, says: &str) {
    let output = check(&source().join(name)).output().unwrap();
    assert!(output.status.success(), "{name}: {}", words(&output));
    let home = tempfile::tempdir().unwrap();
    let (whole, broken) = (text(&format!("compose/{name}")), home.path().join(name));
    assert!(whole.contains(right), "{name} has no {right:?} to be broken");
    fs::write(&broken, whole.replacen(right, wrong, 1)).unwrap();
    let output = check(&broken).output().unwrap();
    let said = words(&output);
    assert!(!output.status.success() && said.contains(says), "{name} with {wrong:?}: {said}");
}

#[test]
fn the_schema_takes_the_compose_files_and_would_refuse_a_mistyped_name() {
    for file in ["compose.yaml", "compose.aws.yaml"] {
        holds(file, schema, "restart: unless-stopped", "restrat: unless-stopped", "restrat");
    }
}

#[test]
fn the_linter_takes_the_compose_files_and_would_refuse_a_port_of_all_interfaces() {
    for file in ["compose.yaml", "compose.aws.yaml"] {
        holds(file, linter, "'127.0.0.1:", "'", "no-unbound-port-interfaces");
    }
}

#[test]
fn the_linter_takes_the_container_file_and_would_refuse_an_image_of_any_version() {
    holds("Containerfile", container_linter, "rust:1.94.1-slim-bookworm", "rust", "DL3006");
}

#[test]
fn haproxy_takes_its_configuration_and_would_refuse_a_mistyped_one() {
    holds("haproxy.cfg", haproxy, "balance leastconn", "balance leastcon", "leastcon");
    let said = words(&haproxy(&source().join("haproxy.cfg")).output().unwrap());
    assert!(!said.contains("WARNING"), "{said}");
}
