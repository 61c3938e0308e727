//! docs/api.md: its examples are run, and its tables held against the code.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use naru_shared::domain::Timestamp;
use naru_tests::{
    customer::basic,
    gateway::{Gateway, Setup},
    wire::Wire,
};
use serde_json::Value;

use crate::stage::{beside_others, within};

const PATIENCE: Duration = Duration::from_secs(15);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// A command and the answer that is printed below it.
struct Example {
    command: String,
    answer: String,
}

fn examples() -> Vec<Example> {
    let document = text("docs/api.md");
    let mut blocks = document.split("```").skip(1).step_by(2);
    let mut examples = Vec::new();
    while let Some(block) = blocks.next() {
        let command = block.strip_prefix("sh\n").unwrap_or_else(|| panic!("no command: {block}"));
        let answer = blocks.next().and_then(|block| block.strip_prefix("http\n"));
        let answer = answer.unwrap_or_else(|| panic!("no answer follows {command}"));
        examples.push(Example { command: command.to_owned(), answer: answer.to_owned() });
    }
    assert!(examples.len() >= 12, "the examples were not found");
    examples
}

/// Whether a text is the printed one, in which `…` stands for anything but nothing.
fn fits(printed: &str, found: &str) -> bool {
    let mut parts = printed.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.get(1..).and_then(|rest| rest.find(part)) else { return false };
        rest = &rest[1 + at + part.len()..];
    }
    rest.len() > last.len() && rest.ends_with(last)
}

/// Where an answer differs from the printed one: other keys, types or values. Any time stands for any other.
fn differences(at: &str, printed: &Value, found: &Value) -> Vec<String> {
    match (printed, found) {
        (Value::Object(printed), Value::Object(found)) => {
            let names: BTreeSet<&String> = printed.keys().chain(found.keys()).collect();
            let of = |name: &String| match (printed.get(name), found.get(name)) {
                (Some(printed), Some(found)) => differences(&format!("{at}.{name}"), printed, found),
                (printed, _) => {
                    vec![format!("{at}.{name}: only {}", if printed.is_some() { "printed" } else { "found" })]
                }
            };
            names.into_iter().flat_map(of).collect()
        }
        (Value::Array(printed), Value::Array(found)) if printed.len() == found.len() => {
            let pairs = printed.iter().zip(found).enumerate();
            pairs
                .flat_map(|(i, (printed, found))| differences(&format!("{at}[{i}]"), printed, found))
                .collect()
        }
        (Value::String(printed), Value::String(found)) => {
            let times = [printed, found].iter().all(|text| text.parse::<Timestamp>().is_ok());
            if times || fits(printed, found) {
                Vec::new()
            } else {
                vec![format!("{at}: {printed:?} or {found:?}")]
            }
        }
        _ if printed == found => Vec::new(),
        _ => vec![format!("{at}: {printed} or {found}")],
    }
}

/// Status line, headers and body of an answer as it was printed or came.
fn parts(answer: &str) -> (String, Vec<(String, String)>, String) {
    let answer = answer.replace("\r\n", "\n");
    let (head, body) = answer.trim_end_matches('\n').split_once("\n\n").unwrap_or((answer.trim_end(), ""));
    let mut lines = head.lines();
    let status = lines.next().unwrap().to_owned();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned()));
    (status, headers.collect(), body.to_owned())
}

fn check(example: &Example, came: &str) -> Value {
    let ((status, headers, body), (came_status, came_headers, came_body)) =
        (parts(&example.answer), parts(came));
    let what = format!("{}\n{came}", example.command);
    assert_eq!(status, came_status, "{what}");
    for (name, value) in headers {
        let found = came_headers.iter().any(|(other, found)| *other == name && fits(&value, found));
        assert!(found, "{name}: {value} is not in {what}");
    }
    if body.is_empty() {
        return Value::Null;
    }
    let printed: Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
    let found: Value = serde_json::from_str(&came_body).unwrap_or_else(|e| panic!("{e}: {what}"));
    let different = differences("", &printed, &found);
    assert!(different.is_empty(), "printed or found: {different:#?}\n{what}");
    found
}

/// The first id that an answer names.
fn id_of(answer: &Value) -> Option<String> {
    let places = [&answer["id"], &answer["reports"][0]["id"], &answer["results"][0]["id"]];
    places.iter().find_map(|id| id.as_str()).filter(|id| id.starts_with("msg_")).map(str::to_owned)
}

/// The id of an attachment that an answer names.
fn file_of(answer: &Value) -> Option<String> {
    answer["id"].as_str().filter(|id| id.starts_with("att_")).map(str::to_owned)
}

