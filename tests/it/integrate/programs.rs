//! The programs of docs/examples/, run as the page says.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use naru_tests::{gateway::Gateway, tools};
use serde_json::Value;

use crate::stage::within;

/// A program waits for what is busy, and for reports.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where Debian's package puts what reads JSON in Java.
const GSON: &str = "/usr/share/java/gson.jar";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

pub fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A language that has a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Shell,
    Python,
    JavaScript,
    Java,
    Php,
}

impl Language {
    pub const ALL: [Self; 5] = [Self::Shell, Self::Python, Self::JavaScript, Self::Java, Self::Php];

    /// Its program, from the root.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Shell => "docs/examples/shell/naru.sh",
            Self::Python => "docs/examples/python/naru.py",
            Self::JavaScript => "docs/examples/javascript/naru.mjs",
            Self::Java => "docs/examples/java/Naru.java",
            Self::Php => "docs/examples/php/naru.php",
        }
    }

    /// What the page's blocks of it are marked by.
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Shell => "bash",
            Self::Python => "python",
            Self::JavaScript => "js",
            Self::Java => "java",
            Self::Php => "php",
        }
    }

    /// The algorithms with which its program signs tokens.
    pub const fn algorithms(self) -> &'static [&'static str] {
        match self {
            Self::Shell | Self::Php => &["HS256", "RS256"],
            Self::Python | Self::JavaScript | Self::Java => &["HS256", "RS256", "ES256", "EdDSA"],
        }
    }

    /// The command that runs its program, in a folder of the test's own.
    fn command(self, folder: &Path) -> Command {
        let program = root().join(self.program());
        match self {
            Self::Shell => called("bash", &[&program]),
            Self::Php => called("php", &[&program]),
            Self::Java => {
                assert!(Path::new(GSON).is_file(), "{GSON} is missing: run `cargo xtask needs`");
                called("java", &[Path::new("-cp"), Path::new(GSON), &program])
            }
            Self::Python => {
                let mut python = tools::tool("pip/bin/python").unwrap();
                python.arg(program);
                python
            }
            // What is imported is looked for beside the program: there `npm install` puts it.
            Self::JavaScript => {
                let copy = folder.join("naru.mjs");
                fs::copy(program, &copy).unwrap();
                let beside = folder.join("node_modules");
                if !beside.exists() {
                    symlink(tools::folder().unwrap().join("npm/node_modules"), beside).unwrap();
                }
                let mut node = tools::tool("pip/bin/node").unwrap();
                node.arg(copy);
                node
            }
        }
    }
}

/// A program of a Debian package.
fn called(name: &str, arguments: &[&Path]) -> Command {
    let program = Path::new("/usr/bin").join(name);
    assert!(program.is_file(), "{} is missing: run `cargo xtask needs`", program.display());
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// How a program proves its calls: a word for people, and the variables that the page names.
#[derive(Debug, Clone)]
pub struct Proof {
    pub name: String,
    pub variables: Vec<(&'static str, String)>,
}

impl Proof {
    fn new(name: &str, way: &str, variables: &[(&'static str, &str)]) -> Self {
        let mut all = vec![("WAY", way.to_owned())];
        all.extend(variables.iter().map(|(variable, value)| (*variable, (*value).to_owned())));
        Self { name: name.to_owned(), variables: all }
    }

    /// Whether every call is signed, rather than brought by who knows a word.
    pub fn signs(&self) -> bool {
        self.name == "hmac"
    }
}

fn made(gateway: &Gateway, arguments: &[&str]) -> Value {
    serde_json::from_str(&gateway.verb(&[&["credential"], arguments, &["--json"]].concat()).unwrap()).unwrap()
}

/// Every way in for the sandbox, with keys that openssl made as the page says.
pub fn proofs(gateway: &Gateway, language: Language) -> Vec<Proof> {
    let user = gateway.users.sandbox[0].as_str();
    let sandbox = ["--environment", "sandbox"];
    let hmac = made(gateway, &[&["add", "c0", "--kind", "hmac"], &sandbox[..]].concat());
    let said = |of: &Value, name: &str| of[name].as_str().unwrap_or_else(|| panic!("{of}")).to_owned();
    let (id, secret) = (said(&hmac, "id"), said(&hmac, "secret"));
    let mut proofs = vec![
        Proof::new("basic", "basic", &[("CREDENTIAL", user)]),
        Proof::new("token", "token", &[("CREDENTIAL", user)]),
        Proof::new("hmac", "hmac", &[("KEY_ID", &id), ("SECRET", &secret)]),
    ];
    for alg in language.algorithms() {
        let id = format!("of-{}", alg.to_lowercase());
        let add = ["add", "c0", "--kind", "jwt", "--id", &id, "--alg", alg, "--kid", "mine"];
        let as_whom = [("ALG", *alg), ("KEY_ID", &id), ("KID", "mine")];
        let key = if *alg == "HS256" {
            let made = made(gateway, &[&add[..], &sandbox].concat());
            ("SECRET", said(&made["keys"][0], "secret"))
        } else {
            let (private, public) = key_pair(gateway.home(), alg);
            made(gateway, &[&add[..], &sandbox, &["--public-key", &public]].concat());
            ("KEY_FILE", private)
        };
        proofs.push(Proof::new(alg, "jwt", &[&as_whom[..], &[(key.0, &key.1)]].concat()));
    }
    proofs
}

/// The files of a private and a public key.
fn key_pair(folder: &Path, alg: &str) -> (String, String) {
    let algorithm: &[&str] = match alg {
        "RS256" => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        "ES256" => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        _ => &["-algorithm", "ED25519"],
    };
    let file = |name: &str| folder.join(format!("{alg}-{name}.pem")).display().to_string();
    let (private, public) = (file("private"), file("public"));
    openssl(&[&["genpkey"], algorithm, &["-out", &private]].concat());
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
    (private, public)
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a program said.
pub struct Said {
    pub code: Option<i32>,
    pub lines: Vec<String>,
    pub errors: String,
}

/// Runs a program with messages whose keys begin with a word.
pub fn run(language: Language, proof: &Proof, base: &str, folder: &Path, word: &str) -> Said {
    let messages = folder.join(format!("{word}.json"));
    fs::write(&messages, text("docs/examples/messages.json").replace("welcome", word)).unwrap();
    let (out, err) = (log(folder, word, "out"), log(folder, word, "err"));
    let mut command = language.command(folder);
    command.arg(messages).env("NARU", base).stdin(Stdio::null());
    command.envs(proof.variables.iter().map(|(name, value)| (name, value)));
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
    let mut child = command.spawn().unwrap();
    let status =
        within(PATIENCE, &format!("{language:?} by {} ends", proof.name), || child.try_wait().unwrap());
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    Said { code: status.code(), lines: read(out).lines().map(str::to_owned).collect(), errors: read(err) }
}

fn log(folder: &Path, word: &str, name: &str) -> PathBuf {
    folder.join(format!("{word}.{name}"))
}
