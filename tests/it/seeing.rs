//! What an operator sees: a message's whole life, what comes and waits, what a month held, and what calls for somebody.

mod alarms;
mod watch;

use std::{process::Command, time::Duration};

use naru_shared::domain::{Clock, OnUncertain, SystemClock};
use naru_tests::{
    customer::Customer,
    deployment::{Deployment, Shape},
    gateway::{Gateway, RouteSpec, Setup},
};
use serde_json::{Value, json};

use crate::stage::{accept, beside_others, reports, until, within};

const PATIENCE: Duration = Duration::from_secs(30);

/// A quick eye for alarms, and enough time-outs that are short.
const CONFIG: &str = "[workers]\nalarm_ms = 200\n";

fn setup() -> Setup {
    let held = RouteSpec { on_uncertain: OnUncertain::Hold, ..RouteSpec::simulator("doubt") };
    let routes = vec![RouteSpec::simulator("demo"), held];
    Setup { routes, config: CONFIG.to_owned(), quota: Some(1_000), ..Setup::default() }
}

fn wide() -> Deployment {
    Deployment::spawn(&Shape { setup: setup(), ingress: 1, ..Shape::default() }).unwrap()
}

/// Runs a verb of the operator's.
type Verb<'v> = &'v dyn Fn(&[&str]) -> String;

fn text(channel: &str, digits: &str) -> Value {
    json!({ "channel": channel, "recipient": format!("+8210123456{digits}"), "body": "hello" })
}

fn shown(verb: Verb<'_>, id: &str) -> Value {
    serde_json::from_str(&verb(&["message", "show", id, "--json"])).unwrap()
}

fn timeline(shown: &Value) -> Vec<&str> {
    shown["timeline"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect()
}

/// Lives of every sort, told step by step; all of them are read. How many there were.
fn lives(customer: &mut Customer, verb: Verb<'_>) -> u64 {
    let plain = accept(customer, &text("sms", "00"), None);
    let tried = accept(customer, &text("sms", "93"), None);
    let later = accept(customer, &text("sms", "94"), None);
    let failed = accept(customer, &text("sms", "90"), None);
    let held = accept(customer, &text("doubt", "97"), None);
    until(customer, &held, &["held"], PATIENCE);
    let told = shown(verb, &held);
    assert_eq!(
        timeline(&told),
        ["accepted", "taken-in", "attempt-began", "attempt-ended", "waits"],
        "{told}"
    );
    verb(&["uncertain", "resolve", &held, "--as", "delivered"]);
    assert_eq!(reports(customer, 5, PATIENCE).len(), 5);
    let told = within(PATIENCE, "the report is read", || {
        Some(shown(verb, &plain)).filter(|told| told["report_read"]["state"] == "read")
    });
    assert_eq!(
        timeline(&told),
        ["accepted", "taken-in", "attempt-began", "report", "acknowledged"],
        "{told}"
    );
    let moments: Vec<&str> =
        told["timeline"].as_array().unwrap().iter().map(|step| step["at"].as_str().unwrap()).collect();
    assert!(moments.is_sorted(), "{moments:?}");
    let told = shown(verb, &tried);
    let one = ["attempt-began", "attempt-ended"];
    let mut expected = vec!["accepted", "taken-in"];
    expected.extend(one.iter().chain(&one).chain(&one));
    expected.extend(["report", "acknowledged"]);
    assert_eq!(timeline(&told), expected, "{told}");
    let told = shown(verb, &later);
    let expected = ["accepted", "taken-in", "attempt-began", "attempt-taken", "report", "acknowledged"];
    assert_eq!(timeline(&told), expected, "{told}");
    assert_eq!(shown(verb, &failed)["status"], "failed");
    let told = shown(verb, &held);
    let expected = ["accepted", "taken-in", "attempt-began", "attempt-ended", "report", "acknowledged"];
    assert_eq!(timeline(&told), expected, "{told}");
    let words = verb(&["message", "show", &tried]);
    assert!(words.contains("attempt 2 was not taken: it is tried again"), "{words}");
    5
}

fn month() -> String {
    SystemClock.now().to_string()[..7].to_owned()
}

/// The bill as Python reads it: the sums of its columns, and how many rows it has.
fn billed(verb: Verb<'_>) -> Value {
    let bill = verb(&["usage", "--month", &month(), "--csv"]);
    let program = "import csv, io, json, sys\n\
                   text = sys.stdin.buffer.read().decode()\n\
                   rows = list(csv.DictReader(io.StringIO(text, newline=''), strict=True))\n\
                   names = [n for n in rows[0] if n[0] in 'sar' or n.startswith('units')]\n\
                   names = ['submitted','accepted','reported','acknowledged','units_reserved','units_captured','units_released']\n\
                   print(json.dumps({n: sum(int(r[n]) for r in rows if r['environment'] == 'live') for n in names}))";
    let mut python = Command::new("python3");
    let mut child = python
        .args(["-c", program])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), bill.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && bill.contains("\r\n"), "{bill}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same out of the tables, by somebody else's hand.
const COUNTED: &str = "count(*), sum(CASE WHEN state <> 13 THEN 1 ELSE 0 END), sum(CASE WHEN state >= 10 THEN 1 ELSE 0 END), \
     sum(CASE WHEN charge = 1 THEN units ELSE 0 END), sum(CASE WHEN charge = 2 THEN units ELSE 0 END), \
     sum(CASE WHEN charge = 3 THEN units ELSE 0 END)";

fn agree(bill: &Value, counted: &[u64], acknowledged: u64, used: u64) {
    let of = |name: &str| bill[name].as_u64().unwrap();
    let names = ["submitted", "accepted", "reported", "units_reserved", "units_captured", "units_released"];
    let told: Vec<u64> = names.iter().map(|name| of(name)).collect();
    assert_eq!(told, counted, "{bill}");
    assert_eq!(
        (of("acknowledged"), of("units_reserved") + of("units_captured")),
        (acknowledged, used),
        "{bill}"
    );
}

fn numbers(line: &str) -> Vec<u64> {
    line.trim().split('|').map(|number| number.trim().parse().unwrap()).collect()
}

#[test]
fn a_message_s_life_is_told_and_a_month_is_counted_on_the_embedded_engines() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&setup()).unwrap();
    let mut customer = gateway.customer(0);
    let verb = |arguments: &[&str]| gateway.verb(arguments).unwrap();
    let lived = lives(&mut customer, &verb);
    // One more that nobody reads, and one that no worker has seen.
    let unread = accept(&mut customer, &text("sms", "00"), None);
    until(&mut customer, &unread, &["delivered"], PATIENCE);
    assert_eq!(timeline(&shown(&verb, &unread)).last(), Some(&"unread"));
    let counted = Command::new("python3")
        .args(["-c", "import sqlite3, sys\nprint('|'.join(str(n) for n in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()))"])
        .arg(gateway.home().join("data/ledger.db"))
        .arg(format!("SELECT {COUNTED}, (SELECT sum(used) - sum(credited) FROM usage) FROM message WHERE sandbox = 0"))
        .output()
        .unwrap();
    let counted = numbers(&String::from_utf8(counted.stdout).unwrap());
    agree(&billed(&verb), &counted[..6], lived, counted[6]);
    assert_eq!(counted[0], lived + 1);
}