/// A gateway with the customer of the examples; its live and its sandbox credential.
fn stage() -> (Gateway, [String; 2]) {
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    gateway
        .verb(&["customer", "add", "acme", "--time-zone", "Asia/Seoul", "--rate", "burst=100/1s+200"])
        .unwrap();
    gateway.verb(&["route", "add", "carrier-a", "simulator", "--assign", "acme"]).unwrap();
    gateway.verb(&["quota", "set", "acme", "100000", "--period", "month"]).unwrap();
    let users = ["live", "sandbox"].map(|environment| {
        let made =
            gateway.verb(&["credential", "add", "acme", "--environment", environment, "--json"]).unwrap();
        let made: Value = serde_json::from_str(&made).unwrap();
        ["id", "password", "api_key"]
            .map(|part| made[part].as_str().unwrap_or_else(|| panic!("{made}")))
            .join(":")
    });
    // What a verb changes is in force within a second.
    thread::sleep(Duration::from_secs(1));
    (gateway, users)
}

/// Until no worker has anything to do with it at once.
fn settled(gateway: &Gateway, users: &[String; 2], id: &str) {
    within(PATIENCE, "the message rests", || {
        let of = |(user, base): (&String, &str)| {
            let header = format!("Authorization: {}", basic(user));
            let path = format!("{base}/messages/{id}");
            let reply = Wire::new(gateway.listen(), PATIENCE).call("GET", &path, &[header], b"").unwrap();
            reply.json()["status"].as_str().map(str::to_owned)
        };
        let status = users.iter().zip(["/v1.0", "/sandbox/v1.0"]).find_map(of)?;
        ["delivered", "failed", "scheduled", "cancelled"].contains(&status.as_str()).then_some(())
    });
}

#[test]
fn every_example_is_answered_as_it_is_printed() {
    let _beside = beside_others();
    let (gateway, users) = stage();
    let (mut id, mut file) = (String::new(), String::new());
    for example in examples() {
        let output = Command::new("bash")
            .args(["-c", &example.command])
            .env("NARU", format!("http://{}", gateway.listen()))
            .env("LIVE", &users[0])
            .env("TEST", &users[1])
            .env("ID", &id)
            .env("FILE", &file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {}", example.command, String::from_utf8_lossy(&output.stderr));
        let answer = check(&example, &String::from_utf8(output.stdout).unwrap());
        if let Some(named) = file_of(&answer) {
            file = named;
        }
        if let Some(named) = id_of(&answer) {
            settled(&gateway, &users, &named);
            id = named;
        }
    }
}

#[test]
fn a_difference_would_be_seen() {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let printed = value(r#"{"id":"msg_…","n":1,"at":"2026-11-22T09:00:00.123Z","list":[{"a":null}]}"#);
    let same = r#"{"id":"msg_01k","n":1,"at":"2027-01-01T00:00:00.000Z","list":[{"a":null}]}"#;
    assert_eq!(differences("", &printed, &value(same)), Vec::<String>::new());
    for (from, to) in [
        ("msg_01k", "msg_"),
        ("msg_01k", "req_01k"),
        (r#""n":1"#, r#""n":2"#),
        (r#""n":1"#, r#""n":"1""#),
        (r#""n":1,"#, ""),
        ("null", "0"),
        (r#"{"a":null}"#, r#"{"a":null},1"#),
        (r#"{"a":null}"#, r#"{"a":null,"b":1}"#),
        ("2027-01-01T00:00:00.000Z", "tomorrow"),
    ] {
        assert!(same.contains(from), "{from}");
        assert_eq!(differences("", &printed, &value(&same.replace(from, to))).len(), 1, "{from} {to}");
    }
    assert!(fits("\"a\";r=…;t=…", "\"a\";r=7;t=0") && !fits("\"a\";r=…;t=…", "\"a\";r=7"));
}

/// Every address in the table of the code, as the reference writes it.
fn addresses() -> Vec<String> {
    let source = text("ingress/src/versions.rs");
    let mut found = Vec::new();
    for rest in source.split("resource(\"").skip(1) {
        let mut words = rest.split('"');
        let (path, methods) = (words.next().unwrap(), words.nth(1).unwrap());
        let whole =
            ["/problems", "/callbacks", "/openapi", "/docs"].iter().any(|base| path.starts_with(base));
        let base = if whole { "" } else { "/v1.0" };
        found.extend(methods.split(", ").map(|method| format!("`{method} {base}{path}`")));
    }
    assert!(found.len() >= 8, "the table was not found: {found:?}");
    found
}

#[test]
fn the_reference_has_every_call_and_every_problem_code() {
    let document = text("docs/api.md");
    for call in addresses() {
        assert!(document.contains(&format!("| {call} |")), "docs/api.md does not list {call}");
    }
    let problems = naru_ingress::problems();
    let mut told = BTreeSet::new();
    for line in document.lines() {
        let Some((status, codes)) = line.strip_prefix("| ").and_then(|row| row.split_once(" | `")) else {
            continue;
        };
        let Ok(status) = status.parse::<u16>() else { continue };
        for code in codes.split('`').filter(|word| !word.trim().is_empty() && *word != " |") {
            assert!(
                problems.iter().any(|p| (p.0, p.1) == (code, status)),
                "{status} {code} is no problem of the code"
            );
            told.insert(code);
        }
    }
    let missing: Vec<&str> = problems.iter().map(|p| p.0).filter(|code| !told.contains(code)).collect();
    assert!(missing.is_empty(), "docs/api.md lacks {missing:?}");
}
