//! Signed calls by libraries and programs that are not ours, as docs/signing.md shows them.

use std::{fs, path::Path, process::Command, time::Duration};

use naru_tests::{
    gateway::{Gateway, Setup},
    tools,
    wire::Wire,
};
use serde_json::{Value, json};

use crate::stage::{beside_others, message, reports, until, used, within};

const PATIENCE: Duration = Duration::from_secs(20);

/// The program that the document shows in a language.
fn shown(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/signing.md");
    let document = fs::read_to_string(path).unwrap();
    let (_, rest) = document.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

const ASK_PYTHON: &str = "
import json, sys
for c in json.load(open(sys.argv[1])):
    body = c['body'].encode() if c['body'] is not None else None
    print(json.dumps(signed(c['id'], c['secret'], c['method'], c['url'], body, c['headers'])))
";

const ASK_JAVASCRIPT: &str = "
(async () => {
  for (const c of JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8')))
    console.log(JSON.stringify(await signed(c.id, c.secret, c.method, c.url, c.body ?? undefined, c.headers)));
})();
";

/// A credential that signs.
struct Credential {
    id: String,
    secret: String,
}

fn credential(gateway: &Gateway, customer: &str, more: &[&str]) -> Credential {
    let add = ["credential", "add", customer, "--kind", "hmac", "--json"];
    let made = gateway.verb(&[&add[..], more].concat()).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    assert_eq!(text("kind"), "hmac");
    Credential { id: text("id"), secret: text("secret") }
}

/// One call that is to be signed.
struct Case {
    method: &'static str,
    path: &'static str,
    headers: Value,
    body: Option<String>,
}

impl Case {
    fn post(path: &'static str, headers: Value, body: &Value) -> Self {
        Self { method: "POST", path, headers, body: Some(body.to_string()) }
    }

    /// As it is sent, with these headers.
    fn bytes(&self, gateway: &Gateway, headers: &Value) -> Vec<u8> {
        let mut lines: Vec<String> = headers
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.as_str().unwrap()))
            .collect();
        if self.body.is_some() && !lines.iter().any(|line| line.to_lowercase().starts_with("content-type:")) {
            lines.push("Content-Type: application/json".to_owned());
        }
        let body = self.body.as_deref().unwrap_or_default();
        Wire::new(gateway.listen(), PATIENCE).request(self.method, self.path, &lines, body.as_bytes())
    }
}

/// The headers that both libraries make of each case.
fn signed(gateway: &Gateway, by: &Credential, cases: &[Case]) -> [Vec<Value>; 2] {
    let path = |name: &str| gateway.home().join(name);
    let listed: Vec<Value> = cases
        .iter()
        .map(|case| {
            let url = format!("http://{}{}", gateway.listen(), case.path);
            json!({ "id": by.id, "secret": by.secret, "method": case.method, "url": url, "body": case.body,
                    "headers": case.headers })
        })
        .collect();
    fs::write(path("cases.json"), json!(listed).to_string()).unwrap();
    fs::write(path("sign.py"), shown("python") + ASK_PYTHON).unwrap();
    fs::write(path("sign.js"), shown("js") + ASK_JAVASCRIPT).unwrap();
    let mut python = tools::tool("pip/bin/python").unwrap();
    python.args([path("sign.py"), path("cases.json")]);
    let mut node = tools::tool("pip/bin/node").unwrap();
    node.args([path("sign.js"), path("cases.json")]);
    node.env("NODE_PATH", tools::folder().unwrap().join("npm/node_modules"));
    [&mut python, &mut node].map(|command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let headers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(headers.len(), cases.len());
        headers
    })
}

/// What the gateway answers to these bytes; 0 where the connection ends without an answer.
fn status(gateway: &Gateway, bytes: &[u8]) -> (u16, Value) {
    match Wire::new(gateway.listen(), PATIENCE).exchange(bytes) {
        Ok(reply) => (reply.status, if reply.body.is_empty() { Value::Null } else { reply.json() }),
        Err(_) => (0, Value::Null),
    }
}

