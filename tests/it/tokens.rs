//! Tokens of libraries that are not ours, by the programs that docs/tokens.md shows: those of PyPI and npm, with keys that they made.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use naru_tests::{
    customer::basic,
    gateway::{Gateway, Setup},
    tools,
    wire::Wire,
};
use serde_json::{Value, json};

use crate::stage::beside_others;

const PATIENCE: Duration = Duration::from_secs(15);

/// Within which what a verb changed is in force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// The program that the document shows in a language.
fn shown(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/tokens.md");
    let document = fs::read_to_string(path).unwrap();
    let (_, rest) = document.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Makes keys, writes the public ones, and signs with each once the credential is there.
const PYTHON: &str = r#"
import json, sys
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

made = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
for alg, key in made.items():
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    open(f"{sys.argv[1]}/{alg}.pem", "wb").write(pem)
print("ready", flush=True)
said = json.loads(sys.stdin.readline())
made["HS256"] = secret(said["secret"])
for alg, key in made.items():
    print(json.dumps([alg, token(said["credential"], alg, alg, key)]))
"#;

const JAVASCRIPT: &str = r#"
const { exportJWK, generateKeyPair } = require('jose')
const { writeFileSync } = require('fs')
const { createInterface } = require('readline')

async function main () {
  const [made, keys] = [{}, []]
  for (const alg of ['RS256', 'ES256', 'EdDSA']) {
    const pair = await generateKeyPair(alg, alg === 'EdDSA' ? { crv: 'Ed25519' } : {})
    made[alg] = pair.privateKey
    keys.push({ ...await exportJWK(pair.publicKey), kid: alg, alg, use: 'sig' })
  }
  writeFileSync(`${process.argv[2]}/jwks.json`, JSON.stringify({ keys }))
  console.log('ready')
  for await (const line of createInterface({ input: process.stdin })) {
    const said = JSON.parse(line)
    made.HS256 = secret(said.secret)
    for (const [alg, key] of Object.entries(made)) {
      console.log(JSON.stringify([alg, await token(said.credential, alg, alg, key)]))
    }
    return
  }
}
main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })
"#;

/// A library at work: it has made its keys and waits to be told the credential.
struct Library {
    process: std::process::Child,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Library {
    fn start(mut command: Command) -> Self {
        use std::{
            io::{BufRead, BufReader},
            process::Stdio,
        };
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        Self { process, lines }
    }

    fn python(folder: &Path) -> Self {
        let program = folder.join("sign.py");
        fs::write(&program, shown("python") + PYTHON).unwrap();
        let mut command = tools::tool("pip/bin/python").unwrap();
        command.arg(program).arg(folder);
        Self::start(command)
    }

    fn javascript(folder: &Path) -> Self {
        let program = folder.join("sign.js");
        fs::write(&program, shown("js") + JAVASCRIPT).unwrap();
        let node_modules: PathBuf = tools::folder().unwrap().join("npm/node_modules");
        let mut command = tools::tool("pip/bin/node").unwrap();
        command.arg(program).arg(folder).env("NODE_PATH", node_modules);
        Self::start(command)
    }

    /// A token of each algorithm.
    fn tokens(mut self, credential: &str, secret: &str) -> Vec<(String, String)> {
        use std::io::Write;
        let said = json!({ "credential": credential, "secret": secret });
        writeln!(self.process.stdin.take().unwrap(), "{said}").unwrap();
        let tokens: Vec<(String, String)> =
            self.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        assert!(self.process.wait().unwrap().success());
        assert_eq!(tokens.len(), 4, "{tokens:?}");
        tokens
    }
}

fn verb(gateway: &Gateway, arguments: &[&str]) -> Value {
    let arguments = [&["credential"], arguments, &["--json"]].concat();
    serde_json::from_str(&gateway.verb(&arguments).unwrap()).unwrap()
}

fn send(gateway: &Gateway, authorization: &str) -> (u16, Value) {
    let headers = [format!("Authorization: {authorization}"), "Content-Type: application/json".to_owned()];
    let body = json!({ "channel": "sms", "recipient": "+821012345600", "body": "by token" }).to_string();
    let reply = Wire::new(gateway.listen(), PATIENCE)
        .call("POST", "/v1.0/messages", &headers, body.as_bytes())
        .unwrap();
    (reply.status, reply.json())
}

/// A token lets a message in, and with any one of some of its bytes changed it does not.
fn good_and_no_other(gateway: &Gateway, alg: &str, token: &str) {
    let (status, answer) = send(gateway, &format!("Bearer {token}"));
    assert_eq!(status, 202, "{alg}: {answer} {token}");
    let dots: Vec<usize> = token.match_indices('.').map(|(at, _)| at).collect();
    let last = token.len() - 1;
    for at in [
        0,
        5,
        dots[0] - 1,
        dots[0],
        dots[0] + 1,
        dots[0] + 30,
        dots[1] - 1,
        dots[1],
        dots[1] + 1,
        last - 20,
        last,
    ] {
        let mut other = token.as_bytes().to_vec();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let (status, answer) = send(gateway, &format!("Bearer {}", String::from_utf8(other).unwrap()));
        assert_eq!(status, 401, "{alg}, byte {at}: {answer}");
    }
}

#[test]
fn python_s_and_javascript_s_libraries_sign_tokens_that_are_taken_and_no_changed_byte_is() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (python, javascript) = (Library::python(folder.path()), Library::javascript(folder.path()));
    let file = |name: &str| folder.path().join(name).display().to_string();

