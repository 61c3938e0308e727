//! Switching a webhook off, and telling of what its owner should know.

use naru_shared::{
    catalog::{CatalogError, Entry, Kind},
    domain::{Event, EventKind, Webhook, WebhookId, WhyDisabled, kinds},
    ledger::LedgerError,
    metrics,
};

use crate::{crew::Crew, patience};

/// How often a change is tried again when somebody else changed the document meanwhile.
const TRIES: usize = 8;

/// Rows that are given up in one transaction.
const TOGETHER: usize = 5_000;

/// The webhook as the catalog has it now, if it is there.
pub(super) async fn look(crew: &Crew, id: &WebhookId) -> Result<Option<Webhook>, CatalogError> {
    let found = crew.deps.catalog.get(Kind::Webhook, &id.to_string()).await?;
    Ok(found.and_then(|entry| if let Entry::Webhook(webhook) = entry { Some(webhook) } else { None }))
}

/// Switches a webhook off, unless it is off or was changed since `version`: then somebody may have mended it.
pub(super) async fn off(crew: &Crew, id: &WebhookId, version: u64, why: WhyDisabled) {
    let mut tries = 0;
    while tries < TRIES {
        tries += 1;
        let webhook = match look(crew, id).await {
            Ok(Some(webhook)) if webhook.is_enabled() && webhook.version <= version => webhook,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(webhook = %id, %error, "a webhook cannot be switched off yet");
                return;
            }
        };
        let disabled = Entry::Webhook(webhook.disabled(why, crew.now()));
        match crew.deps.catalog.put(vec![disabled]).await {
            Ok(_) => {
                metrics::WEBHOOKS_OFF.of(&[("reason", why.as_str())]).increment(1);
                tracing::warn!(webhook = %id, why = why.as_str(), "a webhook is switched off");
                tell(crew, id, kinds::WEBHOOK_DISABLED, serde_json::json!({ "why": why })).await;
                give_up(crew, id).await;
                return;
            }
            Err(CatalogError::Conflict { .. }) => {}
            Err(error) => {
                tracing::warn!(webhook = %id, %error, "a webhook cannot be switched off yet");
                return;
            }
        }
    }
}

/// Gives up all that waits for a webhook that is not called any more. What comes later, or is left, is found when it is due.
pub(super) async fn give_up(crew: &Crew, id: &WebhookId) {
    match give_all_up(crew, id).await {
        Ok(0) => {}
        Ok(gone) => {
            let count = u64::try_from(gone).unwrap_or(u64::MAX);
            metrics::CALLBACKS.of(&[("outcome", "dropped")]).increment(count);
            tracing::warn!(webhook = %id, events = gone, "events of a webhook that is not called any more are given up");
        }
        Err(error) => {
            tracing::warn!(webhook = %id, %error, "events of a webhook wait in vain until they are due")
        }
    }
}

async fn give_all_up(crew: &Crew, id: &WebhookId) -> Result<usize, LedgerError> {
    let mut all = 0;
    loop {
        let gone = patience::ledger(crew.deps.callbacks.give_up(id, TOGETHER)).await?;
        all += gone;
        if gone < TOGETHER {
            return Ok(all);
        }
    }
}

/// Says that events for a webhook are not kept, because too many wait for it already.
pub(super) async fn told_full(crew: &Crew, id: &WebhookId) {
    let bound = crew.config.webhook_waiting;
    tracing::error!(webhook = %id, bound, "as many events wait for a webhook as may: later ones are not kept for it");
    tell(crew, id, kinds::WEBHOOK_FULL, serde_json::json!({ "waiting": bound })).await;
}

/// An event for who operates Naru: `naru.webhook.…`, about `customer/name`.
async fn tell(crew: &Crew, id: &WebhookId, kind: EventKind, mut data: serde_json::Value) {
    if !crew.emit() {
        return;
    }
    data["customer"] = id.customer.as_str().into();
    data["webhook"] = id.name.as_str().into();
    let now = crew.now();
    // Stable where the event is put again; the same does not happen to a webhook twice in a second.
    let (subject, second) = (id.to_string(), now.as_millis() / 1_000);
    let what = kind.name.rsplit('.').next().unwrap_or(kind.name);
    let event = Event::uncounted(format!("{subject}.{what}.{second}"), &subject, kind, now, data);
    if let Err(error) = patience::ledger(crew.deps.outbox.put(vec![event])).await {
        tracing::error!(webhook = %id, %error, "that of a webhook is not told as an event");
    }
}
