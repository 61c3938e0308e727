//! A data file that is damaged while the gateway runs on it.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use naru_tests::{
    gateway::{Gateway, Setup},
    wire::Wire,
};
use serde_json::Value;

use crate::stage::{accept, beside_others, message, until, within};

const PATIENCE: Duration = Duration::from_secs(15);

/// Junk over everything behind the first page, in the file itself: whoever has it open reads it.
fn overwrite(path: &Path) {
    let length = fs::metadata(path).unwrap().len();
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(4_096)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(length.saturating_sub(4_096)).unwrap()]).unwrap();
}

fn readiness(gateway: &Gateway) -> (u16, Value) {
    let mut wire = Wire::new(gateway.operator(), Duration::from_secs(10));
    let reply = wire.call("GET", "/readyz", &[], b"").unwrap();
    (reply.status, reply.json())
}

#[test]
fn damage_found_while_it_runs_is_told_by_readiness_and_counted_and_the_next_start_is_refused() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup::default()).unwrap();
    let mut customer = gateway.customer(0);
    // Enough for more pages than the first commits' log holds.
    for number in 0..50 {
        let id = accept(&mut customer, &message("sms", &number.to_string()), None);
        until(&mut customer, &id, &["delivered"], PATIENCE);
    }
    let parts = readiness(&gateway).1["parts"].clone();
    let ledger = |parts: &Value| {
        parts.as_array().unwrap().iter().find(|part| part["name"] == "ledger.db").cloned().unwrap()
    };
    assert_eq!(ledger(&parts)["ok"], true, "{parts}");
    let file = gateway.home().join("data/ledger.db");
    // What a log holds is read from there and not from the file.
    gateway.verb(&["status"]).unwrap();
    naru_shared::sqlite::connect(&file)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    overwrite(&file);
    let told = within(PATIENCE, "it is not ready", || {
        let (status, body) = readiness(&gateway);
        (status == 503).then(|| ledger(&body["parts"]))
    });
    let why = told["why"].as_str().unwrap();
    assert!(why.contains("ledger.db") && why.contains("naru restore"), "{why}");
    let mut wire = Wire::new(gateway.operator(), Duration::from_secs(10));
    let metrics = String::from_utf8(wire.call("GET", "/metrics", &[], b"").unwrap().body).unwrap();
    let counted = metrics.lines().find(|line| line.starts_with("naru_file_damage_total{file=\"ledger.db\"}"));
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{counted:?}");
    gateway.kill().unwrap();
    overwrite(&file);
    let refused = gateway.start(&[]).unwrap_err().to_string();
    assert!(refused.contains("ledger.db is damaged"), "{refused}");
}
