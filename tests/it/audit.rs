//! The record of what operators did, tampered with by hand: `naru audit verify` names the first bad row.

mod denied;
mod psql;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use naru_tests::gateway::{Gateway, RouteSpec, Setup};
use rusqlite::Connection;
use serde_json::Value;

use crate::stage::beside_others;

/// What stands for every secret and every recipient.
const CANARY: &str = "s3cret";
const RECIPIENT: &str = "+821098765432";

/// Runs a verb on a data directory: its exit code, and what it printed and said.
fn verb(gateway: &Gateway, data: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(gateway.program());
    let output = command.arg("--data").arg(data).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn data(gateway: &Gateway) -> PathBuf {
    gateway.home().join("data")
}

fn json(gateway: &Gateway, line: &str) -> Value {
    let printed = gateway.verb(&line.split(' ').chain(["--json"]).collect::<Vec<_>>()).unwrap();
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// A little of everything that an operator does; the secrets that were shown on the way.
fn acts(gateway: &Gateway) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
    let did = |line: &str| drop(gateway.verb(&line.split(' ').collect::<Vec<_>>()).unwrap());
    let mut secrets = vec![CANARY.to_owned(), RECIPIENT.to_owned(), RECIPIENT[3..].to_owned()];
    did("customer add acme --time-zone Asia/Seoul");
    let made = json(gateway, "credential add acme");
    secrets.extend([text(&made["password"]), text(&made["api_key"])]);
    did(&format!("credential revoke {}", text(&made["id"])));
    let url = format!("http://127.0.0.1:9/send?key={CANARY}");
    did(&format!("route add keyed http {url} --allow-network 127.0.0.0/8 --assign acme"));
    did("route pause keyed");
    did("quota set acme 10 --period month");
    let hook = format!("http://127.0.0.1:9/{CANARY}?key={CANARY}");
    let made = json(gateway, &format!("webhook add acme main {hook} --allow-network 127.0.0.0/8"));
    secrets.extend(made["secrets"].as_array().unwrap().iter().map(text));
    did("customer suspend acme");
    let stopped = json(gateway, &format!("stop --customer acme --reference {RECIPIENT}"));
    did(&format!("stop undo {}", stopped["number"]));
    did(&format!("opt-out add acme {RECIPIENT}"));
    did(&format!("opt-out remove acme {RECIPIENT}"));
    secrets
}

/// A gateway after those acts, at rest.
fn acted() -> (Gateway, Vec<String>) {
    let mut gateway = Gateway::spawn(&Setup::default()).unwrap();
    let secrets = acts(&gateway);
    gateway.drain().unwrap();
    (gateway, secrets)
}

/// A copy of the data directory as it lies there, under another name.
fn copy(gateway: &Gateway, name: &str) -> PathBuf {
    let to = gateway.home().join(name);
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(data(gateway)).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    to
}

fn sql(data: &Path, file: &str, statements: &str) {
    Connection::open(data.join(file)).unwrap().execute_batch(statements).unwrap();
}

fn rows(data: &Path, file: &str) -> i64 {
    let connection = Connection::open(data.join(file)).unwrap();
    connection.query_row("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap()
}

/// The exit code of `verify`, and the rows that it names.
fn verified(gateway: &Gateway, data: &Path, more: &[&str]) -> (i32, Vec<(String, i64, String)>) {
    let (code, printed, said) = verb(gateway, data, &[&["audit", "verify", "--json"], more].concat());
    let judged: Value =
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}{said}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let broken = judged["broken"].as_array().unwrap().iter();
    (code, broken.map(|row| (text(&row["chain"]), row["row"].as_i64().unwrap(), text(&row["how"]))).collect())
}

#[test]
fn what_operators_do_is_recorded_with_who_did_it_and_without_a_secret() {
    let _beside = beside_others();
    let (gateway, secrets) = acted();
    assert_eq!(verified(&gateway, &data(&gateway), &[]), (0, Vec::new()));
    let listed = json(&gateway, "audit list --limit 1000");
    let listed = listed.as_array().unwrap();
    let told: BTreeSet<&str> = listed.iter().map(|act| act["what"].as_str().unwrap()).collect();
    for what in [
        "customer.created",
        "customer.changed",
        "credential.created",
        "credential.revoked",
        "route.created",
        "route.changed",
        "assignment.created",
        "quota.created",
        "webhook.created",
        "stop.ordered",
        "stop.undone",
        "optouts.changed",
    ] {
        assert!(told.contains(what), "{what}: {told:?}");
    }
    let mine = listed.iter().find(|act| act["target"] == "catalog/customer/acme").unwrap();
    assert!(mine["who"].as_str().is_some_and(|who| !who.is_empty() && who != "process"), "{mine}");
    let some = json(&gateway, "audit list --target catalog/route/keyed --what route.changed");
    assert_eq!(some.as_array().unwrap().len(), 1, "{some}");
    let none = json(&gateway, "audit list --who nobody-of-this-name");
    assert_eq!(none.as_array().unwrap().len(), 0, "{none}");
    for file in ["catalog.db", "ledger.db"] {
        let connection = Connection::open(data(&gateway).join(file)).unwrap();
        let mut select = connection.prepare("SELECT record FROM audit").unwrap();
        for record in select.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap) {
            for secret in &secrets {
                assert!(!record.contains(secret.as_str()), "{secret} in {record}");
            }
        }
    }
    let anchors = fs::read_to_string(data(&gateway).join("audit-anchors.jsonl")).unwrap();
    assert!(anchors.lines().count() >= 12, "each act is anchored at once: {anchors}");
}

