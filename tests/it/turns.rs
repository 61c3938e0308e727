//! A flood on a slow backend does not hold up the few of others, whatever carries the packs.

use naru_tests::turns::{On, Plan, run};

use crate::stage::alone;

fn holds_on(on: On) {
    let _alone = alone();
    let told = run(on, &Plan::small(), &mut |line| {
        eprintln!("{line}");
        Ok(())
    });
    let told = told.unwrap();
    assert!(told.is_kept(), "{told:?}");
}

#[test]
fn beside_a_flood_on_a_slow_backend_others_wait_no_longer_on_the_embedded_queue() {
    holds_on(On::Sqlite);
}

#[test]
fn beside_a_flood_on_a_slow_backend_others_wait_no_longer_on_rabbitmq() {
    holds_on(On::RabbitMq);
}

#[test]
fn beside_a_flood_on_a_slow_backend_others_wait_no_longer_on_sqs() {
    holds_on(On::Sqs);
}
