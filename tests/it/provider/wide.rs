//! A provider behind two worker processes over PostgreSQL, RabbitMQ and Redis: its API by configuration, secrets that every process opens,
//! one rate for all of them.

use std::{fs, time::Duration};

use naru_tests::deployment::{Deployment, Shape};

use super::{
    PATIENCE, SECRET, message,
    pace::{description, most},
    send,
    standin::{Reply, StandIn},
};
use crate::stage::{beside_others, until, within};

#[test]
fn two_workers_share_the_rate_of_a_provider_and_open_its_secrets() {
    const RATE: usize = 20;
    const MESSAGES: usize = 100;
    let _beside = beside_others();
    let provider = StandIn::start(|call| {
        let known = call.header("authorization") == format!("Bearer {SECRET}");
        Reply::new(if known { 200 } else { 401 }, r#"{"id":"p-1"}"#)
    });
    let site = Deployment::spawn(&Shape::default()).unwrap();
    let file = site.home().join("provider.toml");
    let auth = format!(
        "[auth]\nkind = \"bearer\"\ntoken = \"{SECRET}\"\n[answer]\nid = \"/id\"\ncode = \"/code\"\n"
    );
    fs::write(&file, format!("{}{auth}", description(provider.port()))).unwrap();
    let file = file.display().to_string();
    let fixed = ["route", "add", "carrier", "http", "--provider", &file, "--allow-network", "127.0.0.0/8"];
    site.verb(&[&fixed[..], &["--rate", "20", "--assign", "c0/sms"]].concat()).unwrap();
    let entries = site.psql("SELECT string_agg(document, '') FROM naru.every_entry").unwrap();
    assert!(entries.contains("carrier") && !entries.contains(SECRET), "a secret lies open in the catalog");

    let mut customer = site.customer(0);
    within(PATIENCE, "the assignment is in force at both fronts", || {
        let routes = [0, 1].map(|front| {
            let answer = site.customer_at(front, 0).send(&message("+821000000000"), None).unwrap();
            answer.json()["route"].clone()
        });
        routes.iter().all(|route| route == "carrier").then_some(())
    });
    // Both workers are known to share it by now.
    within(PATIENCE, "the first of it is delivered", || (!provider.calls().is_empty()).then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    let before = provider.calls().len();
    let ids: Vec<String> = (0..MESSAGES).map(|_| send(&mut customer, "+821000000001")).collect();
    for id in &ids {
        until(&mut customer, id, &["delivered"], PATIENCE);
    }
    let calls = provider.calls().split_off(before);
    let span = calls.last().unwrap().at - calls[0].at;
    let (second, three) = (most(&calls, Duration::from_secs(1)), most(&calls, Duration::from_secs(3)));
    println!("{MESSAGES} messages in {span:?} by two workers; {second} in a second, {three} in three");
    // Two timetables, and what is measured is when a call arrives.
    assert!(second <= RATE + 4 && three <= 3 * RATE + 4, "{second} in a second, {three} in three");
    assert!(span < Duration::from_secs(10), "the rate is used, whoever takes the messages: {span:?}");
    let backend = site.psql("SELECT DISTINCT backend_id FROM naru.message WHERE route = 'carrier'").unwrap();
    assert_eq!(backend, "p-1");
    let logs = site.log_tails();
    assert!(!logs.contains(SECRET), "a log holds a secret");
}
