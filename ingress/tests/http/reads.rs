use std::{sync::Arc, time::Duration};

use naru_shared::{
    domain::{
        Account, Clock, Day, Environment, IncarnationId, IntakeToken, Next, Quota, SystemClock, TimeZone,
        Timestamp,
    },
    ledger::{Disposition, IntakeBatch, IntakeEntry, IntakeVerdict, Ledger, Settlement},
};
use serde_json::json;

use crate::gateway::{Gateway, JSON, LIVE, OTHER, Setup, TEST, rate, sms};

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_intake_has_not_seen_is_queued_for_its_owner_and_nothing_for_others() {
    let gateway = Gateway::spawn().await;
    let answer = gateway.post("/v1.0/messages", &sms("a")).await.json();
    let id = answer["id"].as_str().unwrap();
    let mine = gateway.get(&format!("/v1.0/messages/{id}")).await;
    assert_eq!((mine.status, mine.json()), (200, json!({"id": id, "status": "queued"})));
    let theirs = gateway.call("GET", &format!("/v1.0/messages/{id}"), &[OTHER], "").await;
    let sandbox = gateway.call("GET", &format!("/sandbox/v1.0/messages/{id}"), &[TEST], "").await;
    let made_up = gateway.get("/v1.0/messages/msg_01k00000000000000000000000").await;
    let no_id = gateway.get("/v1.0/messages/order-77").await;
    for reply in [theirs, sandbox, made_up, no_id] {
        assert_eq!((reply.status, reply.code().as_str()), (404, "not-found"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_message_is_cancelled_by_a_tombstone() {
    let gateway = Gateway::spawn().await;
    let answer = gateway.post("/v1.0/messages", &sms("a")).await.json();
    let path = format!("/v1.0/messages/{}", answer["id"].as_str().unwrap());
    let theirs = gateway.call("DELETE", &path, &[OTHER], "").await;
    assert_eq!(theirs.status, 404);
    let gone = gateway.call("DELETE", &path, &[LIVE], "").await;
    assert_eq!((gone.status, &gone.json()["status"]), (200, &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_and_acknowledgements_have_their_form() {
    let gateway = Gateway::spawn().await;
    let none = gateway.get("/v1.0/reports?limit=10&wait=0").await;
    assert_eq!((none.status, none.json()), (200, json!({"reports": [], "more": false, "lease_seconds": 60})));
    assert_eq!(gateway.get("/v1.0/reports?wait=21").await.code(), "invalid-parameter");
    let ack = |body: serde_json::Value| {
        let gateway = &gateway;
        async move { gateway.call("POST", "/v1.0/reports/ack", &[LIVE, JSON], &body.to_string()).await }
    };
    let strange = ack(json!({"reports": [{"id": "msg_01k00000000000000000000000", "revision": 1}]})).await;
    assert_eq!((strange.status, strange.json()), (200, json!({"acknowledged": 0})));
    assert_eq!(ack(json!({"reports": []})).await.code(), "empty-batch");
    assert_eq!(ack(json!({"reports": [{"id": "x", "revision": 1}]})).await.code(), "invalid-message");
    assert_eq!(ack(json!([])).await.code(), "invalid-message");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_shown_with_its_use_and_renewal() {
    let gateway =
        Gateway::with(Setup { quota: Some(100), rates: vec![rate(5, 1, 10)], ..Setup::default() }).await;
    let shown = gateway.get("/v1.0/quota").await.json();
    let quota = &shown["quotas"][0];
    assert_eq!((&quota["channel"], &quota["period"]), (&json!("*"), &json!("month")));
    assert_eq!((&quota["limit"], &quota["used"], &quota["remaining"]), (&json!(100), &json!(0), &json!(100)));
    assert!(quota["renews_at"].as_str().unwrap().ends_with("-01T00:00:00.000Z"));
    assert_eq!(shown["rates"], json!([{"name": "burst", "limit": 5, "window_seconds": 1, "burst": 10}]));
    let sandbox = gateway.call("GET", "/sandbox/v1.0/quota", &[TEST], "").await.json();
    assert_eq!(sandbox["quotas"], json!([]));
}

/// Does a worker's part: records what lies on the queue, and has it delivered.
async fn deliver(gateway: &Gateway) {
    let now = SystemClock.now();
    let account = Account { customer: "acme".parse().unwrap(), environment: Environment::Live };
    let period = naru_shared::domain::Period::Month;
    let quota = Quota { version: 1, ..Quota::new(account.customer.clone(), None, period, 100) };
    let entries = gateway.messages().await.into_iter().map(|(lane, message)| IntakeEntry {
        account: account.clone(),
        route: "carrier-a".parse().unwrap(),
        lane,
        day: Day::of(now, &TimeZone::UTC),
        disposition: Disposition::Start,
        class: None,
        quiet: std::time::Duration::ZERO,
        message: Arc::new(message),
    });
    let batch = IntakeBatch {
        token: IntakeToken::random(),
        incarnation: IncarnationId::random(),
        now,
        emit: false,
        entries: entries.collect(),
        quotas: vec![Arc::new(quota)],
    };
    let next = Next::Final {
        state: naru_shared::domain::State::Delivered,
        code: naru_shared::domain::Code::Ok,
        detail: "delivered".into(),
        backend_id: None,
    };
    let mut settlements = Vec::new();
    for verdict in gateway.ledger.intake(batch).await.unwrap().verdicts {
        let IntakeVerdict::Recorded(row, _) = verdict else { panic!("{verdict:?}") };
        settlements.push(Settlement { row, attempt: 1, next: next.clone() });
    }
    gateway.ledger.settle(settlements, now, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivered_message_is_read_reported_acknowledged_and_counted() {
    let gateway = Gateway::with(Setup { quota: Some(100), ..Setup::default() }).await;
    let id = gateway.post_keyed("order-77", &sms("a")).await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1.0/messages/{id}");
    let waiting = async { gateway.get("/v1.0/reports?wait=10").await.json() };
    let working = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        deliver(&gateway).await;
    };
    let (page, ()) = tokio::join!(waiting, working);
    let report = &page["reports"][0];
    assert_eq!(
        (&report["id"], &report["revision"], &report["status"]),
        (&json!(id), &json!(1), &json!("delivered"))
    );
    assert_eq!(
        (&report["code"], &report["charged"], &report["key"]),
        (&json!("ok"), &json!(true), &json!("order-77"))
    );
    assert!(report["final_at"].as_str().unwrap().parse::<Timestamp>().is_ok());
    let view = gateway.get(&path).await;
    assert_eq!((view.status, &view.json()["status"]), (200, &json!("delivered")));
    let late = gateway.call("DELETE", &path, &[LIVE], "").await;
    assert_eq!((late.status, late.code().as_str()), (409, "not-cancellable"));
    assert_eq!(gateway.get("/v1.0/quota").await.json()["quotas"][0]["used"], 1);
    let read = json!({"reports": [{"id": id, "revision": 1}]}).to_string();
    let theirs = gateway.call("POST", "/v1.0/reports/ack", &[OTHER, JSON], &read).await;
    assert_eq!(theirs.json(), json!({"acknowledged": 0}));
    let mine = gateway.call("POST", "/v1.0/reports/ack", &[LIVE, JSON], &read).await;
    assert_eq!(mine.json(), json!({"acknowledged": 1}));
    let again = gateway.call("POST", "/v1.0/reports/ack", &[LIVE, JSON], &read).await;
    assert_eq!(again.json(), json!({"acknowledged": 0}));
}
