//! Routes into tables: carriers' agents that know nothing but the table, while workers are killed.

use std::{fs, thread, time::Duration};

use data_encoding::BASE64;
use serde_json::Value;

use naru_tests::{
    carrier_agent::proof::{self, Plan},
    deployment::Carries,
    engines::{Flavour, MariaDb},
    gateway::{Gateway, Setup},
};

use crate::{
    blobs::upload,
    events::heard,
    stage::{accept, beside_others, message, reports, until, within},
};

/// An emulator for load.
const OVER_SQS: Carries = Carries::Aws { flavour: Flavour::Fauxqs, counted: false };

const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn a_carrier_on_postgresql_takes_and_reports_while_workers_are_killed() {
    let _beside = beside_others();
    let plan = Plan::small(7);
    assert!(proof::on_postgres(&plan, Carries::RabbitMq).unwrap() >= plan.rows);
}

#[test]
fn a_carrier_on_postgresql_takes_and_reports_what_came_over_sqs_while_workers_are_killed() {
    let _beside = beside_others();
    let plan = Plan::small(8);
    assert!(proof::on_postgres(&plan, OVER_SQS).unwrap() >= plan.rows);
}

#[test]
fn a_carrier_on_em_tran_in_mariadb_takes_and_reports_while_workers_are_killed() {
    let _beside = beside_others();
    let plan = Plan::small(7);
    assert!(proof::on_mariadb(&plan).unwrap() >= plan.rows);
}

#[test]
fn the_address_of_a_table_is_shown_nowhere() {
    let _beside = beside_others();
    let carrier = MariaDb::start().unwrap();
    let name = carrier.database().unwrap();
    let setup = Setup { subscription: Some("watch".to_owned()), ..Setup::default() };
    let mut gateway = Gateway::spawn(&setup).unwrap();
    let add = ["route", "add", "carrier", "table", &carrier.url(&name), "--assign", "c0"];
    let told = [
        gateway.verb(&add).unwrap(),
        gateway.verb(&["route", "show", "carrier"]).unwrap(),
        gateway.verb(&["route", "show", "carrier", "--json"]).unwrap(),
        gateway.verb(&["route", "list", "--json"]).unwrap(),
        gateway.verb(&["route", "set", "carrier", "--concurrency", "10"]).unwrap(),
        gateway.log_tail(),
    ];
    for told in told {
        assert!(!told.contains("owner-password"), "{told}");
    }
    let again = gateway.verb(&add).unwrap_err().to_string();
    // The harness repeats the arguments.
    let again = again.split("]: ").last().unwrap();
    assert!(again.contains("exists already") && !again.contains("owner-password"), "{again}");
    let unsafe_setting = gateway.verb(&["route", "set", "carrier", "--idempotent", "false"]).unwrap_err();
    assert!(unsafe_setting.to_string().contains("a table ignores what it has already"), "{unsafe_setting}");
    // What was done to the route is told to whoever listens, by the route's name and without its address.
    let events = heard(&mut gateway);
    for kind in ["naru.route.created", "naru.route.changed"] {
        let of = events.iter().filter(|event| event["type"] == kind).map(Value::to_string);
        let of: Vec<String> = of.filter(|event| event.contains("carrier")).collect();
        assert!(!of.is_empty(), "{kind}: {events:?}");
    }
    for event in &events {
        assert!(!event.to_string().contains("owner-password"), "{event}");
    }
}

#[test]
fn a_file_is_a_table_too_and_a_report_that_is_missed_is_corrected_when_it_comes() {
    let _beside = beside_others();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("relay.db");
    let config = "[workers]\nreport_window_ms = 1000\nsweep_ms = 200\n".to_owned();
    let gateway = Gateway::spawn(&Setup { config, ..Setup::default() }).unwrap();
    let url = format!("sqlite://{}", path.display());
    gateway.verb(&["route", "add", "carrier", "table", &url, "--assign", "c0/sms"]).unwrap();
    thread::sleep(Duration::from_secs(2));
    let mut customer = gateway.customer(0);
    let mut message = message("sms", "a");
    message["ttl"] = 1.into();
    let (one, two) = (accept(&mut customer, &message, None), accept(&mut customer, &message, None));
    let agent = rusqlite::Connection::open(&path).unwrap();
    agent.busy_timeout(Duration::from_secs(10)).unwrap();
    within(PATIENCE, "both rows are there", || {
        let sql = "SELECT count(*) FROM naru_message WHERE status = 'READY'";
        (agent.query_row(sql, [], |row| row.get::<_, u32>(0)) == Ok(2)).then_some(())
    });
    let ended = until(&mut customer, &one, &["expired"], PATIENCE);
    assert_eq!(ended["code"], "no-report");
    until(&mut customer, &two, &["expired"], PATIENCE);
    // The carrier is told not to begin what its customer was told has ended.
    let sql = "SELECT count(*) FROM naru_message WHERE withdrawn_at IS NOT NULL AND status = 'READY'";
    assert_eq!(agent.query_row(sql, [], |row| row.get::<_, u32>(0)), Ok(2));
    let report = |id: &str, status: &str| {
        let sql = "UPDATE naru_message SET status = ?1, result_code = '7', report_rev = report_rev + 1 WHERE msg_key = ?2";
        assert_eq!(agent.execute(sql, [status, id]).unwrap(), 1);
    };
    report(&one, "DONE");
    report(&two, "FAILED");
    let corrected = until(&mut customer, &one, &["delivered"], PATIENCE);
    assert_eq!(corrected["revision"], 2);
    let corrected = until(&mut customer, &two, &["failed"], PATIENCE);
    assert_eq!((corrected["revision"].as_u64(), &corrected["code"]), (Some(2), &"backend-refused".into()));
    reports(&mut customer, 2, PATIENCE);
}

