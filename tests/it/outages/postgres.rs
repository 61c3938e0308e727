//! PostgreSQL is away.

use std::time::{Duration, Instant};

use naru_tests::engines::Stop;

use super::{
    PATIENCE, accepted, accepted_in_the_end, at, code, delivered,
    loan::{borrow, customers::READER},
    message,
};
use crate::stage::within;

/// How long a read may take to be refused; its tries are bounded by 5 s.
const REFUSED: Duration = Duration::from_secs(10);

#[test]
fn without_postgresql_calls_are_accepted_reads_are_503_and_a_new_front_starts() {
    let mut site = borrow();
    let mut ids = vec![accepted(&at(&site, 0, READER).send(&message("before"), None).unwrap())];
    // There and silent, as behind a network that loses everything.
    site.postgres.proxy().unwrap().stall();
    ids.extend(accepts(&site, "silent"));
    refuses_reads(&site, &ids[0]);
    site.postgres.proxy().unwrap().pass().unwrap();
    // Gone.
    site.postgres.stop(Stop::Kill).unwrap();
    ids.extend(accepts(&site, "gone"));
    refuses_reads(&site, &ids[0]);
    // A process that starts now knows customers and routes from Redis.
    let began = Instant::now();
    site.ingress[2].start(&[]).unwrap();
    println!("a front was ready {:?} after its start, without PostgreSQL", began.elapsed());
    let mut third = at(&site, 2, READER);
    // It is ready before its connection to the broker is made: the first call may come too early.
    ids.push(accepted_in_the_end(&mut third, "third"));
    for number in 0..10 {
        ids.push(accepted(&third.send(&message(&format!("third {number}")), None).unwrap()));
    }
    assert_eq!(third.get("/reports").unwrap().status, 503);
    site.postgres.begin().unwrap();
    // Nothing is restarted by hand.
    let mut reader = site.customer(READER);
    within(PATIENCE, "reads are answered", || reader.get("/quota").ok().filter(|reply| reply.status == 200));
    delivered(&mut reader, &ids);
    site.ingress[2].drain().unwrap();
}

/// Calls at the balancer, every one of which is accepted.
fn accepts(site: &super::Deployment, what: &str) -> Vec<String> {
    let mut customer = site.customer(READER);
    let send = |number| accepted(&customer.send(&message(&format!("{what} {number}")), None).unwrap());
    (0..20).map(send).collect()
}

/// Each call that reads is refused as what passes, at each front.
fn refuses_reads(site: &super::Deployment, id: &str) {
    let calls = [
        ("GET", "/reports".to_owned()),
        ("GET", "/quota".to_owned()),
        ("GET", format!("/messages/{id}")),
        ("DELETE", format!("/messages/{id}")),
    ];
    std::thread::scope(|scope| {
        // All at once: each may take its time.
        for (front, (method, path)) in
            [0, 1].into_iter().flat_map(|front| calls.iter().map(move |call| (front, call)))
        {
            scope.spawn(move || {
                let began = Instant::now();
                let reply = at(site, front, READER).call(method, path, &[], None).unwrap();
                assert_eq!(code(&reply), (503, "unavailable".to_owned()), "{method} {path}");
                assert!(reply.header("retry-after").is_some());
                assert!(began.elapsed() < REFUSED, "{method} {path}: after {:?}", began.elapsed());
            });
        }
    });
}
