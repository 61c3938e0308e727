//! Packs that could not be opened, on every engine: set aside, looked at, put back once they verify, or removed by a person.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use naru_shared::{domain::kinds, key_file, keys::Secret};
use naru_tests::{
    customer::Customer,
    deployment::{Carries, Deployment, Shape},
    engines::{Flavour, REGION},
    gateway::{Gateway, Setup},
    tools::tool,
};
use serde_json::Value;

use crate::{
    events::{heard, says_what_was_caught},
    stage::{accept, beside_others, message, reports, within},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that a question to SQS waits.
const LONG_POLL: Duration = Duration::from_secs(21);

/// Runs a verb: its exit code, and what it printed.
struct Operator {
    program: PathBuf,
    config: PathBuf,
    /// Whose secrets, if not those of the configuration.
    keys: Option<PathBuf>,
}

impl Operator {
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(&self.program);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.envs(self.keys.iter().map(|keys| ("NARU_KEYS__FILE", keys)));
        let output = command.arg("--config").arg(&self.config).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn asked(&self, arguments: &[&str]) -> (i32, Vec<Value>) {
        let (code, printed, said) = self.run(&[arguments, &["--json"]].concat());
        let rows = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}{said}"));
        (code, rows)
    }

    /// All that was set aside, once there are so many.
    fn listed(&self, count: usize) -> Vec<Value> {
        within(PATIENCE, &format!("{count} packs are set aside"), || {
            let (code, rows) = self.asked(&["quarantine", "list"]);
            assert_eq!(code, 0);
            (rows.len() == count).then_some(rows)
        })
    }
}

/// Another key of envelopes, beside the same other secrets.
fn other_keys(known: &Path, made: &Path) {
    let keyring = key_file::load(known).unwrap();
    let text = std::fs::read_to_string(known).unwrap();
    let (id, secret) = &keyring.envelopes[0];
    let other = text
        .replace(secret.to_hex().as_str(), Secret::random().to_hex().as_str())
        .replace(&format!("id = \"{id}\""), "id = \"other\"");
    assert_ne!(other, text);
    std::fs::copy(known, made).unwrap();
    std::fs::write(made, other).unwrap();
}

fn forge(arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/quarantine.py");
    let output = tool("pip/bin/python").unwrap().arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn id(row: &Value) -> String {
    row["id"].as_str().unwrap().to_owned()
}

/// What was harmed lies beside what is ours, of which only the key was missing: all of it is told, and nothing opens that was
/// harmed. The id of what is ours.
fn everything_is_told(operator: &Operator, sent: &str) -> String {
    let rows = operator.listed(5);
    let (ours, harmed): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["opens"] == true);
    assert_eq!((ours.len(), harmed.len()), (1, 4), "{rows:?}");
    for row in &rows {
        assert_eq!((&row["route"], &row["lane"]), (&"demo".into(), &"express".into()));
        assert!(!row["reason"].as_str().unwrap().is_empty() && row["set_aside_at"].is_string(), "{row}");
    }
    assert!(ours[0]["reason"].as_str().unwrap().contains("unknown key"), "{}", ours[0]);
    assert_eq!(ours[0]["messages"], 1);
    assert!(harmed.iter().all(|row| row["why_not"].is_string()), "{harmed:?}");
    let id = id(ours[0]);
    let (code, printed, said) = operator.run(&["quarantine", "show", &id[..12], "--json"]);
    assert_eq!(code, 0, "{said}");
    let shown: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(shown["contents"][0]["id"], sent);
    assert!(!printed.contains("hello"), "texts are not shown: {printed}");
    let (_, raw, _) = operator.run(&["quarantine", "show", &id, "--raw"]);
    assert!(raw.starts_with(shown["head"].as_str().unwrap()), "{raw}");
    id
}

/// What is ours goes back and is not told again; what was harmed stays, whoever asks.
fn only_what_is_ours_goes_back(operator: &Operator, ours: &str) {
    let (code, outcomes) = operator.asked(&["quarantine", "redrive", "--all"]);
    assert_eq!((code, outcomes.len()), (4, 5), "{outcomes:?}");
    let back: Vec<_> = outcomes.iter().filter(|outcome| outcome["done"] == true).collect();
    assert_eq!(back.len(), 1, "{outcomes:?}");
    assert_eq!(id(back[0]), ours);
}

/// A person removes what was harmed, and nothing else.
fn a_person_removes_the_rest(operator: &Operator, ours: &str) {
    let rows = operator.listed(4);
    let ids: Vec<String> = rows.iter().map(id).collect();
    assert!(!ids.iter().any(|id| id == ours));
    let (code, _) = operator.asked(&["quarantine", "redrive", &ids[0]]);
    assert_eq!(code, 4, "a forged one goes back");
    assert_eq!(operator.listed(4).len(), 4);
    let (code, _, said) = operator.run(&["quarantine", "discard", &ids[0], "0123456789abcdef"]);
    assert_eq!(code, 3, "{said}");
    assert_eq!(operator.listed(4).len(), 4, "nothing is removed if anything was named that is not there");
    let (code, outcomes) = operator.asked(&["quarantine", "discard", "--foreign"]);
    assert_eq!((code, outcomes.len()), (0, 4), "{outcomes:?}");
    assert!(operator.listed(0).is_empty());
}

