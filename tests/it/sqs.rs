//! SQS's own troubles: entries that fail, an emulator that is killed or frozen, receivers that rest and are woken, and what
//! other programs see of the queues.

mod harm;
mod rest;
mod seen;
mod whole;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use naru_shared::{
    aws::sqs::{Rhythm, SqsSettings},
    domain::{Envelope, Lane},
    doorbell::{Doorbell, NoDoorbell},
    queue::{Delivery, Outgoing, PublishError, Queue, QueueName, SqsQueue},
};
use naru_tests::aws_proxy::AwsProxy;
use naru_tests::engines::{AwsEmulator, Flavour, sqs_queue, sqs_settings};

/// How long what must come may take.
const SOON: Duration = Duration::from_secs(15);

/// Longer than any of these tests.
const VISIBILITY: Duration = Duration::from_secs(120);

/// The emulator that nobody stops.
async fn shared() -> anyhow::Result<&'static AwsEmulator> {
    tokio::task::spawn_blocking(AwsEmulator::shared).await?
}

/// One to stop and freeze.
async fn own(flavour: Flavour) -> anyhow::Result<AwsEmulator> {
    tokio::task::spawn_blocking(move || AwsEmulator::start(flavour)).await?
}

/// A proxy before an emulator.
async fn proxied(emulator: &AwsEmulator) -> anyhow::Result<AwsProxy> {
    let port = emulator.port();
    tokio::task::spawn_blocking(move || AwsProxy::start(port)).await?
}

fn settings(emulator: &AwsEmulator) -> anyhow::Result<SqsSettings> {
    sqs_settings(&emulator.settings(), VISIBILITY)
}

fn open(settings: &SqsSettings) -> Arc<SqsQueue> {
    with_bell(settings, Arc::new(NoDoorbell), Rhythm::default())
}

fn with_bell(settings: &SqsSettings, bell: Arc<dyn Doorbell>, rhythm: Rhythm) -> Arc<SqsQueue> {
    Arc::new(sqs_queue(settings, bell, rhythm))
}

fn name(lane: Lane) -> anyhow::Result<QueueName> {
    Ok(QueueName { route: "r".parse()?, lane })
}

fn express() -> anyhow::Result<QueueName> {
    name(Lane::Express)
}

fn pack(queue: &QueueName, text: impl Into<Vec<u8>>) -> anyhow::Result<Outgoing> {
    let envelope = Envelope(text.into().into());
    Ok(Outgoing { queue: queue.clone(), group: "acme".parse()?, envelope })
}

/// Publishes packs with these texts together.
async fn publish(
    queue: &dyn Queue,
    at: &QueueName,
    texts: impl IntoIterator<Item = String>,
) -> anyhow::Result<Vec<Result<(), PublishError>>> {
    let packs = texts.into_iter().map(|text| pack(at, text)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(queue.publish(packs).await)
}

async fn publish_one(queue: &dyn Queue, at: &QueueName, text: &str) -> anyhow::Result<()> {
    Ok(publish(queue, at, [text.to_owned()]).await?.remove(0)?)
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.envelope.0).into_owned()
}

async fn one(queue: &dyn Queue, at: &QueueName) -> anyhow::Result<Delivery> {
    let mut got = queue.receive(at, 1, SOON).await?;
    got.pop().ok_or_else(|| anyhow::anyhow!("nothing came within {SOON:?}"))
}

/// Receives and acknowledges until nothing has come for a while.
async fn drain(queue: &dyn Queue, at: &QueueName, quiet: Duration) -> anyhow::Result<Vec<String>> {
    let mut seen = Vec::new();
    loop {
        let got = queue.receive(at, 64, quiet).await?;
        if got.is_empty() {
            return Ok(seen);
        }
        seen.extend(got.iter().map(text));
        let receipts = got.into_iter().map(|delivery| delivery.receipt).collect();
        queue.ack(at, receipts).await.into_iter().collect::<Result<(), _>>()?;
    }
}

fn distinct(texts: &[String]) -> BTreeSet<&str> {
    texts.iter().map(String::as_str).collect()
}