/// What is done to a copy by hand, and what `verify` must say of it.
type Harm = (&'static str, &'static str, (&'static str, i64, &'static str));

const HARMS: [Harm; 9] = [
    (
        "catalog.db",
        "UPDATE audit SET record = replace(record, '\"version\"', '\"versiom\"') WHERE sequence = 3",
        ("catalog", 3, "edited"),
    ),
    ("catalog.db", "UPDATE audit SET at = at - 1 WHERE sequence = 1", ("catalog", 1, "edited")),
    (
        "catalog.db",
        "UPDATE audit SET hash = (SELECT hash FROM audit WHERE sequence = 5) WHERE sequence = 4",
        ("catalog", 4, "edited"),
    ),
    ("catalog.db", "DELETE FROM audit WHERE sequence = 4", ("catalog", 4, "missing")),
    (
        "catalog.db",
        "DELETE FROM audit WHERE sequence = 4; UPDATE audit SET sequence = sequence - 1000 WHERE sequence > 4; \
         UPDATE audit SET sequence = sequence + 999 WHERE sequence < 0",
        ("catalog", 4, "moved"),
    ),
    (
        "catalog.db",
        "UPDATE audit SET sequence = -2 WHERE sequence = 2; UPDATE audit SET sequence = 2 WHERE sequence = 3; \
         UPDATE audit SET sequence = 3 WHERE sequence = -2",
        ("catalog", 2, "moved"),
    ),
    ("ledger.db", "DELETE FROM audit WHERE sequence > 2", ("ledger", 3, "cut-off")),
    ("ledger.db", "DELETE FROM audit", ("ledger", 1, "cut-off")),
    (
        "ledger.db",
        "INSERT INTO audit SELECT chain, 5, at, replace(record, '\"sequence\":4', '\"sequence\":5'), hash FROM audit WHERE sequence = 4",
        ("ledger", 5, "edited"),
    ),
];

#[test]
fn whatever_is_done_to_the_tables_by_hand_is_found_at_its_row() {
    let _beside = beside_others();
    let (gateway, _) = acted();
    assert_eq!(rows(&data(&gateway), "ledger.db"), 4);
    for (number, (file, statements, (chain, row, how))) in HARMS.into_iter().enumerate() {
        let harmed = copy(&gateway, &format!("harmed-{number}"));
        sql(&harmed, file, statements);
        let expected = (1, vec![(chain.to_owned(), row, how.to_owned())]);
        assert_eq!(verified(&gateway, &harmed, &[]), expected, "{statements}");
        let (_, _, said) = verb(&gateway, &harmed, &["audit", "verify"]);
        assert!(said.contains(&format!("{chain} row {row}")), "{said}");
    }
}

