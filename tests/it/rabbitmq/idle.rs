//! What a queue costs on which nothing lies.

use std::{sync::Arc, time::Duration};

use naru_shared::rabbitmq::RabbitMqSettings;
use naru_tests::{
    engines::{OnRabbitMq, RabbitMq},
    idle::CountingWire,
};

use super::{VISIBILITY, ack, name, one, publish_one};

use crate::stage::beside_others;

const WATCHED: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_queues_cost_heartbeats_and_nothing_else() -> anyhow::Result<()> {
    let _beside = beside_others();
    let broker = tokio::task::spawn_blocking(RabbitMq::shared).await??;
    let wire = CountingWire::start(broker.port())?;
    let settings = RabbitMqSettings {
        url: wire.before(&broker.url(), broker.port())?,
        namespace: format!("t{:016x}", fastrand::u64(..)).parse()?,
        ..RabbitMqSettings::default()
    };
    let on = OnRabbitMq::open(settings, VISIBILITY)?;
    // Six lanes, each with somebody who receives as intake does: again as soon as an answer is empty.
    let receivers = (0..6).map(|i| {
        let queue = Arc::clone(&on.queue);
        tokio::spawn(async move {
            let at = name(&format!("r{i}"))?;
            publish_one(&*queue, &at, "a").await?;
            let got = one(&*queue, &at).await?;
            ack(&*queue, &at, vec![got.receipt]).await?;
            loop {
                assert!(queue.receive(&at, 64, Duration::from_secs(3)).await?.is_empty());
            }
            #[expect(unreachable_code, reason = "says what the task answers")]
            anyhow::Ok(())
        })
    });
    let receivers: Vec<_> = receivers.collect();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = wire.frames();
    tokio::time::sleep(WATCHED).await;
    let after = wire.frames();
    for receiver in &receivers {
        assert!(!receiver.is_finished());
        receiver.abort();
    }
    let (heartbeats, others) = (after.0 - before.0, after.1 - before.1);
    println!("6 idle lanes in {WATCHED:?}: {heartbeats} heartbeats, {others} other frames; {after:?} in all");
    assert_eq!(others, 0);
    // Two connections, two sides, each every five seconds.
    assert!(heartbeats <= 16, "{heartbeats}");
    assert!(before.1 > 0, "frames were counted at all");
    Ok(())
}
