//! A whole process whose queue and topic are on RabbitMQ.

use std::{
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    engines::{RabbitMq, Stop},
    gateway::{Gateway, Setup},
};

use super::own;
use crate::stage::{accept, beside_others, message, reports, until, within};

const PATIENCE: Duration = Duration::from_secs(30);

fn on(broker: &RabbitMq) -> String {
    let namespace = format!("t{:016x}", fastrand::u64(..));
    let engine = format!("kind = \"rabbitmq\"\nurl = \"{}\"\nnamespace = \"{namespace}\"\n", broker.url());
    format!("[queue]\n{engine}[topic]\n{engine}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_on_rabbitmq_refuses_while_it_is_down_and_delivers_when_it_is_back() -> anyhow::Result<()> {
    let mut own = own().await?;
    let broker = own.as_mut().unwrap();
    tokio::task::block_in_place(|| {
        let _beside = beside_others();
        lives_through(broker)
    })
}

fn lives_through(broker: &mut RabbitMq) -> anyhow::Result<()> {
    let subscription = Some("archive".to_owned());
    let gateway = Gateway::spawn(&Setup { subscription, config: on(broker), ..Setup::default() })?;
    let mut customer = gateway.customer(0);
    let mut accepted = vec![accept(&mut customer, &message("sms", "first"), None)];
    until(&mut customer, &accepted[0], &["delivered"], PATIENCE);
    broker.stop(Stop::Kill)?;
    let mut slowest = Duration::ZERO;
    for number in 0..5 {
        let began = Instant::now();
        let reply = customer.send(&message("sms", &format!("down-{number}")), None)?;
        slowest = slowest.max(began.elapsed());
        assert_eq!(reply.status, 503, "{}", reply.json());
    }
    println!("while the broker is down the slowest answer took {slowest:?}");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    // What the ledger holds can be read all the while.
    assert_eq!(customer.get(&format!("/messages/{}", accepted[0]))?.status, 200);
    broker.begin()?;
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
    Ok(())
}