/// A route of which nobody has made the queues.
fn a_lane_without_a_queue_keeps_nobody_from_the_others(operator: &Operator) {
    assert_eq!(operator.run(&["route", "add", "new", "simulator"]).0, 0);
    let (code, rows) = operator.asked(&["quarantine", "list"]);
    assert_eq!((code, rows.len()), (5, 4), "what is there is told, and that not everything was seen");
    let (code, outcomes) = operator.asked(&["quarantine", "redrive", &id(&rows[0])]);
    assert_eq!((code, outcomes.len()), (5, 1), "{outcomes:?}");
    let (_, printed, said) = operator.run(&["status"]);
    assert!(printed.contains("on the queue") && said.contains("naru infra apply"), "{printed}{said}");
    assert_eq!(operator.run(&["infra", "apply"]).0, 0);
}

fn delivered(customer: &mut Customer, sent: &str) {
    let told = reports(customer, 1, PATIENCE);
    assert_eq!((&told[0]["id"], &told[0]["status"]), (&sent.into(), &"delivered".into()));
}

#[test]
fn on_sqlite_what_is_ours_comes_back_and_what_is_forged_never() {
    let _beside = beside_others();
    let setup = Setup { subscription: Some("watch".to_owned()), ..Setup::default() };
    let mut gateway = Gateway::prepare(&setup).unwrap();
    gateway.argue(&["--workers", "0"]);
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    let sent = accept(&mut customer, &message("sms", "first"), None);
    gateway.drain().unwrap();
    let data = gateway.home().join("data");
    forge(&["sqlite", data.join("queue.db").to_str().unwrap()]);
    let other = gateway.home().join("other.toml");
    other_keys(&data.join("keys.toml"), &other);
    gateway.argue(&[]);
    gateway.start(&[("NARU_KEYS__FILE", other.display().to_string())]).unwrap();
    let operator = Operator { program: gateway.program().to_owned(), config: gateway.config(), keys: None };
    let ours = everything_is_told(&operator, &sent);
    // While it runs with the wrong keys it is set aside again; what is discarded is only what does not open.
    let (code, _, said) = operator.run(&["quarantine", "discard", &ours]);
    assert_eq!(code, 4, "{said}");
    // Nor by whoever lacks the key and cannot see whose it is.
    let stranger = Operator { keys: Some(other), ..operator };
    for discard in [&["quarantine", "discard", &ours][..], &["quarantine", "redrive", &ours]] {
        let (code, _, said) = stranger.run(discard);
        assert_eq!(code, 4, "{said}");
    }
    let operator = Operator { keys: None, ..stranger };
    assert_eq!(operator.listed(5).len(), 5);
    assert_eq!(operator.run(&["quarantine", "list", "--route", "nosuch"]).0, 3);
    only_what_is_ours_goes_back(&operator, &ours);
    assert_eq!(id(&operator.listed(5).into_iter().find(|row| row["opens"] == true).unwrap()), ours);
    // Put back while nobody runs, and found by the next start; then while it runs.
    gateway.drain().unwrap();
    only_what_is_ours_goes_back(&operator, &ours);
    gateway.start(&[]).unwrap();
    delivered(&mut customer, &sent);
    a_person_removes_the_rest(&operator, &ours);
    // Twice it went back; what stayed where it was is nobody's news.
    let mut events = heard(&mut gateway);
    events.retain(|event| event["type"] == kinds::REDRIVEN.name);
    assert_eq!(events.len(), 2, "{events:#?}");
    says_what_was_caught(&events);
}

/// Over engines that several processes share. `forge`: how to reach the queue.
fn wide(carries: Carries, reach: impl FnOnce(&Deployment) -> Vec<String>) {
    let _beside = beside_others();
    let mut site =
        Deployment::prepare(&Shape { ingress: 1, workers: 1, carries, ..Shape::default() }).unwrap();
    site.ingress[0].start(&[]).unwrap();
    let mut customer = site.customer_at(0, 0);
    let sent = within(PATIENCE, "it is let in", || {
        let reply = customer.send(&message("sms", "first"), Some("first")).ok()?;
        (reply.status == 202).then(|| reply.json()["id"].as_str().unwrap().to_owned())
    });
    let how = reach(&site);
    forge(&how.iter().map(String::as_str).collect::<Vec<_>>());
    let other = site.home().join("other.toml");
    other_keys(&site.home().join("keys.toml"), &other);
    site.workers[0].start(&[("NARU_KEYS__FILE", other.display().to_string())]).unwrap();
    let operator = Operator { program: site.program().to_owned(), config: site.config(), keys: None };
    let ours = everything_is_told(&operator, &sent);
    site.workers[0].drain().unwrap();
    if let Carries::Aws { .. } = carries {
        // The emulator answers the last question of a process that has ended too, and hides for a visibility time what it gave it.
        std::thread::sleep(LONG_POLL);
    }
    site.workers[0].start(&[]).unwrap();
    only_what_is_ours_goes_back(&operator, &ours);
    delivered(&mut customer, &sent);
    if let Carries::Aws { .. } = carries {
        a_lane_without_a_queue_keeps_nobody_from_the_others(&operator);
    }
    a_person_removes_the_rest(&operator, &ours);
    site.drain().unwrap();
}

#[test]
fn on_rabbitmq_what_is_ours_comes_back_and_what_is_forged_never() {
    wide(Carries::RabbitMq, |site| {
        let url = site.carrier.rabbit().unwrap().url();
        vec!["rabbitmq".to_owned(), url, "naru.main.demo.express".to_owned()]
    });
}

#[test]
fn on_sqs_what_is_ours_comes_back_and_what_is_forged_never() {
    wide(Carries::Aws { flavour: Flavour::Ministack, counted: false }, |site| {
        let endpoint = site.carrier.cloud().unwrap().emulator.endpoint();
        let queue = "naru-main-packs-demo-express".to_owned();
        vec!["sqs".to_owned(), endpoint, REGION.to_owned(), queue]
    });
}
