//! Clients that we did not write: Python's standard library, and curl.

use std::{process::Command, time::Duration};

use naru_tests::gateway::{Gateway, Setup};
use serde_json::Value;

use crate::stage::{beside_others, within};

const SEND: &str = r#"
import base64, json, sys, urllib.request
base, user = sys.argv[1:3]
head = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode(), "Content-Type": "application/json"}
def call(method, path, body=None, **more):
    data = json.dumps(body).encode() if body is not None else None
    ask = urllib.request.Request(base + path, data=data, headers={**head, **more}, method=method)
    with urllib.request.urlopen(ask, timeout=25) as answer:
        return answer.status, json.load(answer)
message = {"channel": "sms", "recipient": "+821012345600", "body": "안녕하세요", "reference": "py"}
status, first = call("POST", "/messages", message, **{"Idempotency-Key": "py-1"})
assert status == 202, status
status, again = call("POST", "/messages", message, **{"Idempotency-Key": "py-1"})
assert (status, again["id"]) == (202, first["id"]), again
status, page = call("GET", "/reports?wait=20")
report = page["reports"][0]
assert (report["id"], report["status"], report["charged"]) == (first["id"], "delivered", True), report
status, done = call("POST", "/reports/ack", {"reports": [{"id": report["id"], "revision": report["revision"]}]})
assert done["acknowledged"] == 1, done
try:
    call("POST", "/messages", {**message, "body": "other"}, **{"Idempotency-Key": "py-1"})
    raise SystemExit("other content was accepted under the same key")
except urllib.error.HTTPError as refusal:
    assert refusal.code == 422, refusal.code
    assert refusal.headers["Content-Type"].startswith("application/problem+json"), refusal.headers
print("ok")
"#;

#[test]
fn python_s_standard_library_sends_repeats_reads_and_acknowledges() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let base = format!("http://{}/v1.0", gateway.listen());
    let output = Command::new("python3").args(["-c", SEND, &base, &gateway.users.live[0]]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ok", "{errors}");
}

fn curl(user: &str, arguments: &[&str]) -> (u16, Value) {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "25", "--write-out", "\n%{http_code}", "--user", user])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn curl_sends_to_the_sandbox_and_reads_what_became_of_it() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { quota: Some(5), ..Setup::default() }).unwrap();
    let base = format!("http://{}/sandbox/v1.0", gateway.listen());
    let user = gateway.users.sandbox[0].as_str();
    let body = r#"{"channel":"sms","recipient":"+821012345600","body":"hello"}"#;
    let json = ["--header", "Content-Type: application/json", "--data", body];
    let (status, sent) = curl(user, &[&json[..], &[&format!("{base}/messages")]].concat());
    assert_eq!(status, 202, "{sent}");
    let at = format!("{base}/messages/{}", sent["id"].as_str().unwrap());
    within(Duration::from_secs(10), "the sandbox delivers", || {
        (curl(user, &[&at]).1["status"] == "delivered").then_some(())
    });
    let live = format!("http://{}/v1.0/quota", gateway.listen());
    assert_eq!(curl(user, &[&live]).0, 403, "a sandbox credential on the live base");
    let (_, quota) = curl(&gateway.users.live[0], &[&live]);
    assert_eq!(quota["quotas"][0]["used"], 0, "the sandbox is never charged");
}