#[test]
fn libraries_of_pypi_and_npm_are_taken_and_with_one_byte_changed_refused() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let by = credential(&gateway, "c0", &[]);
    let batch = json!({ "messages": [message("sms", "one"), message("sms", "two")] });
    let json_type = json!({ "Content-Type": "application/json" });
    let cases = [
        Case::post("/v1.0/messages", json_type.clone(), &message("sms", "안녕하세요")),
        Case::post(
            "/v1.0/messages",
            json!({ "Content-Type": "application/json", "Idempotency-Key": "order-7" }),
            &message("sms", "keyed"),
        ),
        Case::post("/v1.0/messages/batch", json_type, &batch),
        Case { method: "GET", path: "/v1.0/reports?limit=1&wait=0", headers: json!({}), body: None },
    ];
    within(PATIENCE, "the credential is in force", || {
        let probe = Case { method: "GET", path: "/v1.0/quota", headers: json!({}), body: None };
        let [python, _] = signed(&gateway, &by, std::slice::from_ref(&probe));
        (status(&gateway, &probe.bytes(&gateway, &python[0])).0 == 200).then_some(())
    });
    for headers in signed(&gateway, &by, &cases) {
        for (case, headers) in cases.iter().zip(&headers) {
            let whole = case.bytes(&gateway, headers);
            let mut refused = 0;
            for at in changeable(&whole) {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                let (status, answer) = status(&gateway, &bytes);
                let text = String::from_utf8_lossy(&bytes);
                assert!(matches!(status, 0 | 400..=499 | 501), "{at}: {status} {answer}\n{text}");
                refused += 1;
            }
            assert!(refused > 50, "{refused}");
            let (status, answer) = status(&gateway, &whole);
            assert!(matches!(status, 200 | 202), "{status} {answer}: {headers}");
        }
    }
}

/// Every third byte of what is signed: the first line but for the version, the host, the digest, the signature, the body.
pub(crate) fn changeable(whole: &[u8]) -> Vec<usize> {
    let head = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut places: Vec<usize> = Vec::new();
    let mut begins = 0;
    for line in String::from_utf8_lossy(&whole[..head]).split_inclusive("\r\n") {
        let lower = line.to_lowercase();
        let value = lower.find(": ").map_or(0, |colon| colon + 2);
        let ends = lower.find(" http/1.1").unwrap_or(line.len().saturating_sub(2));
        if ["host:", "content-digest:", "signature", "idempotency-key:"]
            .iter()
            .any(|name| lower.starts_with(name))
            || lower.contains(" http/1.1")
        {
            places.extend(begins + value..begins + ends);
        }
        begins += line.len();
    }
    places.extend(head..whole.len());
    places.into_iter().step_by(3).collect()
}

/// What is answered to a call that the document's shell program signs.
pub fn by_shell(base: &str, id: &str, secret: &str, arguments: &[&str]) -> Value {
    let program = format!("{}\ncall \"$@\"", shown("sh"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &program, "sh"]).args(arguments);
    let output = shell.env("NARU", base).env("KEY_ID", id).env("SECRET", secret).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_shell_s_own_hmac_is_taken_on_messages_batches_and_reads() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let own = gateway.home().join("own.b64");
    let brought = "4bq0pXk0kmr8Kx4wkqWkJ3n9nX0JmW2v1mUeYV9oQhQ=";
    fs::write(&own, brought).unwrap();
    let file = own.to_str().unwrap();
    let add =
        ["credential", "add", "c0", "--kind", "hmac", "--id", "brought", "--secret-file", file, "--json"];
    let made: Value = serde_json::from_str(&gateway.verb(&add).unwrap()).unwrap();
    assert!(made["secret"].is_null(), "what was brought is not shown: {made}");
    let sandbox = credential(&gateway, "c0", &["--environment", "sandbox"]);
    let base = format!("http://{}", gateway.listen());
    let call = |id: &str, secret: &str, arguments: &[&str]| by_shell(&base, id, secret, arguments);
    within(PATIENCE, "the credentials are in force", || {
        let known =
            [("brought", brought, "/v1.0/quota"), (&*sandbox.id, &*sandbox.secret, "/sandbox/v1.0/quota")];
        known
            .iter()
            .all(|(id, secret, path)| call(id, secret, &["GET", path])["quotas"].is_array())
            .then_some(())
    });
    let body = message("sms", "by the shell").to_string();
    let sent = call("brought", brought, &["POST", "/v1.0/messages", &body]);
    let id = sent["id"].as_str().unwrap_or_else(|| panic!("{sent}"));
    let batch = json!({ "messages": [message("sms", "a"), message("sms", "b")] }).to_string();
    let sent = call(&sandbox.id, &sandbox.secret, &["POST", "/sandbox/v1.0/messages/batch", &batch]);
    assert_eq!(sent["accepted"], 2, "{sent}");
    within(PATIENCE, "it is delivered", || {
        let path = format!("/v1.0/messages/{id}");
        (call("brought", brought, &["GET", &path])["status"] == "delivered").then_some(())
    });
    let page = call("brought", brought, &["GET", "/v1.0/reports?limit=5&wait=5"]);
    assert_eq!(page["reports"][0]["id"], id, "{page}");
    let other = brought.replacen('4', "5", 1);
    let refused = call("brought", &other, &["POST", "/v1.0/messages", &body]);
    assert_eq!(refused["code"], "unauthorized", "one other byte of the secret");
    gateway.verb(&["credential", "revoke", "brought"]).unwrap();
    within(PATIENCE, "it is revoked", || {
        (call("brought", brought, &["GET", "/v1.0/quota"])["code"] == "unauthorized").then_some(())
    });
}

