//! Every fate that a recipient's last digits can ask for, as documented.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use naru_shared::domain::Timestamp;
use naru_tests::gateway::{Gateway, RouteSpec, Setup};
use naru_workers::BEHAVIOURS;
use serde_json::Value;

use super::to;
use crate::stage::{accept, beside_others, message, reports, used};

/// What the documentation says of a recipient.
struct Fate {
    digits: &'static str,
    end: (&'static str, &'static str),
    attempts: u64,
    /// Not before so many milliseconds after its attempt began.
    least_ms: i64,
}

const fn fate(digits: &'static str, end: (&'static str, &'static str), attempts: u64, least_ms: i64) -> Fate {
    Fate { digits, end, attempts, least_ms }
}

const FATES: [Fate; 9] = [
    fate("00", ("delivered", "ok"), 1, 0),
    fate("90", ("failed", "backend-refused"), 1, 0),
    fate("91", ("delivered", "ok"), 1, 2_000),
    fate("92", ("failed", "uncertain"), 1, 3_000),
    fate("93", ("delivered", "ok"), 3, 0),
    fate("94", ("delivered", "ok"), 1, 2_000),
    fate("95", ("expired", "no-report"), 1, 2_000),
    fate("96", ("failed", "backend-refused"), 1, 2_000),
    fate("97", ("failed", "uncertain"), 1, 0),
];

fn moment(report: &Value, name: &str) -> i64 {
    report[name].as_str().unwrap().parse::<Timestamp>().unwrap().as_millis()
}

#[test]
fn every_fate_that_is_documented_is_what_happens() {
    let _beside = beside_others();
    let route = RouteSpec { attempt_timeout_ms: 3_000, ..RouteSpec::simulator("demo") };
    let config = "[workers]\nreport_window_ms = 1000\n".to_owned();
    let setup = Setup { routes: vec![route], quota: Some(100), config, ..Setup::default() };
    let gateway = Gateway::spawn(&setup).unwrap();
    let mut customer = gateway.customer(0);
    let began = Instant::now();
    let mut asked = HashMap::new();
    for fate in FATES {
        let mut wish = to(&format!("+8210123456{}", fate.digits), message("sms", fate.digits));
        if fate.digits == "95" {
            // The time in which a report is waited for begins when no attempt may begin any more.
            wish["ttl"] = 1.into();
        }
        asked.insert(accept(&mut customer, &wish, None), fate);
    }
    let reports = reports(&mut customer, FATES.len(), Duration::from_secs(30));
    assert_eq!(reports.len(), FATES.len(), "one report of each");
    for report in &reports {
        let fate = asked.remove(report["id"].as_str().unwrap()).unwrap();
        let end = (report["status"].as_str().unwrap(), report["code"].as_str().unwrap());
        assert_eq!((end, report["attempts"].as_u64()), (fate.end, Some(fate.attempts)), "{}", fate.digits);
        assert_eq!(report["charged"], fate.end.0 == "delivered", "{}", fate.digits);
        let took = moment(report, "final_at") - moment(report, "sent_at");
        assert!(took >= fate.least_ms, "{} ended {took} ms after its attempt", fate.digits);
    }
    eprintln!("every fate within {:?}", began.elapsed());
    let delivered = FATES.iter().filter(|fate| fate.end.0 == "delivered").count();
    assert_eq!(used(&gateway), delivered as u64);
    let known = |digits: &str| FATES.iter().any(|fate| fate.digits == digits);
    assert!(BEHAVIOURS.iter().all(|(digits, ..)| known(digits)), "a documented fate is not asked for");
}
