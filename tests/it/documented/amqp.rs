//! docs/rabbitmq.md, seen by a client that is not ours (`amqp.py`, with pika).

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Map, Value, json};

use super::tables::{table, words};

/// A Python program with a connection of its own.
pub(super) struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Client {
    pub(super) fn connect(url: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("../target/tools/pip/bin/python");
        assert!(python.is_file(), "`cargo xtask test` installs {}", python.display());
        let mut command = Command::new(python);
        command.arg(root.join("it/documented/amqp.py")).arg(url).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    /// Does one thing and returns what came of it.
    pub(super) fn run(&mut self, what: Value) -> Value {
        writeln!(self.input, "{what}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the client ended at {what}");
        serde_json::from_str(&line).unwrap()
    }

    /// Messages that wait on a queue that is there.
    pub(super) fn waiting(&mut self, queue: &str) -> Option<u64> {
        self.run(json!({ "do": "declare", "queue": queue, "passive": true }))["messages"].as_u64()
    }

    fn declare(&mut self, queue: &str, arguments: &Map<String, Value>) -> Value {
        self.run(json!({ "do": "declare", "queue": queue, "passive": false, "arguments": arguments }))
    }

    /// The next message of a queue, and what becomes of it: `ack`, `requeue`, or `reject`.
    pub(super) fn get(&mut self, queue: &str, then: &str) -> Value {
        self.run(json!({ "do": "get", "queue": queue, "then": then }))["message"].clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It ends when it is told nothing more; here it may still wait for the broker.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A name or a value of the document, for one deployment.
pub(super) fn meant(text: &str) -> String {
    text.replace("NAMESPACE", "main")
        .replace("ROUTE", "carrier-a")
        .replace("LANE", "express")
        .replace("SUBSCRIPTION", "watch")
}

/// The documented arguments of a queue.
fn arguments(cell: &str) -> Map<String, Value> {
    let pair = |word: String| {
        let (name, value) = word.split_once(':').unwrap();
        let value = meant(value.trim());
        (name.to_owned(), value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number)))
    };
    words(cell).into_iter().map(pair).collect()
}

/// Every documented queue is there, and was made with exactly the documented arguments: a client may declare it so, and
/// is refused when any argument is missing or another.
pub(super) fn queues(client: &mut Client, document: &str) {
    for row in table(document, &["name", "what", "arguments"]) {
        let name = meant(&words(&row[0])[0]);
        assert!(client.waiting(&name).is_some(), "{name} is there");
        let told = arguments(&row[2]);
        let declared = client.declare(&name, &told);
        assert!(declared["messages"].is_u64(), "{name} with {told:?}: {declared}");
        for argument in told.keys() {
            let mut others = told.clone();
            others.remove(argument);
            let refused = client.declare(&name, &others);
            assert_eq!(refused["refused"], 406, "{name} without {argument}: {refused}");
        }
    }
    let exchange = json!({ "do": "exchange", "exchange": "naru.main.events", "type": "fanout" });
    assert_eq!(client.run(exchange), json!({}), "a durable fanout exchange");
    let another = json!({ "do": "exchange", "exchange": "naru.main.events", "type": "topic" });
    assert_eq!(client.run(another)["refused"], 406);
}

/// The names that the document allows, for any route, lane and subscription: what is on the broker beside is a lie.
pub(super) fn names(listed: &str, document: &str, routes: &[&str]) {
    let mut allowed = std::collections::BTreeSet::new();
    for row in table(document, &["name", "what", "arguments"]) {
        let name = words(&row[0]).remove(0).replace("NAMESPACE", "main").replace("SUBSCRIPTION", "watch");
        for route in routes {
            for lane in ["express", "bulk"] {
                allowed.insert(name.replace("ROUTE", route).replace("LANE", lane));
            }
        }
    }
    for name in listed.lines().map(str::trim).filter(|name| !name.is_empty()) {
        assert!(allowed.contains(name), "{name} is on the broker and not in the document");
    }
}

/// A message that lies on a queue has the properties and headers that the document says, and no others.
pub(super) fn message(document: &str, kind: &str, seen: &Value) {
    let rows = table(document, &["message", "lies on", "properties", "headers"]);
    let row = rows.iter().find(|row| row[0] == kind).unwrap_or_else(|| panic!("{kind} is not told of"));
    // One without a value may have any.
    let any = |name: &str| seen["properties"][name].clone();
    let mut told: Map<String, Value> = words(&row[2])
        .iter()
        .map(|word| match word.split_once(": ") {
            Some((name, value)) => (name.to_owned(), json!(value)),
            None => (word.clone(), any(word)),
        })
        .collect();
    told.insert("delivery_mode".to_owned(), json!(2));
    told.insert("app_id".to_owned(), json!("naru"));
    let mut properties = seen["properties"].as_object().unwrap_or_else(|| panic!("{kind}: {seen}")).clone();
    let id = properties.remove("message_id");
    assert!(id.is_some_and(|id| !id.as_str().unwrap().is_empty()), "{kind}: {seen}");
    assert_eq!(properties, told, "{kind}: {seen}");
    let mut headers: Vec<&String> = seen["headers"].as_object().unwrap().keys().collect();
    // The broker's own: how often it came, and where it was thrown out.
    headers.retain(|name| *name != "x-delivery-count" && !name.starts_with("x-first-death-"));
    headers.sort();
    let mut named = words(&row[3]);
    named.sort();
    assert_eq!(headers, named.iter().collect::<Vec<_>>(), "{kind}: {seen}");
}
