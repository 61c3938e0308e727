//! Who may call, and what they may see.

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    gateway::{Gateway, Setup},
    wire::{Reply, Wire},
};

use super::{PATIENCE, get_as, refusal, sandbox};
use crate::stage::{accept, beside_others, message, until, within};

/// What a verb changes is in force within this.
const IN_FORCE: Duration = Duration::from_secs(1);

/// An answer's bytes without what is different in each: its id, the date, and the order of its headers, which is drawn
/// anew for every answer.
fn same_part(reply: &Reply) -> (Vec<String>, String) {
    let id = reply.header("request-id").unwrap();
    let own = |line: &&str| !line.starts_with("request-id:") && !line.starts_with("date:");
    let mut head: Vec<_> = reply.head.lines().filter(own).map(str::to_owned).collect();
    head.sort_unstable();
    (head, String::from_utf8(reply.body.clone()).unwrap().replace(id, "REQUEST"))
}

#[test]
fn an_id_that_no_worker_has_seen_is_queued_for_its_owner_and_nothing_for_others() {
    let _beside = beside_others();
    let arguments = ["--workers", "0"].map(str::to_owned).to_vec();
    let gateway = Gateway::spawn(&Setup { customers: 2, arguments, ..Setup::default() }).unwrap();
    let mut owner = gateway.customer(0);
    let id = accept(&mut owner, &message("sms", "mine"), None);
    let path = format!("/messages/{id}");
    let mine = owner.get(&path).unwrap();
    assert_eq!((mine.status, mine.json()), (200, serde_json::json!({ "id": id, "status": "queued" })));
    let last = if id.ends_with('0') { '1' } else { '0' };
    let near = format!("/messages/{}{last}", &id[..id.len() - 1]);
    let refused = [
        gateway.customer(1).get(&path).unwrap(),
        sandbox(&gateway, 0).get(&path).unwrap(),
        owner.get(&near).unwrap(),
        owner.get("/messages/msg_01k00000000000000000000000").unwrap(),
        owner.get("/messages/order-77").unwrap(),
        gateway.customer(1).cancel(&id).unwrap(),
    ];
    for reply in &refused {
        assert_eq!(refusal(reply), (404, "not-found".to_owned()));
        assert_eq!(same_part(reply), same_part(&refused[0]), "an answer tells why");
    }
    assert_eq!(owner.get(&path).unwrap().json()["status"], "queued", "nobody else can cancel it");
}

#[test]
fn an_unknown_id_a_wrong_secret_and_a_revoked_credential_get_the_same_bytes() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    gateway.verb(&["credential", "revoke", "c1-live"]).unwrap();
    thread::sleep(IN_FORCE);
    let [right, revoked] = [&gateway.users.live[0], &gateway.users.live[1]];
    let wrong = [
        right.replacen("c0-live:", "nobody:", 1),
        right.replacen(":password", ":another", 1),
        right.replacen(":key", ":another", 1),
        revoked.clone(),
    ];
    let seen: Vec<_> = wrong.iter().map(|user| get_as(&gateway, user, "/v1.0/quota")).collect();
    for (reply, user) in seen.iter().zip(&wrong) {
        assert_eq!(refusal(reply), (401, "unauthorized".to_owned()), "{user}");
        assert_eq!(same_part(reply), same_part(&seen[0]), "{user}");
    }
    assert_eq!(get_as(&gateway, right, "/v1.0/quota").status, 200);
}

#[test]
fn a_credential_opens_its_own_environment_only() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let (live, sandbox) = (&gateway.users.live[0], &gateway.users.sandbox[0]);
    let wrong = (403, "wrong-environment".to_owned());
    for path in ["/messages/order-77", "/reports", "/quota"] {
        assert_eq!(refusal(&get_as(&gateway, live, &format!("/sandbox/v1.0{path}"))), wrong);
        assert_eq!(refusal(&get_as(&gateway, sandbox, &format!("/v1.0{path}"))), wrong);
    }
    assert_eq!(get_as(&gateway, live, "/v1.0/quota").status, 200);
    assert_eq!(get_as(&gateway, sandbox, "/sandbox/v1.0/quota").status, 200);
}

#[test]
fn a_revoked_credential_is_refused_within_a_second() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    assert_eq!(customer.get("/quota").unwrap().status, 200);
    gateway.verb(&["credential", "revoke", "c0-live"]).unwrap();
    let began = Instant::now();
    within(PATIENCE, "401", || (customer.get("/quota").unwrap().status == 401).then_some(()));
    assert!(began.elapsed() < IN_FORCE, "{:?}", began.elapsed());
    assert_eq!(customer.send(&message("sms", "late"), None).unwrap().status, 401);
    assert_eq!(gateway.customer(1).get("/quota").unwrap().status, 200);
}

#[test]
fn a_suspended_customer_is_refused_within_a_second_until_it_is_resumed() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    assert_eq!(customer.get("/quota").unwrap().status, 200);
    gateway.verb(&["customer", "suspend", "c0"]).unwrap();
    let began = Instant::now();
    let asked = || Some(customer.get("/quota").unwrap()).filter(|reply| reply.status != 200);
    let refused = within(PATIENCE, "a refusal", asked);
    assert!(began.elapsed() < IN_FORCE, "{:?}", began.elapsed());
    assert_eq!(refusal(&refused), (403, "suspended".to_owned()));
    assert_eq!(customer.send(&message("sms", "late"), None).unwrap().status, 403);
    assert_eq!(gateway.customer(1).get("/quota").unwrap().status, 200);
    gateway.verb(&["customer", "resume", "c0"]).unwrap();
    thread::sleep(IN_FORCE);
    let id = accept(&mut customer, &message("sms", "again"), None);
    until(&mut customer, &id, &["delivered"], PATIENCE);
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let mut customer = gateway.customer(0);
    let json = serde_json::json!({});
    let long = "x".repeat(300_000);
    let mut replies = vec![
        customer.send(&message("sms", "one"), None).unwrap(),
        customer.batch(&[message("sms", "two")]).unwrap(),
        customer.get("/quota").unwrap(),
        customer.get("/reports").unwrap(),
        customer.get("/reports?limit=0").unwrap(),
        customer.get("/nothing").unwrap(),
        customer.get("/messages/order-77").unwrap(),
        customer.call("PUT", "/quota", &[], Some(&json)).unwrap(),
        customer.call("POST", "/messages", &["Content-Encoding: gzip".to_owned()], Some(&json)).unwrap(),
        customer.send(&json, None).unwrap(),
        get_as(&gateway, "nobody:p:k", "/v1.0/quota"),
        Wire::new(gateway.listen(), PATIENCE).call("GET", "/v1.0/quota", &[], b"").unwrap(),
        Wire::new(gateway.listen(), PATIENCE).call("GET", "/problems/unauthorized", &[], b"").unwrap(),
        customer.call("POST", "/messages", &[], Some(&long.into())).unwrap(),
    ];
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [202, 202, 200, 200, 400, 404, 404, 405, 415, 422, 401, 401, 200, 413]);
    let mut seen = HashSet::new();
    for reply in replies.drain(..) {
        let id = reply.header("request-id").unwrap_or_else(|| panic!("{}", reply.head)).to_owned();
        assert!(id.len() == 30 && id.starts_with("req_"), "{id}");
        if reply.status >= 400 {
            assert_eq!(reply.json()["instance"], id.as_str());
            assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        }
        assert!(seen.insert(id), "an id came twice");
    }
}
