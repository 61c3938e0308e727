//! `naru webhook test`: one call, now.

use bytes::Bytes;
use naru_shared::domain::{Event, Webhook, kinds};
use naru_workers::{Answered, Caller, Post};
use serde::Serialize;

use crate::{desk::Desk, exit::Failure};

/// What came of it.
#[derive(Serialize)]
struct Told<'a> {
    webhook: String,
    url: &'a str,
    event: &'a str,
    taken: bool,
    status: Option<u16>,
    detail: &'a str,
    milliseconds: u128,
    body: String,
}

pub(super) async fn run(desk: &Desk, webhook: &Webhook) -> anyhow::Result<()> {
    let now = desk.now();
    let data = serde_json::json!({
        "customer": webhook.customer, "environment": webhook.environment, "webhook": webhook.name,
    });
    let (subject, second) = (webhook.id().to_string(), now.as_millis() / 1_000);
    let event = Event::uncounted(format!("{subject}.{second}"), &subject, kinds::WEBHOOK_TEST, now, data);
    let secrets = desk.own_keyring().await?.webhooks().signing(webhook, now);
    let body = Bytes::from(serde_json::to_vec(&event)?);
    let caller = Caller::new(webhook.allow_networks.clone())?;
    let answered = caller.post(&webhook.url, Post { id: &event.id, body, secrets: &secrets, now }).await;
    tell(desk, webhook, &event.id, &answered)?;
    if answered.is_taken() {
        return Ok(());
    }
    Err(Failure::Refused(format!("the target did not take it: {}", answered.detail)).into())
}

fn tell(desk: &Desk, webhook: &Webhook, event: &str, answered: &Answered) -> anyhow::Result<()> {
    let told = Told {
        webhook: webhook.id().to_string(),
        url: &webhook.url,
        event,
        taken: answered.is_taken(),
        status: answered.status,
        detail: &answered.detail,
        milliseconds: answered.took.as_millis(),
        body: String::from_utf8_lossy(&answered.body).into_owned(),
    };
    let mut lines = vec![
        ("webhook", told.webhook.clone()),
        ("to", webhook.url.clone()),
        ("event", event.to_owned()),
        ("answer", told.detail.to_owned()),
        ("after", format!("{} ms", told.milliseconds)),
        ("body", told.body.clone()),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    desk.out.one(&told, &lines)
}
