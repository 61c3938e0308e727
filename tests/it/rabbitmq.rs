//! RabbitMQ's own troubles: a broker that is killed, late, frozen, short of memory, or that throws messages out; what an
//! idle queue costs; what lies beside the broker's queues.

mod first_use;
mod harm;
mod idle;
mod lent;
mod tls;
mod whole;

use std::{collections::BTreeSet, time::Duration};

use lapin::{Channel, Connection, ConnectionProperties};
use naru_shared::{
    domain::{Envelope, Lane},
    queue::{Delivery, Outgoing, PublishError, Queue, QueueName, Receipt},
};
use naru_tests::engines::{OnRabbitMq, RabbitMq};
use tokio::sync::{Mutex, MutexGuard};

/// How long what must come may take.
const SOON: Duration = Duration::from_secs(20);

/// How long an event stays in hand; nothing here waits for it.
const VISIBILITY: Duration = Duration::from_secs(60);

/// The broker that tests stop, freeze and starve: one at a time.
async fn own() -> anyhow::Result<MutexGuard<'static, Option<RabbitMq>>> {
    static OWN: Mutex<Option<RabbitMq>> = Mutex::const_new(None);
    let mut own = OWN.lock().await;
    if own.is_none() {
        *own = Some(tokio::task::spawn_blocking(RabbitMq::start_with_tls).await??);
    }
    Ok(own)
}

/// Both ports on the broker that nobody stops.
async fn shared() -> anyhow::Result<OnRabbitMq> {
    let broker = tokio::task::spawn_blocking(RabbitMq::shared).await??;
    OnRabbitMq::fresh(broker.url(), VISIBILITY)
}

fn name(route: &str) -> anyhow::Result<QueueName> {
    Ok(QueueName { route: route.parse()?, lane: Lane::Express })
}

fn pack(queue: &QueueName, text: impl Into<Vec<u8>>) -> anyhow::Result<Outgoing> {
    let envelope = Envelope(text.into().into());
    Ok(Outgoing { queue: queue.clone(), group: "acme".parse()?, envelope })
}

async fn publish_one(queue: &dyn Queue, at: &QueueName, text: &str) -> Result<(), PublishError> {
    let pack = pack(at, text).map_err(|error| PublishError::Refused(error.into()))?;
    let mut results = queue.publish(vec![pack]).await;
    assert_eq!(results.len(), 1);
    results.remove(0)
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.envelope.0).into_owned()
}

async fn one(queue: &dyn Queue, at: &QueueName) -> anyhow::Result<Delivery> {
    let mut got = queue.receive(at, 1, SOON).await?;
    got.pop().ok_or_else(|| anyhow::anyhow!("nothing came within {SOON:?}"))
}

async fn ack(queue: &dyn Queue, at: &QueueName, receipts: Vec<Receipt>) -> anyhow::Result<()> {
    Ok(queue.ack(at, receipts).await.into_iter().collect::<Result<(), _>>()?)
}

/// Receives and acknowledges until nothing has come for a while; an engine that is away is waited for.
async fn drain(queue: &dyn Queue, at: &QueueName, quiet: Duration) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    loop {
        match queue.receive(at, 64, quiet).await {
            Ok(got) if got.is_empty() => return seen,
            Ok(got) => {
                seen.extend(got.iter().map(text));
                // What is not acknowledged comes again, and is seen again.
                drop(queue.ack(at, got.into_iter().map(|delivery| delivery.receipt).collect()).await);
            }
            Err(_away) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Tries until it succeeds, for at most [`SOON`]; how long it took.
async fn eventually<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<(T, Duration)> {
    let began = tokio::time::Instant::now();
    loop {
        match ask().await {
            Ok(value) => return Ok((value, began.elapsed())),
            Err(error) if began.elapsed() > SOON => {
                anyhow::bail!("it did not happen within {SOON:?}: {error}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Another program's channel to a broker.
async fn stranger(url: &str) -> anyhow::Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

/// As the broker knows a lane's queue.
fn broker_name(on: &OnRabbitMq, at: &QueueName) -> String {
    format!("naru.{}.{}.{}", on.settings().namespace, at.route, at.lane.as_str())
}
