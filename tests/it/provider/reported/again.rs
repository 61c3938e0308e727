//! What was sent again: a word about the time before ends nothing, a late truth about it counts; what was ever in doubt is sent again only
//! if that is wanted; limits that change meanwhile hold.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use super::{PATIENCE, Site, Twilio, callback, sent, site::basic, text};
use crate::{
    provider::standin::{Call, Reply, StandIn},
    stage::{accept, beside_others, until, within},
};

/// Runs a verb that answers in JSON.
fn asked(site: &Site, arguments: &[&str]) -> Value {
    serde_json::from_str(&site.verb(&[arguments, &["--json"]].concat())).unwrap()
}

fn redriven(site: &Site, id: &str) {
    let told = asked(site, &["dead", "redrive", id]);
    assert_eq!((&told["outcomes"]["ready"], &told["left_out"]), (&1.into(), &0.into()), "{told}");
}

/// A late word about an attempt was taken in.
fn remembered(site: &Site, id: &str, attempt: u32) {
    within(PATIENCE, "a late word is remembered", || {
        let shown = asked(site, &["message", "show", id]).to_string();
        let late = shown.contains(&format!("a late word about attempt {attempt}"))
            || (shown.contains("\"late\":true") && shown.contains(&format!("\"attempt\":{attempt}")));
        late.then_some(())
    });
}

fn by_the_provider_s_id(site: &Site) {
    let twilio = Twilio::start();
    twilio.join(site);
    let (caller, mut customer) = (site.caller(), site.customer());
    let (id, first) = sent(&twilio, &mut customer, "+15005550006");
    let word = callback(&first, "undelivered", Some(30_003));
    assert_eq!(caller.twilio(&word).0, 200);
    until(&mut customer, &id, &["failed"], PATIENCE);
    redriven(site, &id);
    until(&mut customer, &id, &["sent"], PATIENCE);
    assert_ne!(twilio.sid(&format!("{id}.r1")), first);
    // Told again: it is about the first time.
    assert_eq!(caller.twilio(&word).0, 200);
    remembered(site, &id, 1);
    let view = until(&mut customer, &id, &["sent"], PATIENCE);
    assert_eq!(view["attempts"], 2, "{view}");
    // The first arrived after all.
    assert_eq!(caller.twilio(&callback(&first, "delivered", None)).0, 200);
    let view = until(&mut customer, &id, &["delivered"], PATIENCE);
    assert_eq!((&view["revision"], &view["charged"]), (&2.into(), &true.into()), "{view}");
}

#[test]
fn a_provider_s_word_about_the_time_before_ends_nothing_and_its_late_truth_counts() {
    let _beside = beside_others();
    by_the_provider_s_id(&Site::embedded());
}

#[test]
fn a_provider_s_word_about_the_time_before_ends_nothing_over_postgresql_rabbitmq_and_redis() {
    let _beside = beside_others();
    by_the_provider_s_id(&Site::wide());
}

/// Makes a route to a backend; the secret of its reports.
fn route(site: &Site, backend: &StandIn) -> String {
    let url = format!("http://127.0.0.1:{}/", backend.port());
    let add = ["route", "add", "plain", "http", &url, "--reports", "basic", "--on-uncertain", "retry"];
    let more = ["--attempt-timeout", "3s", "--allow-network", "127.0.0.0/8", "--assign", "c0/sms"];
    let shown = asked(site, &[&add[..], &more[..]].concat());
    site.settle(&["plain"]);
    shown["callback_secret"].as_str().unwrap().to_owned()
}

