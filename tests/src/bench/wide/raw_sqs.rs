//! An emulator of SQS by itself: what it takes, and what it hands out and forgets, by the SDK and nothing of Naru's.

use std::time::{Duration, Instant};

use anyhow::Context;
use aws_sdk_sqs::{
    Client,
    types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry},
};
use futures_util::future::try_join_all;
use naru_shared::aws::{Aws, AwsSettings};

use crate::engines::REGION;

/// Callers at once.
const CALLERS: usize = 8;

/// Messages of a batch: as many as SQS takes.
const BATCH: usize = 10;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Messages sent in a second.
    pub sent: f64,
    /// Messages received and deleted in a second.
    pub received: f64,
}

/// Sends for so long in batches of ten from several callers, then receives and deletes for as long.
///
/// # Errors
/// If the emulator refuses anything.
pub async fn rates(endpoint: &str, bytes: usize, span: Duration) -> anyhow::Result<Rates> {
    let settings = AwsSettings {
        region: Some(REGION.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        ..AwsSettings::default()
    };
    let client = Client::new(Aws::new(settings).config().await);
    let made = client.create_queue().queue_name(format!("raw-{}", fastrand::u32(..))).send().await?;
    let url = made.queue_url().context("a queue has a URL")?.to_owned();
    let body = "x".repeat(bytes);
    let sent = try_join_all((0..CALLERS).map(|_| send(&client, &url, &body, span))).await?;
    let sent = per_second(sent.iter().sum(), span);
    let received = try_join_all((0..CALLERS).map(|_| receive(&client, &url, span))).await?;
    let received = per_second(received.iter().sum(), span);
    client.delete_queue().queue_url(&url).send().await?;
    Ok(Rates { sent, received })
}

fn per_second(count: usize, span: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
    let count = count as f64;
    count / span.as_secs_f64()
}

async fn send(client: &Client, url: &str, body: &str, span: Duration) -> anyhow::Result<usize> {
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < span {
        let entries = (0..BATCH)
            .map(|n| SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(body).build())
            .collect::<Result<Vec<_>, _>>()?;
        let answer = client.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await?;
        sent += answer.successful().len();
    }
    Ok(sent)
}

async fn receive(client: &Client, url: &str, span: Duration) -> anyhow::Result<usize> {
    let (began, mut received) = (Instant::now(), 0);
    while began.elapsed() < span {
        let answer = client.receive_message().queue_url(url).max_number_of_messages(10).send().await?;
        let handles = answer.messages().iter().filter_map(|message| message.receipt_handle());
        let entries = handles
            .enumerate()
            .map(|(n, handle)| {
                DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(handle).build()
            })
            .collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            break;
        }
        let answer = client.delete_message_batch().queue_url(url).set_entries(Some(entries)).send().await?;
        received += answer.successful().len();
    }
    Ok(received)
}
