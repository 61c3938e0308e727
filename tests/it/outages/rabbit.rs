//! RabbitMQ is away.

use std::time::{Duration, Instant};

use naru_tests::engines::Stop;

use super::{
    PATIENCE, accepted, accepted_in_the_end, at, code, delivered,
    loan::{borrow, customers::BROKER},
    message,
};
use crate::stage::within;

/// How long a refusal may take where nobody listens at the broker's port.
const REFUSED: Duration = Duration::from_secs(3);

#[test]
fn without_rabbitmq_calls_are_503_and_it_is_found_again_also_by_who_started_before_it() {
    let mut site = borrow();
    let pids: Vec<u32> = site.members().filter_map(|member| member.pid().ok()).collect();
    let mut ids = vec![accepted(&at(&site, 0, BROKER).send(&message("before"), None).unwrap())];
    site.carrier.stop(Stop::Kill).unwrap();
    refuses(&site, &[0, 1], &ids[0]);
    site.carrier.begin().unwrap();
    let began = Instant::now();
    for front in [0, 1] {
        ids.push(accepted_in_the_end(&mut at(&site, front, BROKER), &format!("back {front}")));
    }
    println!("both fronts accept {:?} after the broker was back", began.elapsed());
    // Nothing was restarted by hand.
    assert_eq!(site.members().filter_map(|member| member.pid().ok()).collect::<Vec<_>>(), pids);

    // A front and a worker that begin before the broker does.
    site.carrier.stop(Stop::Orderly).unwrap();
    site.workers[0].kill().unwrap();
    site.workers[0].launch(&[]).unwrap();
    site.ingress[2].launch(&[]).unwrap();
    within(PATIENCE, "it takes calls", || at(&site, 2, BROKER).send(&message("early"), None).ok());
    refuses(&site, &[2], &ids[0]);
    assert!(!site.ingress[2].is_ready() && !site.workers[0].is_ready(), "nobody should be sent there");
    site.carrier.begin().unwrap();
    site.ingress[2].await_ready().unwrap();
    site.workers[0].await_ready().unwrap();
    ids.push(accepted_in_the_end(&mut at(&site, 2, BROKER), "late"));
    delivered(&mut at(&site, 2, BROKER), &ids);
    site.ingress[2].drain().unwrap();
}

/// Accepts are refused as what passes, with no effect; reads are answered.
fn refuses(site: &super::Deployment, fronts: &[usize], id: &str) {
    for front in fronts {
        let mut customer = at(site, *front, BROKER);
        // The connection may just be found broken: a publish that has begun is in doubt.
        within(PATIENCE, "it knows", || {
            let (status, code) = code(&customer.send(&message("doubtful"), Some("doubtful")).unwrap());
            assert_eq!(status, 503, "{code}");
            (code == "queue-unavailable").then_some(())
        });
        for number in 0..5 {
            let began = Instant::now();
            let reply = customer.send(&message(&format!("refused {number}")), None).unwrap();
            assert_eq!(code(&reply), (503, "queue-unavailable".to_owned()));
            assert!(reply.header("retry-after").is_some());
            assert!(began.elapsed() < REFUSED, "after {:?}", began.elapsed());
        }
        assert_eq!(customer.get(&format!("/messages/{id}")).unwrap().status, 200);
        assert_eq!(customer.get("/quota").unwrap().status, 200);
    }
}