/// A process that was killed remembers no nonce: the same bytes come again, within their window, and send nothing.
#[test]
fn a_replay_after_the_nonces_were_forgotten_names_the_same_messages_and_sends_nothing() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup { quota: Some(10), ..Setup::default() }).unwrap();
    let by = credential(&gateway, "c0", &[]);
    let batch = json!({ "messages": [message("sms", "same"), message("sms", "same")] });
    let json_type = json!({ "Content-Type": "application/json" });
    let cases = [
        Case::post("/v1.0/messages", json_type.clone(), &message("sms", "same")),
        Case::post("/v1.0/messages/batch", json_type, &batch),
    ];
    let [python, _] = within(PATIENCE, "the credential is in force", || {
        let probe = Case { method: "GET", path: "/v1.0/quota", headers: json!({}), body: None };
        let [python, _] = signed(&gateway, &by, std::slice::from_ref(&probe));
        let taken = status(&gateway, &probe.bytes(&gateway, &python[0])).0 == 200;
        taken.then(|| signed(&gateway, &by, &cases))
    });
    let calls: Vec<Vec<u8>> =
        cases.iter().zip(&python).map(|(case, head)| case.bytes(&gateway, head)).collect();
    let ids = |gateway: &Gateway| {
        let answers = calls.iter().map(|call| {
            let (status, answer) = status(gateway, call);
            assert_eq!(status, 202, "{answer}");
            answer
        });
        let answers: Vec<Value> = answers.collect();
        let results = answers[1]["results"].as_array().unwrap();
        let ids =
            std::iter::once(&answers[0]).chain(results).map(|item| item["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<String>>()
    };
    let first = ids(&gateway);
    for call in &calls {
        assert_eq!(status(&gateway, call).1["code"], "nonce-replayed");
    }
    let mut customer = gateway.customer(0);
    for id in &first {
        until(&mut customer, id, &["delivered"], PATIENCE);
    }
    gateway.kill().unwrap();
    gateway.start(&[]).unwrap();
    assert_eq!(ids(&gateway), first, "the answers name the same messages");
    for call in &calls {
        assert_eq!(status(&gateway, call).1["code"], "nonce-replayed", "and are remembered anew");
    }
    let mut customer = gateway.customer(0);
    assert_eq!(reports(&mut customer, 3, PATIENCE).len(), 3);
    for id in &first {
        let view = customer.get(&format!("/messages/{id}")).unwrap().json();
        assert_eq!((view["attempts"].as_u64(), view["revision"].as_u64()), (Some(1), Some(1)), "{view}");
        assert!(view["key"].is_null(), "{view}");
    }
    within(PATIENCE, "what came twice was seen by intake", || {
        (gateway.verb(&["check"]).is_ok() && used(&gateway) == 3).then_some(())
    });
}