    let add = ["add", "c0", "--id", "of-python", "--kind", "jwt", "--alg", "RS256", "--kid", "RS256"];
    verb(&gateway, &[&add[..], &["--public-key", &file("RS256.pem")]].concat());
    for alg in ["ES256", "EdDSA"] {
        let (key, add) =
            (file(&format!("{alg}.pem")), ["key", "add", "of-python", "--alg", alg, "--kid", alg]);
        verb(&gateway, &[&add[..], &["--public-key", &key]].concat());
    }
    verb(&gateway, &["add", "c0", "--id", "of-javascript", "--kind", "jwt", "--jwks", &file("jwks.json")]);
    let secret = |id: &str| {
        let made = verb(&gateway, &["key", "add", id, "--alg", "HS256", "--kid", "HS256"]);
        made[0]["secret"].as_str().unwrap().to_owned()
    };
    let secrets = [secret("of-python"), secret("of-javascript")];
    thread::sleep(IN_FORCE);
    let tokens = [python.tokens("of-python", &secrets[0]), javascript.tokens("of-javascript", &secrets[1])];
    for (alg, token) in tokens.iter().flatten() {
        good_and_no_other(&gateway, alg, token);
    }

    // A key that is removed verifies nothing more, the others do; then the credential is revoked.
    let of = |alg: &str| format!("Bearer {}", tokens[0].iter().find(|(of, _)| of == alg).unwrap().1);
    gateway.verb(&["credential", "key", "remove", "of-python", "ES256"]).unwrap();
    thread::sleep(IN_FORCE);
    assert_eq!((send(&gateway, &of("ES256")).0, send(&gateway, &of("RS256")).0), (401, 202));
    let left = verb(&gateway, &["key", "list", "of-python"]);
    let left: Vec<&str> = left.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(left, ["RS256", "EdDSA", "HS256"]);
    gateway.verb(&["credential", "revoke", "of-python"]).unwrap();
    thread::sleep(IN_FORCE);
    assert_eq!(send(&gateway, &of("RS256")).0, 401);
    assert_eq!(
        send(&gateway, &format!("Bearer {}", tokens[1][0].1)).0,
        202,
        "the other credential is as it was"
    );
    // Neither secret is anywhere but where it was shown.
    for text in ["list", "key list of-javascript"] {
        let shown =
            gateway.verb(&[&["credential"][..], &text.split(' ').collect::<Vec<_>>()].concat()).unwrap();
        assert!(secrets.iter().all(|secret| !shown.contains(secret)));
    }
}

#[test]
fn a_token_that_was_fetched_dies_within_a_second_of_its_credential() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let user = gateway.users.live[0].clone();
    let header = format!("Authorization: {}", basic(&user));
    let reply = Wire::new(gateway.listen(), PATIENCE).call("POST", "/v1.0/tokens", &[header], b"").unwrap();
    let token = format!("Bearer {}", reply.json()["access_token"].as_str().unwrap());
    assert_eq!((reply.status, send(&gateway, &token).0), (200, 202));
    gateway.verb(&["credential", "revoke", user.split(':').next().unwrap()]).unwrap();
    thread::sleep(IN_FORCE);
    let (status, answer) = send(&gateway, &token);
    assert_eq!((status, answer["code"].as_str()), (401, Some("unauthorized")));
}

#[test]
fn a_secret_of_tokens_is_in_no_file_as_it_was_shown() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let made = verb(&gateway, &["add", "c0", "--kind", "jwt", "--alg", "HS256"]);
    let secret = made["keys"][0]["secret"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 43);
    let raw = data_encoding::BASE64URL_NOPAD.decode(secret.as_bytes()).unwrap();
    let mut folders = vec![gateway.home().to_owned()];
    let mut looked_at = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
            assert!(!holds(secret.as_bytes()) && !holds(&raw), "{}", entry.path().display());
            looked_at += 1;
        }
    }
    assert!(looked_at > 4, "{looked_at} files");
}
