//! The same on PostgreSQL and RabbitMQ, with two workers that share the calls.

use std::{collections::HashSet, thread, time::Duration};

use naru_tests::{
    deployment::{Deployment, Shape},
    receiver::hook::{Manner, Target},
};
use serde_json::Value;

use crate::stage::{accept, beside_others, message, within};

#[test]
fn two_workers_share_the_calls_and_the_death_of_one_loses_none() {
    let _beside = beside_others();
    let mut site = Deployment::spawn(&Shape::default()).unwrap();
    let target = Target::start(Manner::well()).unwrap();
    let url = target.url();
    let verb = |site: &Deployment, arguments: &[&str]| -> Value {
        let all = [&["webhook"], arguments, &["--json"]].concat();
        serde_json::from_str(&site.verb(&all).unwrap()).unwrap()
    };
    verb(&site, &["add", "c0", "main", &url, "--allow-network", "127.0.0.0/8"]);
    thread::sleep(super::IN_FORCE * 2);
    let mut ids = Vec::new();
    for round in 0..3 {
        for number in 0..100 {
            ids.push(accept(&mut site.customer(0), &message("sms", &format!("{round}-{number}")), None));
        }
        site.workers[round % 2].kill().unwrap();
        thread::sleep(Duration::from_millis(200));
        site.workers[round % 2].start(&[]).unwrap();
    }
    within(Duration::from_secs(120), "every event arrives", || {
        let posted = target.posted();
        let came: HashSet<&str> = posted.iter().filter_map(|posted| posted.header("webhook-id")).collect();
        ids.iter().all(|id| came.contains(format!("{id}.1").as_str())).then_some(())
    });
    target.behave(Manner::status(410));
    accept(&mut site.customer(0), &message("sms", "last"), None);
    within(Duration::from_secs(20), "it is disabled", || {
        (verb(&site, &["show", "c0", "main"])["why"] == "gone").then_some(())
    });
    assert_eq!(site.psql("SELECT count(*) FROM naru.entry WHERE kind = 'webhook'").unwrap(), "0");
    assert_eq!(site.psql("SELECT count(*) FROM naru.entry_beside WHERE kind = 'webhook'").unwrap(), "1");
}
