//! What a credential may do, how fast and how much a customer may send: as an operator sets it, asked of whole processes.

use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use naru_shared::domain::RatePolicy;
use naru_tests::{
    customer::{Customer, basic},
    gateway::{Gateway, Setup},
    wire::{Held, Reply, Wire},
};
use serde_json::{Value, json};

use crate::stage::{accept, alone, beside_others, message, within};

const PATIENCE: Duration = Duration::from_secs(15);

fn as_user(gateway: &Gateway, user: &str) -> Customer {
    Customer::live(gateway.listen(), user, PATIENCE)
}

fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// What a verb answers to programs.
fn verb(gateway: &Gateway, line: &str) -> Value {
    let mut words: Vec<&str> = line.split(' ').collect();
    words.push("--json");
    serde_json::from_str(&gateway.verb(&words).unwrap()).unwrap()
}

/// A credential that a verb made, and its user.
fn added(gateway: &Gateway, more: &str) -> (String, String) {
    let made = verb(gateway, &format!("credential add c0 {more}"));
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let user = format!("{}:{}:{}", text("id"), text("password"), text("api_key"));
    (text("id"), user)
}

/// Calls until the answer is this one: what a verb changes is in force within a second.
fn becomes(customer: &mut Customer, ask: impl Fn(&mut Customer) -> Reply, status: u16) -> Reply {
    within(PATIENCE, &format!("{status}"), || Some(ask(customer)).filter(|reply| reply.status == status))
}

/// Makes all calls at once: all of them whole before any answer is read.
fn at_once(gateway: &Gateway, count: usize, body: impl Fn(usize) -> Value) -> Vec<Reply> {
    let hold = |number| gateway.customer(0).hold("POST", "/messages", &body(number)).unwrap();
    let mut calls: Vec<Held> = (0..count).map(hold).collect();
    calls.iter_mut().for_each(|call| call.let_go().unwrap());
    calls.into_iter().map(|call| call.answer().unwrap()).collect()
}

fn policy(name: &str, limit: u32, window_seconds: u32, burst: u32) -> RatePolicy {
    RatePolicy { name: name.to_owned(), limit, window_seconds, burst }
}

#[test]
fn a_credential_is_given_scopes_and_addresses_and_loses_them() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let (id, user) = added(&gateway, "--scope read,cancel");
    let mut customer = as_user(&gateway, &user);
    becomes(&mut customer, |c| c.get("/quota").unwrap(), 200);
    assert_eq!(
        refusal(&customer.send(&message("sms", "no"), None).unwrap()),
        refused(403, "insufficient-scope")
    );
    let shown = verb(&gateway, &format!("credential set {id} --scope send"));
    assert_eq!(shown["scopes"], json!(["send"]));
    becomes(&mut customer, |c| c.send(&message("sms", "yes"), None).unwrap(), 202);
    assert_eq!(refusal(&customer.get("/quota").unwrap()), refused(403, "insufficient-scope"));
    verb(
        &gateway,
        &format!(
            "credential set {id} --all-scopes --allow-address 192.0.2.0/24 --allow-address 2001:db8::/32"
        ),
    );
    let reply = becomes(&mut customer, |c| c.send(&message("sms", "no"), None).unwrap(), 403);
    assert_eq!(refusal(&reply), refused(403, "address-not-allowed"));
    verb(&gateway, &format!("credential set {id} --any-address"));
    becomes(&mut customer, |c| c.send(&message("sms", "again"), None).unwrap(), 202);
    assert_eq!(customer.get("/quota").unwrap().status, 200);
    for wrong in ["--scope write", "--allow-address 10.0.0.0/33", "--scope send --all-scopes", ""] {
        let line = format!("credential set {id} {wrong}");
        assert!(gateway.verb(&line.split_whitespace().collect::<Vec<_>>()).is_err(), "{line}");
    }
}

