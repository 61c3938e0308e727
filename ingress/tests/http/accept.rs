use std::{sync::atomic::Ordering, time::Duration};

use naru_ingress::IngressConfig;
use naru_shared::{domain::Lane, gate::Gate, ledger::Waiting};
use serde_json::json;

use crate::{
    faulty::Fault,
    gateway::{Gateway, JSON, LIVE, Setup, TEST, rate, request, sms},
    wire::Wire,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_answered_202_lies_on_the_queue_as_it_was_sent() {
    let gateway = Gateway::spawn().await;
    let trace = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let body = json!({"channel": "sms", "recipient": "+821012345678", "sender": "0215441234", "body": "안녕",
        "lane": "bulk", "reference": "order-77", "ttl": 600, "subject": null, "attachments": [], "data": {"a": [1]}});
    let headers = [LIVE, JSON, trace, ("Idempotency-Key", "\"order-77\"")];
    let reply = gateway.call("POST", "/v1.0/messages", &headers, &body.to_string()).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    let answer = reply.json();
    let id = answer["id"].as_str().unwrap();
    assert_eq!(reply.header("location").unwrap(), format!("/v1.0/messages/{id}"));
    assert_eq!(
        (&answer["status"], &answer["units"], &answer["route"]),
        (&json!("queued"), &json!(1), &json!("carrier-a"))
    );
    assert_eq!(answer["reference"], "order-77");
    assert!(reply.header("request-id").unwrap().starts_with("req_") && reply.header("date").is_some());
    assert_eq!(reply.header("server"), None);
    let messages = gateway.messages().await;
    let [(lane, message)] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((*lane, message.id.to_string().as_str()), (Lane::Bulk, id));
    assert_eq!(message.content.body, "안녕");
    assert_eq!(message.traceparent.as_deref(), Some(trace.1));
    assert_eq!(message.key.as_ref().unwrap().as_str(), "order-77");
    assert_eq!(json!(message.accepted_at), answer["accepted_at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_content_get_the_first_answer_and_one_message() {
    let gateway = Gateway::spawn().await;
    let first = gateway.post_keyed("k", &sms("a")).await;
    let again = gateway.post_keyed("\"k\"", &sms("a")).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.json(), again.json());
    let other = gateway.post_keyed("k", &sms("b")).await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency-conflict"));
    assert_eq!(gateway.messages().await.len(), 1);
    let headers = [TEST, JSON, ("Idempotency-Key", "k")];
    let sandbox = gateway.call("POST", "/sandbox/v1.0/messages", &headers, &sms("b").to_string()).await;
    assert_eq!(sandbox.status, 202);
    assert_eq!(sandbox.json()["route"], "sandbox");
    assert!(sandbox.header("location").unwrap().starts_with("/sandbox/v1.0/messages/msg_"));
    assert_eq!(gateway.messages_of("sandbox").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_flight_is_a_409_and_the_first_call_is_answered() {
    let gateway = Gateway::spawn().await;
    gateway.queue.set(Fault::Slow);
    let body = sms("a");
    let second = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        gateway.post_keyed("k", &body).await
    };
    let (first, second) = tokio::join!(gateway.post_keyed("k", &body), second);
    assert_eq!(first.status, 202);
    assert_eq!((second.status, second.code().as_str()), (409, "key-in-flight"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_told_and_kept() {
    let setup = Setup { rates: vec![rate(1, 60, 2)], ..Setup::default() };
    let gateway = Gateway::with(setup).await;
    let first = gateway.post("/v1.0/messages", &sms("a")).await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"burst\";q=1;w=60"));
    assert!(first.header("ratelimit").unwrap().starts_with("\"burst\";r=1;t="), "{first:?}");
    assert_eq!(gateway.post("/v1.0/messages", &sms("a")).await.status, 202);
    let third = gateway.post("/v1.0/messages", &sms("a")).await;
    assert_eq!((third.status, third.code().as_str()), (429, "rate-limited"));
    let wait: u64 = third.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert!(third.header("ratelimit").unwrap().starts_with("\"burst\";r=0;"));
    assert_eq!(gateway.messages().await.len(), 2);
    let reads = gateway.get("/v1.0/quota").await;
    assert_eq!(reads.status, 200, "reads are not counted: {reads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_refuses_early_and_gives_back_what_was_not_published() {
    let gateway = Gateway::with(Setup { quota: Some(2), ..Setup::default() }).await;
    gateway.queue.set(Fault::Refuse);
    for _ in 0..3 {
        let refused = gateway.post("/v1.0/messages", &sms("a")).await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "queue-unavailable"));
    }
    gateway.queue.set(Fault::None);
    for _ in 0..2 {
        assert_eq!(gateway.post("/v1.0/messages", &sms("a")).await.status, 202);
    }
    let over = gateway.post_keyed("k", &sms("a")).await;
    assert_eq!((over.status, over.code().as_str()), (429, "quota-exceeded"));
    assert!(over.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    let again = gateway.post_keyed("k", &sms("other content")).await;
    assert_eq!(again.code(), "quota-exceeded", "the refused call left its key free");
    let sandbox = gateway.call("POST", "/sandbox/v1.0/messages", &[TEST, JSON], &sms("a").to_string()).await;
    assert_eq!(sandbox.status, 202, "the sandbox is never charged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_with_too_much_waiting_is_refused_before_the_route_is() {
    let mut setup = Setup::default();
    setup.config.customer_backlog = 5;
    setup.config.route_backlog = 8;
    let gateway = Gateway::with(setup).await;
    let waiting = |customer: &str, messages| Waiting {
        route: "carrier-a".parse().unwrap(),
        lane: Lane::Bulk,
        account: naru_shared::domain::Account {
            customer: customer.parse().unwrap(),
            environment: naru_shared::domain::Environment::Live,
        },
        messages,
    };
    gateway.gate.observe_waiting(&[waiting("acme", 5)], &[]).await.unwrap();
    let mine = gateway.post("/v1.0/messages", &sms("a")).await;
    assert_eq!((mine.status, mine.code().as_str()), (429, "backlog-full"));
    gateway.gate.observe_waiting(&[waiting("other", 9)], &[]).await.unwrap();
    let all = gateway.post("/v1.0/messages", &sms("a")).await;
    assert_eq!((all.status, all.code().as_str()), (503, "route-full"));
    assert!(mine.header("retry-after").is_some() && all.header("retry-after").is_some());
    gateway.gate.observe_waiting(&[], &[]).await.unwrap();
    assert_eq!(gateway.post("/v1.0/messages", &sms("a")).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_route_or_no_room_is_refused() {
    let gateway = Gateway::spawn().await;
    let mut other = sms("a");
    other["channel"] = json!("push");
    let refused = gateway.post("/v1.0/messages", &other).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "no-route"));
    gateway.room.store(false, Ordering::SeqCst);
    let full = gateway.post("/v1.0/messages", &sms("a")).await;
    assert_eq!((full.status, full.code().as_str()), (503, "low-disk"));
    assert!(full.header("retry-after").is_some());
    assert_eq!(gateway.get("/v1.0/reports").await.status, 200);
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_accepts_share_publishes_and_packs() {
    // It is about sharing: a disk that is busy with something else for a while is no answer.
    let config = IngressConfig { publish_timeout_ms: 30_000, ..Setup::default().config };
    let gateway = Gateway::with(Setup { config, ..Setup::default() }).await;
    let calls = (0..64).map(|n| {
        let bytes = request("POST", "/v1.0/messages", &[LIVE, JSON], &sms(&n.to_string()).to_string());
        let addr = gateway.addr;
        tokio::spawn(async move {
            let mut wire = Wire::open(addr).await;
            for _ in 0..20 {
                wire.send(&bytes).await;
                assert_eq!(wire.reply().await.unwrap().status, 202);
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let packs = gateway.queue.packs.load(Ordering::SeqCst);
    assert!(packs < 1_280 / 2, "{packs} packs for 1,280 messages");
    let mut ids: Vec<_> = gateway.messages().await.into_iter().map(|(_, m)| m.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1_280);
}
