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

/// A file of services and the configuration that its processes read.
struct Variant {
    services: &'static str,
    config: &'static str,
}

/// On RabbitMQ, and on AWS.
const VARIANTS: [Variant; 2] = [
    Variant { services: "compose.yaml", config: "naru.toml" },
    Variant { services: "compose.aws.yaml", config: "naru.aws.toml" },
];

impl Variant {
    fn composed(&self) -> Value {
        yaml(&source().join(self.services))
    }

    fn config(&self) -> String {
        text(&format!("compose/{}", self.config))
    }
}

/// `compose.yaml`.
fn composed() -> Value {
    VARIANTS[0].composed()
}

/// Everything that a program said.
fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
