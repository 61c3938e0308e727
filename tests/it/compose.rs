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
    let own = std::env::current_exe().unwrap();
    let tools = own.ancestors().map(|folder| folder.join("tools")).find(|folder| folder.is_dir());
    let tools = tools.unwrap_or_else(|| panic!("no target/tools: run `cargo xtask needs` once"));
    let program = tools.join(name);
    assert!(program.is_file(), "{} is missing: run `cargo xtask needs`", program.display());
    let mut command = Command::new(program);
    // What npm brings looks for its Node.js on the path.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools.join("pip/bin")).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders).unwrap());
    command
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