/// A table that a carrier brought along, whose names are its own, and where nothing but its columns is known.
const THEIRS: &str = "CREATE TABLE out_box (no text PRIMARY KEY, dest text, words text, st int NOT NULL DEFAULT 0, rc text, \
     kind text, seen_by text)";
const MAPPING: &str = r#"
name = "out_box"
table = "out_box"
key = "text"
national = "82"

[columns]
key = "no"
status = "st"
recipient = "dest"
body = "words"
result = "rc"

[status]
ready = "1"
reported = ["9"]

[results]
delivered = ["00"]

[fixed]
kind = "text"

[channel.mms]
kind = "picture"
"#;

#[test]
fn a_carriers_own_table_is_served_by_a_file_and_files_go_where_there_is_a_column_for_them() {
    let _beside = beside_others();
    let home = tempfile::tempdir().unwrap();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let database = |name: &str| {
        let path = home.path().join(name);
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        (format!("sqlite://{}", path.display()), connection)
    };
    let ((theirs, their_agent), (ours, our_agent)) = (database("theirs.db"), database("ours.db"));
    let file = home.path().join("out_box.toml");
    let name = file.display().to_string();
    fs::write(&file, MAPPING.replace("\"words\"", "\"wrods\"")).unwrap();
    their_agent.execute(THEIRS, []).unwrap();
    let add = ["route", "add", "theirs", "table", &theirs, "--mapping", &name, "--assign", "c0/sms"];
    let why = gateway.verb(&add).unwrap_err().to_string();
    assert!(why.contains("wrods"), "a column that is not there is told at once: {why}");
    fs::write(&file, MAPPING.replace("\"dest\"", "\"words\"")).unwrap();
    let why = gateway.verb(&add).unwrap_err().to_string();
    assert!(why.contains("`words` would be written twice"), "so is one that is named twice: {why}");
    fs::write(&file, MAPPING).unwrap();
    gateway.verb(&add).unwrap();
    gateway.verb(&["route", "assign", "theirs", "c0/picture"]).unwrap();
    gateway.verb(&["route", "add", "ours", "table", &ours, "--assign", "c0/mms"]).unwrap();
    thread::sleep(Duration::from_secs(2));

    let picture = b"\x89PNG\r\n\x1a\n a picture of the landing";
    let attachment = upload(&gateway, 0, "image/png", picture);
    let mut customer = gateway.customer(0);
    let text = accept(&mut customer, &message("sms", "text"), None);
    let with_file = |channel: &str| {
        let mut message = message(channel, "picture");
        message["attachments"] = vec![attachment.clone()].into();
        message
    };
    let (no_room, room) =
        (accept(&mut customer, &with_file("picture"), None), accept(&mut customer, &with_file("mms"), None));
    let refused = until(&mut customer, &no_room, &["failed"], PATIENCE);
    assert_eq!(refused["detail"], "the table has no column for attachments");
    until(&mut customer, &text, &["sent"], PATIENCE);
    let row =
        their_agent.query_row("SELECT dest, words, st, kind FROM out_box WHERE no = ?1", [&text], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, String>(3)?,
            ))
        });
    assert_eq!(row.unwrap(), ("01012345600".into(), "hello".into(), 1, "text".into()));
    let done = "UPDATE out_box SET st = 9, rc = '00' WHERE no = ?1";
    assert_eq!(their_agent.execute(done, [&text]).unwrap(), 1);
    until(&mut customer, &text, &["delivered"], PATIENCE);

    until(&mut customer, &room, &["sent"], PATIENCE);
    let files =
        our_agent.query_row("SELECT attachments FROM naru_message WHERE msg_key = ?1", [&room], |row| {
            row.get::<_, String>(0)
        });
    let files: serde_json::Value = serde_json::from_str(&files.unwrap()).unwrap();
    assert_eq!((&files[0]["id"], &files[0]["type"]), (&attachment.into(), &"image/png".into()));
    assert_eq!(BASE64.decode(files[0]["content"].as_str().unwrap().as_bytes()).unwrap(), picture);
}
