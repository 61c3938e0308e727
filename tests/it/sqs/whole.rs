//! A whole process whose queue is on SQS.

use std::{thread, time::Duration};

use naru_tests::{
    engines::{AwsEmulator, Flavour, REGION, Redis, Stop},
    gateway::{Gateway, Setup},
};

use crate::stage::{accept, beside_others, message, reports, until, within};

const PATIENCE: Duration = Duration::from_secs(40);

fn on(emulator: &AwsEmulator, redis: &Redis) -> String {
    format!(
        "[queue]\nkind = \"sqs\"\nregion = {REGION:?}\nendpoint = {:?}\ncreate = true\n\
         doorbell = {{ url = {:?} }}\n",
        emulator.endpoint(),
        redis.url()
    )
}

#[test]
fn a_gateway_on_sqs_refuses_while_it_is_down_and_delivers_when_it_is_back() {
    let _beside = beside_others();
    let mut emulator = AwsEmulator::start(Flavour::FauxqsOnDisk).unwrap();
    let redis = Redis::start().unwrap();
    let mut gateway = Gateway::prepare(&Setup { config: on(&emulator, &redis), ..Setup::default() }).unwrap();
    gateway.start(&emulator.environment()).unwrap();
    let mut customer = gateway.customer(0);
    let mut accepted: Vec<String> =
        (0..20).map(|i| accept(&mut customer, &message("sms", &format!("first-{i}")), None)).collect();
    for id in &accepted {
        until(&mut customer, id, &["delivered"], PATIENCE);
    }
    emulator.stop(Stop::Kill).unwrap();
    for number in 0..3 {
        let reply = customer.send(&message("sms", &format!("down-{number}")), None).unwrap();
        assert_eq!(reply.status, 503, "{}", reply.json());
    }
    assert_eq!(customer.get(&format!("/messages/{}", accepted[0])).unwrap().status, 200);
    emulator.begin().unwrap();
    within(PATIENCE, "it accepts again", || {
        let reply = customer.send(&message("sms", "again"), None).ok()?;
        thread::sleep(Duration::from_millis(50));
        (reply.status == 202).then(|| accepted.push(reply.json()["id"].as_str().unwrap().to_owned()))
    });
    accepted.extend((0..20).map(|i| accept(&mut customer, &message("sms", &format!("after-{i}")), None)));
    for id in &accepted {
        until(&mut customer, id, &["delivered"], PATIENCE);
    }
    let told = reports(&mut customer, accepted.len(), PATIENCE);
    assert!(accepted.iter().all(|id| told.iter().any(|report| report["id"] == *id.as_str())));
    gateway.drain().unwrap();
}
