//! Routes into tables: carriers' agents that know nothing but the table, while workers are killed.

use std::{thread, time::Duration};

use naru_tests::{
    carrier_agent::{CarrierAgent, Database, compare, send},
    deployment::{Deployment, Shape},
    engines::{MariaDb, Postgres},
    gateway::{Gateway, Setup},
};
use serde_json::Value;

use crate::stage::{accept, alone, message, reports, until, within};

const PATIENCE: Duration = Duration::from_secs(180);

/// A worker's rows are another's after so long.
const CONFIG: &str = "[workers]\nlease_ms = 5000\nsweep_ms = 1000\n";

fn shape() -> Shape {
    Shape { setup: Setup { config: CONFIG.to_owned(), ..Setup::default() }, ..Shape::default() }
}

/// Kills one worker after the other while an agent is at work.
fn harm(site: &mut Deployment, agent: &mut CarrierAgent, times: usize, pause: Duration) {
    for time in 0..times {
        thread::sleep(pause);
        let number = time % site.workers.len();
        site.workers[number].kill().unwrap();
        thread::sleep(Duration::from_millis(300));
        site.workers[number].start(&[]).unwrap();
        if agent.has_ended().unwrap() {
            assert!(time > 0, "the agent had ended before anything was killed");
            return;
        }
    }
}

fn add(site: &Deployment, arguments: &[&str]) -> Value {
    let all = [&["route", "add"], arguments, &["--attempt-timeout", "3s", "--json"]].concat();
    let told = site.verb(&all).unwrap();
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

#[test]
fn a_carrier_on_postgresql_takes_and_reports_while_workers_are_killed() {
    let _alone = alone();
    let mut site = Deployment::spawn(&shape()).unwrap();
    let carrier = Postgres::start().unwrap();
    let url = carrier.database().unwrap();
    let made = add(&site, &["carrier-pg", "table", &url, "--carrier", "agent_a", "--assign", "c0/sms"]);
    let password = made["carrier"]["password"].as_str().unwrap().to_owned();
    assert_eq!(made["backend"]["kind"], "table");
    let name = url.rsplit('/').next().unwrap().to_owned();
    let database = Database { port: carrier.port(), user: "agent_a".to_owned(), password, name };
    run(&mut site, "naru", "sms", &database, 600, |_| true);
}

#[test]
fn a_carrier_on_em_tran_in_mariadb_takes_and_reports_while_workers_are_killed() {
    let _alone = alone();
    let mut site = Deployment::spawn(&shape()).unwrap();
    let carrier = MariaDb::start().unwrap();
    let name = carrier.database().unwrap();
    let url = carrier.url(&name);
    let made = add(
        &site,
        &["carrier-em", "table", &url, "--mapping", "em_tran", "--carrier", "agent_b", "--assign", "c0/sms"],
    );
    assert!(!made.to_string().contains("owner-password"), "{made}");
    let password = made["carrier"]["password"].as_str().unwrap().to_owned();
    // This agent moves its rows to log tables, as its kind does: it needs more than the columns of a report.
    carrier.sql(&name, &format!("GRANT ALL ON {name}.* TO 'agent_b'@'%'")).unwrap();
    let database = Database { port: carrier.port(), user: "agent_b".to_owned(), password, name };
    run(&mut site, "em_tran", "sms", &database, 600, |_| false);
}

fn run(
    site: &mut Deployment,
    mapping: &str,
    channel: &str,
    database: &Database,
    count: usize,
    corrected_twice: impl Fn(&naru_tests::carrier_agent::Truth) -> bool,
) {
    let mut agent = CarrierAgent::start(mapping, database, count, 7).unwrap();
    // The route is in force within a second.
    thread::sleep(Duration::from_secs(2));
    let sent = send(&mut site.customer(0), channel, count).unwrap();
    assert_eq!(sent.len(), count);
    harm(site, &mut agent, 4, Duration::from_millis(800));
    let truths = agent.truth(PATIENCE).unwrap();
    let came = compare(&mut site.customer(0), &truths, &sent, corrected_twice, PATIENCE).unwrap();
    assert!(came >= count);
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
