//! What `compose/` holds, as far as it can be proved without a container engine: by a schema and linters, by what each file
//! says of another, by the program in a root of nothing but what its image has, and by the whole topology as processes.

mod container;
mod engines;
mod linters;
mod services;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use naru_tests::compose::source;
use serde_json::Value;

/// A program that `cargo xtask test` installs.
fn tool(name: &str) -> Command {
    naru_tests::tools::tool(name).unwrap_or_else(|error| panic!("{error}"))
}

/// A file of the repository.
fn file(name: &str) -> PathBuf {
    source().parent().unwrap().join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A YAML file with its anchors and merges resolved.
fn yaml(path: &Path) -> Value {
    const SCRIPT: &str = "import json, sys; from ruamel.yaml import YAML; \
                          print(json.dumps(YAML(typ='safe').load(open(sys.argv[1]))))";
    let output = tool("pip/bin/python").args(["-c", SCRIPT]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `compose.yaml`.
fn composed() -> Value {
    yaml(&source().join("compose.yaml"))
}

/// Everything that a program said.
fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
