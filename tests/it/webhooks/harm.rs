//! Targets that mean harm, and whether anybody else waits for them.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    gateway::{Gateway, Setup},
    receiver::hook::{Manner, Target},
};

use super::{PATIENCE, add, show, verb};
use crate::stage::{accept, alone, beside_few, message, within};

const MESSAGES: usize = 300;

/// How long each message's event took from the call to the target, the slowest of a hundred.
fn p99(gateway: &Gateway, target: &Target, round: &str) -> Duration {
    let mut customer = gateway.customer(0);
    let mut begun = HashMap::new();
    for number in 0..MESSAGES {
        let at = Instant::now();
        begun.insert(accept(&mut customer, &message("sms", &format!("{round}-{number}")), None), at);
        thread::sleep(Duration::from_millis(10));
    }
    let arrived = within(PATIENCE, "every event arrives", || {
        let posted = target.posted();
        let at = posted.iter().map(|p| (p.event()["data"]["id"].as_str().unwrap().to_owned(), p.at));
        let arrived: HashMap<String, Instant> = at.filter(|(id, _)| begun.contains_key(id)).collect();
        (arrived.len() == begun.len()).then_some(arrived)
    });
    let mut spans: Vec<Duration> = begun.iter().map(|(id, at)| arrived[id] - *at).collect();
    spans.sort_unstable();
    spans[spans.len() * 99 / 100]
}

#[test]
fn targets_that_mean_harm_are_refused_or_cut_and_nobody_else_waits_for_them() {
    let _alone = alone();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let good = Target::start(Manner::well()).unwrap();
    add(&gateway, "good", &good.url(), &[]);
    p99(&gateway, &good, "warm");
    let before = p99(&gateway, &good, "before");

    let elsewhere = Target::start(Manner::well()).unwrap();
    let location = format!("Location: {}\r\n", elsewhere.url());
    let harm = [
        ("drip", Target::start(Manner::Drip).unwrap()),
        ("endless", Target::start(Manner::Endless).unwrap()),
        ("silent", Target::start(Manner::Silent).unwrap()),
        ("redirect", Target::start(Manner::Status(302, location)).unwrap()),
    ];
    for (name, target) in &harm {
        verb(&gateway, &["add", "c0", name, &target.url(), "--allow-network", "127.0.0.0/8"]);
    }
    let inside = Target::start(Manner::well()).unwrap();
    // Its name resolves to an inner address, which nobody allowed.
    verb(&gateway, &["add", "c0", "inside", &format!("https://localhost:{}/", inside.port())]);
    thread::sleep(super::IN_FORCE);
    let beside = p99(&gateway, &good, "beside");
    eprintln!("p99 alone {before:?}, beside targets that mean harm {beside:?}");
    assert!(beside < before * 2 + Duration::from_millis(250), "{before:?} became {beside:?}");

    let [(_, drip), (_, endless), (_, silent), (_, redirect)] = &harm;
    within(Duration::from_secs(40), "the drip and the silence are cut", || {
        (!drip.kept().is_zero() && !silent.kept().is_zero()).then_some(())
    });
    for cut in [drip, silent] {
        assert!(
            cut.kept() > Duration::from_secs(10) && cut.kept() < Duration::from_secs(20),
            "{:?}",
            cut.kept()
        );
    }
    let calls = u64::try_from(endless.posted().len()).unwrap();
    assert!(
        calls > 0 && endless.written() / calls < 20_000_000,
        "{} bytes in {calls} calls",
        endless.written()
    );
    assert!(!redirect.posted().is_empty() && elsewhere.connections() == 0, "a redirect is not followed");
    assert_eq!(inside.connections(), 0, "an inner address was connected to");
    assert_eq!(show(&gateway, "inside")["last_answer"], "destination not allowed");
    assert_eq!(show(&gateway, "redirect")["last_answer"], "HTTP 302");
    assert_eq!(show(&gateway, "drip")["last_answer"], "timed out");
    // What has a 2xx in its head was taken, however the body goes on.
    assert!(show(&gateway, "endless")["failing_since"].is_null());
    let error = format!("{:#}", gateway.verb(&["webhook", "test", "c0", "inside"]).unwrap_err());
    assert!(error.contains("destination not allowed"), "{error}");
    gateway.verb(&["webhook", "disable", "c0", "silent"]).unwrap();
    assert_eq!(show(&gateway, "silent")["waiting"], 0);
}

#[test]
fn every_event_reaches_the_target_under_one_id_though_the_process_is_killed() {
    let _beside = beside_few();
    let mut gateway = Gateway::spawn(&Setup::default()).unwrap();
    let target = Target::start(Manner::well()).unwrap();
    add(&gateway, "main", &target.url(), &[]);
    let mut ids = Vec::new();
    for round in 0..4 {
        let mut customer = gateway.customer(0);
        for number in 0..60 {
            ids.push(accept(&mut customer, &message("sms", &format!("{round}-{number}")), None));
        }
        // Some are delivered, some are on their way to the target, some wait.
        thread::sleep(Duration::from_millis(30 * round));
        gateway.kill().unwrap();
        gateway.start(&[]).unwrap();
    }
    // What was in the hands of who was killed comes again when its lease is over.
    let lease = Duration::from_secs(100);
    within(lease, "every event arrives", || {
        let came: std::collections::HashSet<String> = target.posted().iter().map(id).collect();
        ids.iter().all(|id| came.contains(&format!("{id}.1"))).then_some(())
    });
    for posted in target.posted() {
        assert_eq!(posted.event()["id"], id(&posted), "the header and the event have one id");
    }
    within(lease, "nothing waits any more", || (show(&gateway, "main")["waiting"] == 0).then_some(()));
}

fn id(posted: &naru_tests::receiver::hook::Posted) -> String {
    posted.header("webhook-id").unwrap().to_owned()
}
