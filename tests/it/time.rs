//! What time and other routes do to messages: quiet hours, admission by age, a route that gives way; alone and wide.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use naru_shared::domain::{Clock, OnUncertain, SystemClock};
use naru_tests::{
    customer::Customer,
    deployment::{Deployment, Shape},
    gateway::{Gateway, RouteSpec, Setup, free_address},
    site::Site,
};
use serde_json::{Value, json};

use crate::stage::{Receiver, accept, beside_others, message, until, within};

const PATIENCE: Duration = Duration::from_secs(40);

/// What the operator changes is in force within a second.
const IN_FORCE: Duration = Duration::from_millis(1_500);

/// A site and its operator.
trait Operated: Site {
    fn verb(&self, arguments: &[&str]) -> Value;
}

impl Operated for Gateway {
    fn verb(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.verb(&[arguments, &["--json"]].concat()).unwrap()).unwrap()
    }
}

impl Operated for Deployment {
    fn verb(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.verb(&[arguments, &["--json"]].concat()).unwrap()).unwrap()
    }
}

fn embedded(setup: Setup) -> Gateway {
    Gateway::spawn(&setup).unwrap()
}

fn wide(setup: Setup) -> Deployment {
    Deployment::spawn(&Shape { setup, ..Shape::default() }).unwrap()
}

/// Nobody listens there: nothing is taken, and that is certain.
fn nowhere() -> SocketAddr {
    free_address().unwrap()
}

/// Routes `demo`, `sick` and `spare`; breakers that open soon.
fn routes() -> Setup {
    let sick = RouteSpec::http("sick", nowhere(), OnUncertain::Fail);
    let routes = vec![RouteSpec::simulator("demo"), sick, RouteSpec::simulator("spare")];
    Setup { customers: 2, routes, config: "[workers]\nbreaker_failures = 3\n".to_owned(), ..Setup::default() }
}

fn delivered_by(customer: &mut Customer, id: &str) -> String {
    until(customer, id, &["delivered"], PATIENCE)["route"].as_str().unwrap().to_owned()
}

fn give_way(site: &impl Operated) {
    site.verb(&["route", "set", "sick", "--fallback", "spare"]);
    site.verb(&["route", "set", "demo", "--fallback", "sick", "--fallback", "spare"]);
    let mut customer = site.customer(0);
    thread::sleep(IN_FORCE);
    // A backend that takes nothing for longer than a moment: what it refused and what comes now go by the other.
    let ids: Vec<String> =
        (0..12).map(|i| accept(&mut customer, &message("sick", &format!("sick-{i}")), None)).collect();
    for id in &ids {
        assert_eq!(delivered_by(&mut customer, id), "spare");
    }
    // A pause: the next in the list is sick, so the one after it.
    site.verb(&["route", "pause", "demo"]);
    thread::sleep(IN_FORCE);
    let id = accept(&mut customer, &message("sms", "paused"), Some("paused"));
    assert_eq!(delivered_by(&mut customer, &id), "spare");
    let shown = site.verb(&["message", "show", &id]);
    assert!(shown.to_string().contains("rerouted to spare"), "{shown}");
    // New messages go by the first again once it is well; none comes back.
    site.verb(&["route", "resume", "demo"]);
    thread::sleep(IN_FORCE);
    let id = accept(&mut customer, &message("sms", "resumed"), None);
    assert_eq!(delivered_by(&mut customer, &id), "demo");
    within(PATIENCE, "nothing waits", || {
        let status = site.verb(&["status"]);
        let routes = status["routes"].as_array().unwrap().iter();
        routes.map(|route| route["not_ended"].as_u64().unwrap()).sum::<u64>().eq(&0).then_some(())
    });
}

