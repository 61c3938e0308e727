//! SIGTERM, as those who call see it.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    customer::{Customer, basic},
    gateway::{DRAIN, Gateway, Setup},
    wire::{CallError, Reply, Wire},
};

use crate::stage::{alone, message};

/// How long it still answers after it was asked to stop.
const GRACE: Duration = Duration::from_millis(1_500);

fn graceful() -> [(&'static str, String); 1] {
    [("NARU_INGRESS__DRAIN_GRACE_MS", GRACE.as_millis().to_string())]
}

/// What a caller saw once the gateway had been asked to stop.
#[derive(Default)]
struct Seen {
    /// Status and kind of call.
    answers: HashMap<(u16, &'static str), usize>,
    /// Bytes were written, and no answer came.
    unanswered: Vec<String>,
}

/// Calls in a loop until nobody listens any more. `think` lies between two calls, `kept` says whether the next goes over
/// the same connection.
fn call_on(mut customer: impl FnMut() -> Customer, kept: bool, think: Duration, asked: &AtomicBool) -> Seen {
    let (mut seen, mut own) = (Seen::default(), customer());
    for call in 0.. {
        if !kept {
            own = customer();
        }
        let kind = if call % 4 == 0 { "read" } else { "accept" };
        let late = asked.load(Ordering::SeqCst);
        let reply = match kind {
            "read" => own.get("/quota"),
            _ => own.send(&message("sms", &call.to_string()), None),
        };
        match reply {
            Ok(reply) if late => {
                assert_eq!(reply.header("connection"), Some("close"), "{}", reply.head);
                *seen.answers.entry((reply.status, kind)).or_default() += 1;
            }
            Ok(_) => {}
            Err(CallError::Unsent(_)) => return seen,
            Err(error) => seen.unanswered.push(format!("{kind} {call}, kept {kept}, {think:?}: {error:?}")),
        }
        thread::sleep(think);
    }
    seen
}

#[test]
fn no_call_is_left_without_an_answer_by_a_drain() {
    let _alone = alone();
    let mut gateway = Gateway::prepare(&Setup { quota: Some(1_000_000), ..Setup::default() }).unwrap();
    gateway.start(&graceful()).unwrap();
    let (target, user) = (gateway.listen(), gateway.users.live[0].clone());
    let customer = || Customer::live(target, &user, Duration::from_secs(10));
    let asked = AtomicBool::new(false);
    let thinking = [0, 0, 0, 1, 7, 40, 300];
    let (seen, took) = thread::scope(|scope| {
        let mut callers = Vec::new();
        for think in thinking.map(Duration::from_millis) {
            for kept in [true, true, false] {
                let asked = &asked;
                callers.push(scope.spawn(move || call_on(customer, kept, think, asked)));
            }
        }
        thread::sleep(Duration::from_secs(1));
        let pid = rustix::process::Pid::from_raw(i32::try_from(gateway.pid().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let began = Instant::now();
        // By then the signal has been seen: what is asked after it must be told so.
        thread::sleep(Duration::from_millis(100));
        asked.store(true, Ordering::SeqCst);
        let seen: Vec<Seen> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        while !gateway.has_ended().unwrap() {
            assert!(began.elapsed() < DRAIN, "it does not end");
            thread::sleep(Duration::from_millis(5));
        }
        (seen, began.elapsed())
    });
    assert!(took >= GRACE, "{took:?}");
    let unanswered: Vec<&String> = seen.iter().flat_map(|seen| &seen.unanswered).collect();
    assert!(unanswered.is_empty(), "{} calls: {unanswered:#?}", unanswered.len());
    let mut answers: HashMap<_, usize> = HashMap::new();
    for (answer, times) in seen.iter().flat_map(|seen| &seen.answers) {
        *answers.entry(*answer).or_default() += times;
    }
    eprintln!("answered after the signal: {answers:?}");
    assert!(answers.keys().all(|answer| [(503, "accept"), (200, "read")].contains(answer)), "{answers:?}");
    assert!(answers.values().all(|times| *times > 20) && answers.len() == 2, "{answers:?}");
}

#[test]
fn a_process_that_was_asked_to_stop_says_so_at_once_and_still_answers() {
    let _alone = alone();
    let mut gateway = Gateway::prepare(&Setup { quota: Some(100), ..Setup::default() }).unwrap();
    gateway.start(&graceful()).unwrap();
    let patience = Duration::from_secs(5);
    let user = format!("Authorization: {}", basic(&gateway.users.live[0]));
    let (mut open, mut idle) =
        (Wire::new(gateway.listen(), patience), TcpStream::connect(gateway.listen()).unwrap());
    let quota = |wire: &mut Wire| wire.call("GET", "/v1.0/quota", std::slice::from_ref(&user), b"").unwrap();
    assert_eq!(quota(&mut open).status, 200);
    // A call that has begun to come is read to its end.
    let body = message("sms", "slow").to_string();
    let head = format!(
        "POST /v1.0/messages HTTP/1.1\r\nHost: naru\r\n{user}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut slow = TcpStream::connect(gateway.listen()).unwrap();
    slow.write_all(head.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(300));
    let (listen, operator) = (gateway.listen(), gateway.operator());
    let drained = thread::spawn(move || gateway.drain().unwrap());
    thread::sleep(Duration::from_millis(200));
    let ready = Wire::new(operator, patience).call("GET", "/readyz", &[], b"").unwrap();
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &false.into()));
    let json = [user.clone(), "Content-Type: application/json".to_owned()];
    let refused = Wire::new(listen, patience).call("POST", "/v1.0/messages", &json, body.as_bytes()).unwrap();
    let told = |reply: &Reply, name: &str| reply.header(name).map(str::to_owned);
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"draining".into()));
    assert_eq!(told(&refused, "content-type").as_deref(), Some("application/problem+json"));
    assert_eq!(
        (told(&refused, "connection").as_deref(), told(&refused, "retry-after").as_deref()),
        (Some("close"), Some("1"))
    );
    let read = quota(&mut open);
    assert_eq!((read.status, told(&read, "connection").as_deref()), (200, Some("close")));
    thread::sleep(GRACE);
    slow.write_all(body.as_bytes()).unwrap();
    slow.set_read_timeout(Some(patience)).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 "), "it was begun before: {answer}");
    idle.set_read_timeout(Some(patience)).unwrap();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "an idle connection ends in order");
    assert!(drained.join().unwrap() < DRAIN);
}