#[test]
fn a_person_chooses_a_password_and_it_is_shown_nowhere() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let password = "korrekt: pferd batterie";
    let add = |password: &str| {
        let mut child = Command::new(gateway.program())
            .args(["credential", "add", "c0", "--id", "chosen", "--password-file", "-", "--json", "--config"])
            .arg(gateway.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    for weak in ["short", "chosen\n", "123456789012\n", "password1234", "two lines of it\nand more\n"] {
        assert_eq!(add(weak).status.code(), Some(2), "{weak}");
    }
    let made = add(&format!("{password}\n"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = String::from_utf8(made.stdout).unwrap();
    assert!(!text.contains("korrekt"), "{text}");
    let key = serde_json::from_str::<Value>(&text).unwrap()["api_key"].as_str().unwrap().to_owned();
    let mut customer = as_user(&gateway, &format!("chosen:{password}:{key}"));
    becomes(&mut customer, |c| c.get("/quota").unwrap(), 200);
    assert_eq!(as_user(&gateway, &format!("chosen:wrong one here:{key}")).get("/quota").unwrap().status, 401);
    assert!(!verb(&gateway, "credential list c0").to_string().contains("argon2"));
    assert!(!gateway.log_tail().contains("korrekt"));
    verb(&gateway, "credential revoke chosen");
    assert_eq!(customer.get("/quota").unwrap().status, 401, "revoked, and known no more");
}

#[test]
fn of_a_thousand_calls_at_once_no_more_than_a_rate_are_let_in() {
    let _alone = alone();
    let rates = vec![policy("second", 1_000, 1, 1_000), policy("hour", 1, 3_600, 100)];
    let gateway = Gateway::spawn(&Setup { rates, ..Setup::default() }).unwrap();
    let replies = at_once(&gateway, 1_000, |number| message("sms", &format!("m-{number}")));
    let accepted = replies.iter().filter(|reply| reply.status == 202).count();
    assert_eq!(accepted, 100);
    let over = replies.iter().find(|reply| reply.status != 202).unwrap();
    assert_eq!(refusal(over), refused(429, "rate-limited"));
    assert_eq!(over.header("ratelimit-policy"), Some(r#""second";q=1000;w=1, "hour";q=1;w=3600"#));
    assert!(over.header("ratelimit").unwrap().contains(r#""hour";r=0;"#), "{:?}", over.header("ratelimit"));
}

#[test]
fn a_hundred_calls_with_one_key_are_one_message() {
    let _alone = alone();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let headers = |user: &str| {
        vec![
            format!("Authorization: {}", basic(user)),
            "Content-Type: application/json".to_owned(),
            "Idempotency-Key: one".to_owned(),
        ]
    };
    let body = message("sms", "r").to_string();
    let call = || {
        let mut wire = Wire::new(gateway.listen(), PATIENCE);
        let request =
            wire.request("POST", "/v1.0/messages", &headers(&gateway.users.live[0]), body.as_bytes());
        wire.hold(&request).unwrap()
    };
    let mut calls: Vec<Held> = (0..100).map(|_| call()).collect();
    calls.iter_mut().for_each(|call| call.let_go().unwrap());
    let replies: Vec<Reply> = calls.into_iter().map(|call| call.answer().unwrap()).collect();
    let mut ids = Vec::new();
    for reply in &replies {
        match reply.status {
            202 => ids.push(reply.json()["id"].as_str().unwrap().to_owned()),
            _ => assert_eq!(refusal(reply), refused(409, "key-in-flight")),
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let mut customer = gateway.customer(0);
    let other = customer.send(&message("sms", "other"), Some("one")).unwrap();
    assert_eq!(refusal(&other), refused(422, "idempotency-conflict"));
    assert_eq!(accept(&mut customer, &message("sms", "r"), Some("one")), ids[0]);
    let reports =
        within(PATIENCE, "a report", || Some(customer.take_reports().unwrap()).filter(|all| !all.is_empty()));
    thread::sleep(Duration::from_millis(500));
    assert_eq!((reports.len(), customer.take_reports().unwrap().len()), (1, 0), "one message, one report");
}

#[test]
fn a_limit_that_is_lowered_and_raised_under_load_gives_nothing_back() {
    let _alone = alone();
    let gateway =
        Gateway::spawn(&Setup { rates: vec![policy("hour", 1, 3_600, 300)], ..Setup::default() }).unwrap();
    let stop = Instant::now() + Duration::from_secs(6);
    let accepted: usize = thread::scope(|scope| {
        let load = |_| {
            scope.spawn(|| {
                let mut customer = gateway.customer(0);
                let mut accepted = 0;
                while Instant::now() < stop {
                    accepted += usize::from(customer.send(&message("sms", "r"), None).unwrap().status == 202);
                }
                accepted
            })
        };
        let callers: Vec<_> = (0..4).map(load).collect();
        for burst in [50, 300, 20, 250, 1, 300] {
            verb(&gateway, &format!("rate set c0 hour=1/1h+{burst}"));
            thread::sleep(Duration::from_millis(300));
        }
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(accepted, 300, "as many as if it had never been changed");
    assert_eq!(
        refusal(&gateway.customer(0).send(&message("sms", "r"), None).unwrap()),
        refused(429, "rate-limited")
    );
}

#[test]
fn quotas_of_several_periods_hold_at_once_and_more_is_bought() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    verb(&gateway, "quota set c0 100 --period month");
    verb(&gateway, "quota set c0 3 --period prepaid");
    let shown = verb(&gateway, "quota set c0 5 --period day --channel sms");
    let lines: Vec<(&str, &str, u64)> = shown
        .as_array()
        .unwrap()
        .iter()
        .map(|l| {
            (l["channel"].as_str().unwrap(), l["period"].as_str().unwrap(), l["limit"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(lines, [("*", "month", 100), ("*", "prepaid", 3), ("sms", "day", 5)]);
    let mut customer = gateway.customer(0);
    within(PATIENCE, "three quotas", || {
        let told = customer.get("/quota").unwrap().json();
        (told["quotas"].as_array().unwrap().len() == 3).then_some(())
    });
    (0..3).for_each(|_| drop(accept(&mut customer, &message("sms", "r"), None)));
    let over = customer.send(&message("sms", "r"), None).unwrap();
    assert_eq!(
        (refusal(&over), over.header("retry-after")),
        (refused(429, "quota-exceeded"), None),
        "prepaid is not renewed"
    );
    assert!(gateway.verb(&["quota", "add", "c0", "10"]).is_err(), "which one was not said");
    for wrong in ["-1", "0", "9223372036854775807", "18446744073709551616", "1.5"] {
        assert!(gateway.verb(&["quota", "add", "c0", wrong, "--period", "prepaid"]).is_err(), "{wrong}");
    }
    verb(&gateway, "quota add c0 10 --period prepaid");
    becomes(&mut customer, |c| c.send(&message("sms", "r"), None).unwrap(), 202);
    accept(&mut customer, &message("sms", "r"), None);
    let over = customer.send(&message("sms", "r"), None).unwrap();
    let until_midnight = over.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok()).unwrap();
    assert!(refusal(&over) == refused(429, "quota-exceeded") && (1..=86_401).contains(&until_midnight));
    verb(&gateway, "quota remove c0 --channel sms");
    becomes(&mut customer, |c| c.send(&message("sms", "r"), None).unwrap(), 202);
}

#[test]
fn revoke_waits_for_fronts_and_says_which_has_not_heard() {
    let _alone = alone();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let (first, user) = added(&gateway, "--environment live");
    let (second, _) = added(&gateway, "--environment live");
    becomes(&mut as_user(&gateway, &user), |c| c.get("/quota").unwrap(), 200);
    let revoked = verb(&gateway, &format!("credential revoke {first}"));
    let fronts = revoked["fronts"].as_array().unwrap();
    assert_eq!((fronts.len(), fronts[0]["has_it"].as_bool()), (1, Some(true)), "{revoked}");
    // It has returned: no call is let in any more, without a moment's wait.
    assert_eq!(as_user(&gateway, &user).get("/quota").unwrap().status, 401);
    gateway.pause().unwrap();
    let line = ["credential", "revoke", second.as_str(), "--wait", "1"];
    let error = gateway.verb(&line).unwrap_err().to_string();
    gateway.go_on().unwrap();
    assert!(error.contains("is revoked") && error.contains(fronts[0]["front"].as_str().unwrap()), "{error}");
    let again = verb(&gateway, &format!("credential revoke {second}"));
    assert_eq!(again["fronts"][0]["has_it"], true, "{again}");
}

#[test]
fn what_was_used_is_listed_once_a_front_has_ended() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup::default()).unwrap();
    assert_eq!(gateway.customer(0).get("/quota").unwrap().status, 200);
    // What it remembers it notes once a minute, and in the end.
    gateway.drain().unwrap();
    let listed = verb(&gateway, "credential list c0");
    let used = |id: &str| {
        let line = listed.as_array().unwrap().iter().find(|line| line["id"] == id).unwrap();
        line["last_used_at"].clone()
    };
    assert!(used("c0-live").is_string(), "{listed}");
    assert!(used("c0-sandbox").is_null(), "{listed}");
    let revoked = verb(&gateway, "credential revoke c0-sandbox");
    assert_eq!(revoked["fronts"], json!([]), "whoever ended in order is not waited for");
}