#[test]
fn a_route_that_is_paused_or_sick_gives_way_to_the_next() {
    let _beside = beside_others();
    let gateway = embedded(routes());
    give_way(&gateway);
    // What would lead in a circle, elsewhere, or nowhere, is refused.
    for wrong in [
        &["spare", "--fallback", "demo"][..],
        &["demo", "--fallback", "demo"],
        &["demo", "--fallback", "sandbox"],
    ] {
        assert!(gateway.verb(&[&["route", "set"], wrong].concat()).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_route_that_is_paused_or_sick_gives_way_to_the_next_with_two_workers() {
    let _beside = beside_others();
    give_way(&wide(routes()));
}

/// Quiet hours around now; they end with a minute that is at least so many seconds ahead.
fn hours(ahead: i64) -> (String, Duration) {
    let seconds = SystemClock.now().as_millis().div_euclid(1_000);
    let end = (seconds + ahead).div_euclid(60) + 1;
    let clock = |minute: i64| format!("{:02}:{:02}", minute.rem_euclid(1_440) / 60, minute.rem_euclid(60));
    let left = Duration::from_secs(u64::try_from(end * 60 - seconds).unwrap());
    (format!("{}-{}", clock(end - 120), clock(end)), left)
}

fn keep_quiet(site: &impl Operated, ahead: i64) -> (Vec<String>, Instant) {
    let (hours, left) = hours(ahead);
    let end = Instant::now() + left;
    let shown = site.verb(&["quiet", "set", "c0/sms", &hours, "--time-zone", "UTC"]);
    assert_eq!((&shown[0]["channel"], &shown[0]["lane"]), (&json!("sms"), &json!("bulk")));
    assert!(shown[0]["until"].is_string(), "{shown}");
    thread::sleep(IN_FORCE);
    let (mut customer, mut other) = (site.customer(0), site.customer(1));
    let bulk = |channel: &str, reference: &str| {
        let mut message = message(channel, reference);
        message["lane"] = json!("bulk");
        message["ttl"] = json!(1);
        message
    };
    let ids: Vec<String> =
        (0..3).map(|i| accept(&mut customer, &bulk("sms", &format!("night-{i}")), None)).collect();
    // Neither express, nor another channel, nor another customer waits.
    for id in [
        accept(&mut customer, &message("sms", "code"), None),
        accept(&mut customer, &bulk("demo", "demo"), None),
    ] {
        until(&mut customer, &id, &["delivered"], PATIENCE);
    }
    let id = accept(&mut other, &bulk("sms", "day"), None);
    until(&mut other, &id, &["delivered"], PATIENCE);
    for id in &ids {
        until(&mut customer, id, &["scheduled"], PATIENCE);
    }
    (ids, end)
}

#[test]
fn bulk_waits_in_quiet_hours_as_scheduled_and_does_not_expire() {
    let _beside = beside_others();
    let gateway = embedded(Setup { customers: 2, ..Setup::default() });
    let (ids, end) = keep_quiet(&gateway, 60);
    thread::sleep(Duration::from_secs(2));
    assert!(Instant::now() < end);
    let mut customer = Site::customer(&gateway, 0);
    for id in &ids {
        until(&mut customer, id, &["scheduled"], Duration::from_secs(5));
    }
    // Once there are no more, what comes goes at once.
    Operated::verb(&gateway, &["quiet", "remove", "c0/sms"]);
    assert_eq!(Operated::verb(&gateway, &["quiet", "list"]), json!([]));
    assert!(Gateway::verb(&gateway, &["quiet", "remove", "c0/sms"]).is_err());
    thread::sleep(IN_FORCE);
    let mut late = message("sms", "late");
    late["lane"] = json!("bulk");
    let id = accept(&mut customer, &late, None);
    until(&mut customer, &id, &["delivered"], PATIENCE);
    let stays = accept(&mut customer, &late, None);
    until(&mut customer, &stays, &["delivered"], PATIENCE);
}

#[test]
fn what_waited_in_quiet_hours_is_sent_when_they_end_with_two_workers() {
    let _beside = beside_others();
    let site = wide(Setup { customers: 2, ..Setup::default() });
    let (ids, end) = keep_quiet(&site, 12);
    let mut customer = site.customer(0);
    for id in &ids {
        let view = until(&mut customer, id, &["delivered"], PATIENCE * 3);
        assert!(Instant::now() + Duration::from_secs(1) >= end, "before they ended: {view}");
    }
}

/// A backend that takes a second for each, few couriers, and a customer whose messages would wait for a minute.
fn too_slow(site: &impl Operated, waiting: usize) {
    let (mut customer, mut other) = (site.customer(0), site.customer(1));
    let of = |ttl: u32, lane: &str| {
        let mut message = message("sms", "slow");
        (message["ttl"], message["lane"]) = (json!(ttl), json!(lane));
        message
    };
    let batch: Vec<Value> = (0..waiting).map(|_| of(3_600, "express")).collect();
    // Nothing was measured: nothing is refused on a guess.
    let reply = customer.batch(&batch).unwrap();
    assert_eq!(reply.json()["accepted"], json!(waiting), "{}", reply.json());
    accept(&mut customer, &of(5, "express"), None);
    let refused = within(PATIENCE, "it is refused", || {
        thread::sleep(Duration::from_millis(500));
        let reply = customer.send(&of(10, "express"), None).unwrap();
        (reply.status != 202).then_some(reply)
    });
    let problem = refused.json();
    assert_eq!((refused.status, &problem["code"]), (429, &json!("route-too-slow")), "{problem}");
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..300).contains(&after), "{after}");
    // What has time enough is taken, and bulk always, and everything of who did not send so much.
    accept(&mut customer, &of(3_600, "express"), None);
    accept(&mut customer, &of(10, "bulk"), None);
    let id = accept(&mut other, &of(10, "express"), None);
    until(&mut other, &id, &["delivered"], PATIENCE);
}

fn slow() -> (Receiver, Setup) {
    let receiver = Receiver::start(&["--slow-ms", "1000"]);
    let http = RouteSpec::http("demo", receiver.process.address, OnUncertain::Fail);
    let routes = vec![RouteSpec { concurrency: 2, ..http }];
    (receiver, Setup { customers: 2, routes, ..Setup::default() })
}

#[test]
fn an_express_message_that_would_begin_too_late_is_refused_at_once() {
    let _beside = beside_others();
    let (_receiver, setup) = slow();
    let mut gateway = embedded(setup);
    too_slow(&gateway, 200);
    gateway.kill().unwrap();
}

#[test]
fn an_express_message_that_would_begin_too_late_is_refused_at_once_with_two_workers() {
    let _beside = beside_others();
    let (_receiver, setup) = slow();
    let mut site = wide(setup);
    too_slow(&site, 400);
    for member in site.members() {
        member.kill().unwrap();
    }
}
