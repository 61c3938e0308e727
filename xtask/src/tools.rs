//! What checks the files in `compose/`, clients that are not ours, and emulators of AWS: packages of PyPI and npm, with exact versions, in a
//! directory of the build's.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use crate::{release::target, run as execute};

/// What is installed: versions of programs, and of everything that those of npm need.
const PINNED: [&str; 3] = ["requirements.txt", "package.json", "package-lock.json"];

/// Programs that must be there afterwards.
const PROGRAMS: [&str; 9] = [
    "pip/bin/check-jsonschema",
    "pip/bin/hadolint",
    "pip/bin/node",
    "pip/bin/aws",
    "pip/bin/ministack",
    "pip/bin/st",
    "npm/node_modules/.bin/dclint",
    "npm/node_modules/.bin/spectral",
    "npm/node_modules/fauxqs/dist/server.js",
];

/// Installs them, unless these very versions are there.
///
/// # Errors
/// If they cannot be installed.
pub fn install() -> anyhow::Result<()> {
    let (pinned, tools) = (pinned()?, target()?.join("tools"));
    let wanted = wanted(&pinned)?;
    if missing(&tools).is_empty() && fs::read_to_string(tools.join("installed")).is_ok_and(|is| is == wanted)
    {
        return Ok(());
    }
    writeln!(
        io::stderr().lock(),
        "the tests need programs of PyPI and npm (installed into {})",
        tools.display()
    )?;
    if tools.exists() {
        fs::remove_dir_all(&tools)?;
    }
    let (pip, npm) = (tools.join("pip"), tools.join("npm"));
    fs::create_dir_all(&npm)?;
    execute(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&pip))?;
    let mut install = Command::new(pip.join("bin/pip"));
    install.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
        "--requirement",
    ]);
    execute(install.arg(pinned.join("requirements.txt")))?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(pinned.join(file), npm.join(file))?;
    }
    let mut ci = Command::new(pip.join("bin/npm"));
    ci.args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(&npm);
    execute(ci.env("PATH", path_with(&pip.join("bin"))?))?;
    let missing = missing(&tools);
    ensure!(missing.is_empty(), "not there after they were installed: {missing:?}");
    Ok(fs::write(tools.join("installed"), wanted)?)
}

/// The text of all that is pinned: what is installed is known by it.
fn wanted(pinned: &Path) -> anyhow::Result<String> {
    let read = |file| fs::read_to_string(pinned.join(file)).with_context(|| format!("reading {file}"));
    PINNED.iter().map(read).collect()
}

fn missing(tools: &Path) -> Vec<&'static str> {
    PROGRAMS.into_iter().filter(|program| !tools.join(program).is_file()).collect()
}

fn pinned() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace is above this crate")?;
    Ok(root.join("tests/tools"))
}

/// npm is a script that looks for its Node.js on the path.
fn path_with(first: &Path) -> anyhow::Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(first.to_owned()).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}