#[test]
fn a_message_s_life_is_told_and_a_month_is_counted_on_shared_engines() {
    let _beside = beside_others();
    let site = wide();
    let mut customer = site.customer(0);
    let verb = |arguments: &[&str]| site.verb(arguments).unwrap();
    let lived = lives(&mut customer, &verb);
    let unread = accept(&mut customer, &text("sms", "00"), None);
    until(&mut customer, &unread, &["delivered"], PATIENCE);
    let statement = format!(
        "SELECT {COUNTED}, (SELECT sum(used) - sum(credited) FROM naru.usage) FROM ( \
           SELECT state, charge, units, sandbox FROM naru.message WHERE fingerprint IS NOT NULL \
           UNION ALL SELECT state, charge, units, sandbox FROM naru.archive) AS m WHERE NOT sandbox"
    );
    let counted = numbers(&site.psql(&statement).unwrap());
    agree(&billed(&verb), &counted[..6], lived, counted[6]);
}

#[test]
fn of_a_message_that_no_worker_has_seen_it_is_said_what_can_be() {
    let _beside = beside_others();
    let mut gateway = Gateway::prepare(&setup()).unwrap();
    gateway.argue(&["--workers", "0"]);
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    let verb = |arguments: &[&str]| gateway.verb(arguments).unwrap();
    let queued = accept(&mut customer, &text("sms", "00"), None);
    let told = shown(&verb, &queued);
    assert_eq!(
        (told["status"].as_str(), told["environment"].as_str()),
        (Some("queued"), Some("live")),
        "{told}"
    );
    assert!(customer.cancel(&queued).unwrap().status < 300);
    let told = shown(&verb, &queued);
    assert_eq!(told["status"], "cancelled", "{told}");
    assert!(told["cancelled_at"].is_string(), "{told}");
    let strange = gateway.verb(&["message", "show", "msg_01h455vb4pex5vsknk084sn02q"]).unwrap_err();
    assert!(strange.to_string().contains("there is no message"), "{strange}");
}
