//! Raw RabbitMQ: one quorum queue, persistent messages, so many published and not yet confirmed, and nothing else.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};

/// The queue; it is deleted afterwards.
const QUEUE: &str = "raw";

/// Messages confirmed in a second.
///
/// # Errors
/// If the broker cannot be reached, or does not take every message.
#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
pub fn confirmed_per_second(
    url: &str,
    body: &[u8],
    in_flight: usize,
    duration: Duration,
) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let mut quorum = FieldTable::default();
        quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(QUEUE.into(), options, quorum).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut pending = FuturesUnordered::new();
        let mut confirmed = 0_u64;
        let began = Instant::now();
        while began.elapsed() < duration {
            while pending.len() < in_flight {
                pending.push(publish(&channel, body));
            }
            let Some(first) = pending.next().await else { break };
            first?;
            confirmed += 1;
        }
        let rate = confirmed as f64 / began.elapsed().as_secs_f64();
        while let Some(answer) = pending.next().await {
            answer?;
        }
        channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
        connection.close(200, "done".into()).await?;
        Ok(rate)
    })
}

async fn publish(channel: &Channel, body: &[u8]) -> anyhow::Result<()> {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let answer = channel.basic_publish("".into(), QUEUE.into(), options, body, persistent).await?.await?;
    ensure!(answer == Confirmation::Ack(None), "not taken: {answer:?}");
    Ok(())
}