#[test]
fn an_end_that_was_cut_off_and_went_on_is_found_by_an_anchor_that_was_kept_elsewhere() {
    let _beside = beside_others();
    let (gateway, _) = acted();
    let kept = gateway.home().join("kept.jsonl");
    fs::write(&kept, gateway.verb(&["audit", "anchor"]).unwrap()).unwrap();
    let kept = kept.display().to_string();
    let harmed = copy(&gateway, "harmed");
    let last = rows(&harmed, "catalog.db");
    sql(&harmed, "catalog.db", &format!("DELETE FROM audit WHERE sequence = {last}"));
    // Whoever can delete rows can delete a file beside them.
    fs::remove_file(harmed.join("audit-anchors.jsonl")).unwrap();
    assert_eq!(verified(&gateway, &harmed, &[]), (0, Vec::new()), "a chain alone does not show it");
    let cut = (1, vec![("catalog".to_owned(), last, "cut-off".to_owned())]);
    assert_eq!(verified(&gateway, &harmed, &["--anchor", &kept]), cut);
    assert_eq!(verb(&gateway, &harmed, &["customer", "add", "later", "--time-zone", "UTC"]).0, 0);
    let rewritten = (1, vec![("catalog".to_owned(), last, "rewritten".to_owned())]);
    assert_eq!(verified(&gateway, &harmed, &["--anchor", &kept]), rewritten);
    let forged = gateway.home().join("forged.jsonl");
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&forged, text.replacen("\"sequence\":", "\"sequence\":1", 1)).unwrap();
    let forged = forged.display().to_string();
    let (code, printed, _) = verb(&gateway, &data(&gateway), &["audit", "verify", "--anchor", &forged]);
    assert!(code == 1 && printed.contains("forged.jsonl, line 1"), "{printed}");
    let (code, ..) = verb(&gateway, &data(&gateway), &["audit", "verify", "--anchor", "/nowhere/at/all"]);
    assert_eq!(code, 1);
}

#[test]
fn a_copy_that_is_put_back_is_recorded_and_does_not_look_cut_off() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup::default()).unwrap();
    gateway.verb(&["customer", "add", "first", "--time-zone", "UTC"]).unwrap();
    let copied = gateway.home().join("copy").display().to_string();
    gateway.verb(&["backup", &copied]).unwrap();
    for name in ["second", "third"] {
        gateway.verb(&["customer", "add", name, "--time-zone", "UTC"]).unwrap();
    }
    gateway.drain().unwrap();
    gateway.verb(&["restore", &copied, "--replace"]).unwrap();
    assert_eq!(verified(&gateway, &data(&gateway), &[]), (0, Vec::new()));
    let listed = json(&gateway, "audit list --what copy.restored");
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    // What was anchored since is held against it as before.
    gateway.verb(&["customer", "add", "fourth", "--time-zone", "UTC"]).unwrap();
    let last = rows(&data(&gateway), "catalog.db");
    sql(&data(&gateway), "catalog.db", &format!("DELETE FROM audit WHERE sequence = {last}"));
    let cut = (1, vec![("catalog".to_owned(), last, "cut-off".to_owned())]);
    assert_eq!(verified(&gateway, &data(&gateway), &[]), cut);
}

#[test]
fn who_is_killed_amid_acts_leaves_a_whole_record_of_what_was_done() {
    let _beside = beside_others();
    let routes = vec![RouteSpec::simulator("demo")];
    let mut gateway = Gateway::spawn(&Setup { routes, ..Setup::default() }).unwrap();
    let config = gateway.config();
    for round in 0..4 {
        let commands: Vec<_> = (0..4)
            .map(|number| {
                let name = format!("k{round}-{number}");
                let mut command = Command::new(gateway.program());
                command.arg("--config").arg(&config).args(["customer", "add", &name, "--time-zone", "UTC"]);
                command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
            })
            .collect();
        thread::sleep(Duration::from_millis(40 + round * 60));
        if round == 1 {
            gateway.kill().unwrap();
            gateway.start(&[]).unwrap();
        }
        for (number, mut command) in commands.into_iter().enumerate() {
            if number % 2 == 0 {
                command.kill().unwrap();
            }
            command.wait().unwrap();
        }
    }
    gateway.drain().unwrap();
    assert_eq!(verified(&gateway, &data(&gateway), &[]), (0, Vec::new()));
    let connection = Connection::open(data(&gateway).join("catalog.db")).unwrap();
    let names = |statement: &str| -> BTreeSet<String> {
        let mut select = connection.prepare(statement).unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let there =
        names("SELECT 'catalog/customer/' || key FROM entry WHERE kind = 'customer' AND key LIKE 'k%'");
    let told = names(
        "SELECT json_extract(record, '$.target') FROM audit WHERE json_extract(record, '$.what') = 'customer.created'",
    );
    assert!(there.len() >= 8, "those that were left alone have acted: {there:?}");
    assert_eq!(there, told);
}
