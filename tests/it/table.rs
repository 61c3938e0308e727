//! Routes into tables: carriers' agents that know nothing but the table, while workers are killed.

use std::{thread, time::Duration};

use naru_tests::{
    carrier_agent::proof::{self, Plan},
    deployment::Carries,
    engines::{Flavour, MariaDb},
    gateway::{Gateway, Setup},
};

use crate::stage::{accept, alone, message, reports, until, within};

/// An emulator for load.
const OVER_SQS: Carries = Carries::Aws { flavour: Flavour::Fauxqs, counted: false };

const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn a_carrier_on_postgresql_takes_and_reports_while_workers_are_killed() {
    let _alone = alone();
    let plan = Plan::small(7);
    assert!(proof::on_postgres(&plan, Carries::RabbitMq).unwrap() >= plan.rows);
}

#[test]
fn a_carrier_on_postgresql_takes_and_reports_what_came_over_sqs_while_workers_are_killed() {
    let _alone = alone();
    let plan = Plan::small(8);
    assert!(proof::on_postgres(&plan, OVER_SQS).unwrap() >= plan.rows);
}

#[test]
fn a_carrier_on_em_tran_in_mariadb_takes_and_reports_while_workers_are_killed() {
    let _alone = alone();
    let plan = Plan::small(7);
    assert!(proof::on_mariadb(&plan).unwrap() >= plan.rows);
}

#[test]
fn the_address_of_a_table_is_shown_nowhere() {
    let _alone = alone();
    let carrier = MariaDb::start().unwrap();
    let name = carrier.database().unwrap();
    let gateway =
        Gateway::spawn(&Setup { subscription: Some("listener".to_owned()), ..Setup::default() }).unwrap();
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
}

#[test]
fn a_file_is_a_table_too_and_a_report_that_is_missed_is_corrected_when_it_comes() {
    let _alone = alone();
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