#[test]
fn a_message_that_was_sent_again_is_named_by_the_key_that_it_was_sent_with() {
    let _beside = beside_others();
    let site = Site::embedded();
    let backend = StandIn::start(|_: &Call| Reply::new(202, "{}"));
    let secret = route(&site, &backend);
    let (caller, mut customer) = (site.caller(), site.customer());
    let tell = |name: &str, status: &str| {
        let proof = basic("plain", &secret);
        let body = json!({ "id": name, "status": status }).to_string();
        caller.post("plain", &[("Authorization", &proof)], &body).0
    };
    let id = accept(&mut customer, &text("+15005550006"), None);
    until(&mut customer, &id, &["sent"], PATIENCE);
    assert_eq!(tell(&id, "failed"), 200);
    until(&mut customer, &id, &["failed"], PATIENCE);
    redriven(&site, &id);
    until(&mut customer, &id, &["sent"], PATIENCE);
    assert_eq!(tell(&id, "failed"), 200);
    remembered(&site, &id, 1);
    until(&mut customer, &id, &["sent"], PATIENCE);
    assert_eq!(tell(&format!("{id}.r1"), "failed"), 200);
    let view = until(&mut customer, &id, &["failed"], PATIENCE);
    assert_eq!(view["revision"], 2, "{view}");
    redriven(&site, &id);
    until(&mut customer, &id, &["sent"], PATIENCE);
    assert_eq!(tell(&format!("{id}.r2"), "delivered"), 200);
    let view = until(&mut customer, &id, &["delivered"], PATIENCE);
    assert_eq!((&view["revision"], &view["attempts"]), (&3.into(), &3.into()), "{view}");
    assert_eq!(tell(&format!("{id}.r0"), "delivered"), 422, "no key of ours");
    let keys: Vec<String> =
        backend.calls().iter().map(|call| call.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys, [id.clone(), format!("{id}.r1"), format!("{id}.r2")]);
}

#[test]
fn what_was_in_doubt_before_it_was_refused_is_sent_again_only_if_that_is_wanted() {
    let _beside = beside_others();
    let site = Site::embedded();
    let backend = StandIn::start(|call: &Call| match call.header("x-naru-attempt") {
        "1" => Reply::new(502, "delivered, and broken"),
        "2" => Reply::new(400, "{}"),
        _ => Reply::new(202, "{}"),
    });
    route(&site, &backend);
    let mut customer = site.customer();
    let mut message = text("+15005550006");
    message["ttl"] = 60.into();
    let id = accept(&mut customer, &message, None);
    let view = until(&mut customer, &id, &["failed"], PATIENCE);
    assert_eq!(view["code"], "backend-refused", "{view}");
    let told = asked(&site, &["dead", "redrive", &id, "--dry-run"]);
    assert_eq!((&told["perhaps_delivered"], &told["without_text"]), (&1.into(), &0.into()), "{told}");
    let told = asked(&site, &["dead", "redrive", &id]);
    assert_eq!((&told["left_out"], &told["outcomes"]), (&1.into(), &json!({})), "{told}");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(backend.calls().len(), 2, "nothing was sent");
    let told = asked(&site, &["dead", "redrive", &id, "--uncertain"]);
    assert_eq!(told["outcomes"]["ready"], 1, "{told}");
    until(&mut customer, &id, &["sent"], PATIENCE);
    let calls = backend.calls();
    let last = calls.last().unwrap();
    let seen = (last.header("idempotency-key"), last.header("x-naru-possible-duplicate"));
    assert_eq!((calls.len(), seen), (3, (id.as_str(), "true")));
}

#[test]
fn a_limit_that_is_set_while_many_are_sent_again_holds_for_those_that_are_left() {
    let _beside = beside_others();
    let site = Site::embedded();
    let backend = StandIn::start(|call: &Call| {
        Reply::new(if call.header("x-naru-attempt") == "1" { 400 } else { 202 }, "{}")
    });
    route(&site, &backend);
    let mut customer = site.customer();
    let ids: Vec<String> = (0..15).map(|_| accept(&mut customer, &text("+15005550006"), None)).collect();
    for id in &ids {
        until(&mut customer, id, &["failed"], PATIENCE);
    }
    let told = thread::scope(|scope| {
        let redrive = scope.spawn(|| asked(&site, &["dead", "redrive", "--customer", "c0", "--rate", "1"]));
        within(PATIENCE, "the first is sent again", || (site.used() > 0).then_some(()));
        site.verb(&["quota", "set", "c0", "1", "--period", "month"]);
        redrive.join().unwrap()
    });
    let (ready, over) = (&told["outcomes"]["ready"], &told["outcomes"]["over-quota"]);
    let (ready, over) = (ready.as_u64().unwrap_or(0), over.as_u64().unwrap_or(0));
    assert!(ready >= 1 && over >= 1 && ready + over == 15, "{told}");
}
