//! docs/events.md and docs/asyncapi.yaml, compared with the table of kinds, with a linter, and with events that were caught.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use naru_shared::domain::{Audience, EventKind, kinds};
use naru_tests::tools::tool;
use serde_json::{Value, json};

/// Kinds that the gateway of the test does not publish: nobody can make it, or it is made elsewhere.
pub(super) const NOT_CAUSED: [&str; 7] = [
    kinds::REJECTED.name,
    kinds::CREDENTIAL_CHANGED.name,
    kinds::WEBHOOK_FULL.name,
    kinds::WEBHOOK_TEST.name,
    kinds::UNMATCHED.name,
    kinds::REDRIVEN.name,
    kinds::REPLACED.name,
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn path() -> PathBuf {
    root().join("docs/asyncapi.yaml")
}

/// A Python program that has read the document (`events.py`).
struct Reader {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reader {
    fn start(document: &Path) -> Self {
        let mut command = tool("pip/bin/python").unwrap();
        command.arg(root().join("tests/it/events.py")).arg(document);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    fn ask(&mut self, order: &Value) -> Value {
        writeln!(self.input, "{order}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{order}: {error}"))
    }

    /// What is wrong with an event.
    fn check(&mut self, event: &Value) -> Vec<Value> {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        self.check_as(event, &kind)
    }

    fn check_as(&mut self, event: &Value, kind: &str) -> Vec<Value> {
        let order = json!({ "do": "check", "kind": kind, "event": event });
        self.ask(&order)["errors"].as_array().unwrap().clone()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It ends with its input; if it is gone already there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn document() -> Value {
    Reader::start(&path()).ask(&json!({ "do": "document" }))
}

/// Every one of these is what the document says of its kind.
pub(crate) fn says_what_was_caught(events: &[Value]) {
    let mut reader = Reader::start(&path());
    for event in events {
        assert_eq!(reader.check(event), [] as [Value; 0], "{event:#}");
    }
}

#[test]
fn the_table_of_kinds_is_the_code_s() {
    let text = fs::read_to_string(root().join("docs/events.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `naru.")).collect();
    let row = |kind: &EventKind| {
        let (name, audience, data) = (kind.name, kind.audience.as_str(), kind.data.as_str());
        format!("| `{name}` | {audience} | [`{data}`](#{}) | {} |", data.to_lowercase(), kind.meaning)
    };
    assert_eq!(rows, kinds::ALL.iter().map(row).collect::<Vec<_>>());
    for kind in kinds::ALL {
        assert!(text.contains(&format!("### `{}`", kind.data.as_str())), "{:?} is not explained", kind.data);
    }
}

#[test]
fn the_messages_are_the_code_s_kinds_on_the_channels_of_who_hears_them() {
    let document = document();
    let messages = document["components"]["messages"].as_object().unwrap();
    assert_eq!(messages.len(), kinds::ALL.len());
    for kind in kinds::ALL {
        let message = &messages[kind.name];
        let schema = &message["payload"]["allOf"][1]["properties"];
        let data = format!("#/components/schemas/{}", kind.data.as_str());
        assert_eq!((&message["name"], &message["title"]), (&json!(kind.name), &json!(kind.meaning)));
        assert_eq!(message["x-audience"], kind.audience.as_str());
        assert_eq!((&schema["type"]["const"], &schema["data"]["$ref"]), (&json!(kind.name), &json!(data)));
    }
    let on = |channel: &str| -> BTreeSet<String> {
        document["channels"][channel]["messages"].as_object().unwrap().keys().cloned().collect()
    };
    let of = |not: Audience| -> BTreeSet<String> {
        let kept = kinds::ALL.iter().filter(|kind| kind.audience != not);
        kept.map(|kind| kind.name.to_owned()).collect()
    };
    assert_eq!(on("topic"), of(Audience::Webhook));
    assert_eq!(on("webhook"), of(Audience::Operator));
}

#[test]
fn examples_are_what_their_schemas_say_and_others_are_not() {
    let mut reader = Reader::start(&path());
    let document = reader.ask(&json!({ "do": "document" }));
    let mut shapes: BTreeMap<&str, Value> = BTreeMap::new();
    for kind in kinds::ALL {
        let examples = &document["components"]["messages"][kind.name]["examples"];
        for example in examples.as_array().into_iter().flatten() {
            let event = &example["payload"];
            assert_eq!(reader.check(event), [] as [Value; 0], "{event:#}");
            shapes.insert(kind.data.as_str(), event.clone());
        }
    }
    for kind in kinds::ALL {
        let event = shapes.get(kind.data.as_str()).unwrap_or_else(|| panic!("no example of {:?}", kind.data));
        for field in event["data"].as_object().unwrap().keys() {
            let mut other = event.clone();
            other["data"][field] = json!({ "no": "such thing" });
            assert!(!reader.check(&other).is_empty(), "{field} of {:?} may be anything", kind.data);
        }
        for field in ["specversion", "id", "source", "type", "subject", "time", "sequence", "data"] {
            let mut other = event.clone();
            other.as_object_mut().unwrap().remove(field);
            assert!(!reader.check_as(&other, kind.name).is_empty(), "{field} may be missing");
        }
    }
}

fn linted(document: &Path) -> (bool, String) {
    let mut command: Command = tool("npm/node_modules/.bin/spectral").unwrap();
    command
        .args(["lint", "--fail-severity", "hint", "--ruleset"])
        .arg(root().join("tests/tools/spectral.yaml"));
    let output = command.arg(document).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

#[test]
fn the_linter_passes_the_document_and_would_refuse_a_mistyped_one() {
    let (passes, said) = linted(&path());
    assert!(passes, "{said}");
    let home = tempfile::tempdir().unwrap();
    let whole = fs::read_to_string(path()).unwrap();
    for (right, wrong) in [
        ("action: send", "action: sned"),
        ("#/components/schemas/ReportData", "#/components/schemas/NoData"),
        ("asyncapi: 3.0.0\n", "asyncapi: 3.0.0\nchanels: {}\n"),
    ] {
        assert!(whole.contains(right), "{right}");
        let broken = home.path().join("asyncapi.yaml");
        fs::write(&broken, whole.replacen(right, wrong, 1)).unwrap();
        assert!(!linted(&broken).0, "{wrong} passes");
    }
}
