//! What an operator sees of calls that were refused: counters, and a line a minute about who was denied.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    customer::{Customer, basic},
    gateway::{Gateway, Setup},
    wire::Wire,
};
use serde_json::{Value, json};

use crate::stage::{beside_others, message, within};

const PATIENCE: Duration = Duration::from_secs(10);

/// Every sample of a metric, by its labels as they are written.
fn samples(gateway: &Gateway, metric: &str) -> BTreeMap<String, u64> {
    let reply = Wire::new(gateway.operator(), PATIENCE).call("GET", "/metrics", &[], b"").unwrap();
    let text = String::from_utf8(reply.body).unwrap();
    let of = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let labels = name.strip_prefix(metric)?.trim_matches(['{', '}']).replace('"', "");
        let mut labels: Vec<&str> = labels.split(',').collect();
        labels.sort_unstable();
        Some((labels.join(","), value.parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(of).filter(|(_, n)| *n > 0).collect()
}

fn counted(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(labels, count)| ((*labels).to_owned(), *count)).collect()
}

#[test]
fn calls_are_counted_by_call_status_and_code_and_messages_one_by_one() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { quota: Some(500), ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    let bad = json!({ "channel": "sms", "recipient": "010", "body": "x" });
    let mut batch: Vec<Value> = (0..497).map(|n| message("sms", &n.to_string())).collect();
    batch.extend([bad.clone(), bad.clone(), json!(5)]);
    assert_eq!(customer.batch(&batch).unwrap().status, 202);
    assert_eq!(customer.batch(&[bad.clone(), bad.clone()]).unwrap().status, 422);
    assert_eq!(customer.batch(&[]).unwrap().status, 422);
    assert_eq!(customer.send(&bad, None).unwrap().status, 422);
    assert_eq!(customer.send(&message("sms", "one"), None).unwrap().status, 202);
    assert_eq!(customer.get("/reports?limit=0").unwrap().status, 400);
    assert_eq!(customer.get("/quota").unwrap().status, 200);
    let calls = [
        ("call=batch,code=empty-batch,status=422", 1),
        ("call=batch,code=none,status=202", 1),
        ("call=batch,code=none,status=422", 1),
        ("call=message,code=invalid-recipient,status=422", 1),
        ("call=message,code=none,status=202", 1),
        ("call=quota,code=none,status=200", 1),
        ("call=reports,code=invalid-parameter,status=400", 1),
    ];
    assert_eq!(samples(&gateway, "naru_http_requests_total"), counted(&calls));
    let refused = [("code=invalid-message", 1), ("code=invalid-recipient", 5)];
    assert_eq!(samples(&gateway, "naru_messages_refused_total"), counted(&refused));
    assert_eq!(samples(&gateway, "naru_messages_accepted_total"), counted(&[("environment=live", 498)]));
}

#[test]
fn denials_are_told_once_for_each_customer_and_code() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&Setup { customers: 2, quota: Some(1), ..Setup::default() }).unwrap();
    let (listen, mut customer) = (gateway.listen(), gateway.customer(0));
    for _ in 0..40 {
        let as_user = |user: &str| {
            let header = format!("Authorization: {}", basic(user));
            Wire::new(listen, PATIENCE).call("GET", "/v1.0/quota", &[header], b"").unwrap().status
        };
        assert_eq!((as_user("c1-live:wrong:k1"), as_user("nobody:p:k")), (401, 401));
    }
    let sandboxed = gateway.users.sandbox[1].clone();
    assert_eq!(Customer::live(listen, &sandboxed, PATIENCE).get("/quota").unwrap().status, 403);
    assert_eq!(customer.send(&message("sms", "one"), None).unwrap().status, 202);
    assert_eq!(customer.batch(&vec![message("sms", "over"); 3]).unwrap().status, 429);
    let totals = [("code=quota-exceeded", 3), ("code=unauthorized", 80), ("code=wrong-environment", 1)];
    assert_eq!(samples(&gateway, "naru_denials_total"), counted(&totals));
    gateway.drain().unwrap();
    let log = gateway.log_tail();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told: Vec<_> = lines
        .filter(|line| line["message"].as_str().is_some_and(|text| text.contains("denied")))
        .map(|line| (line["customer"].clone(), line["code"].clone(), line["times"].clone()))
        .collect();
    let line = |customer: &str, code: &str, times: u64| (customer.into(), code.into(), times.into());
    let expected: [(Value, Value, Value); 4] = [
        line("(unknown)", "unauthorized", 40),
        line("c1", "unauthorized", 40),
        line("c0", "quota-exceeded", 3),
        line("c1", "wrong-environment", 1),
    ];
    assert_eq!(told, expected, "{log}");
    assert!(!log.contains("wrong:k1") && !log.contains("nobody"), "{log}");
}

/// What is answered to these bytes until the connection ends, and how long that took.
fn raw(address: SocketAddr, pieces: &[&[u8]]) -> (String, Duration) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for piece in pieces {
        stream.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    let (began, mut answer) = (Instant::now(), Vec::new());
    stream.read_to_end(&mut answer).unwrap();
    (String::from_utf8(answer).unwrap(), began.elapsed())
}

#[test]
fn what_the_http_library_refuses_is_counted_and_a_head_may_never_take_long() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let listen = gateway.listen();
    let long = format!("GET / HTTP/1.1\r\nHost: naru\r\nX: {}", "a".repeat(200_000));
    for (bytes, status) in [
        (b"NONSENSE\r\n\r\n".as_slice(), "400"),
        (b"GET / HTTP/1.1\r\nHost: naru\r\nContent-Length: 1, 2\r\n\r\n", "400"),
        (long.as_bytes(), "431"),
    ] {
        let (answer, _) = raw(listen, &[bytes]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let seconds = |took: Duration| took >= Duration::from_secs(4) && took < Duration::from_secs(7);
    let (first, took) = raw(listen, &[b"GET / HT"]);
    assert!(first.starts_with("HTTP/1.1 408 ") && seconds(took), "{took:?} {first}");
    // One that was opened ahead and never used ends without a word that a balancer could take for an answer.
    let (silent, took) = raw(listen, &[]);
    assert!(silent.is_empty() && seconds(took), "{took:?} {silent}");
    // A later head on the same connection.
    let (later, took) = raw(listen, &[b"GET /none HTTP/1.1\r\nHost: naru\r\n\r\n", b"GET / HT"]);
    assert!(later.starts_with("HTTP/1.1 404 ") && seconds(took), "{took:?} {later}");
    assert!(!later.contains("408"), "{later}");
    let expected = counted(&[("status=400", 2), ("status=408", 2), ("status=431", 1)]);
    assert_eq!(samples(&gateway, "naru_http_malformed_total"), expected);
    within(PATIENCE, "no connection is left", || {
        samples(&gateway, "naru_http_connections").is_empty().then_some(())
    });
}
