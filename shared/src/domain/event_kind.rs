//! The kinds of events that there are: who hears of them, and the shape of their data. Whatever is published has its kind here.

/// Who hears of a kind of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The customer's webhooks, and every subscription.
    Customer,
    /// Subscriptions alone: it is for who operates Naru.
    Operator,
    /// One webhook, called by hand; no subscription.
    Webhook,
}

impl Audience {
    /// The word used in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
            Self::Webhook => "webhook",
        }
    }
}

/// The shape of an event's data: a schema of the AsyncAPI document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataShape {
    /// A report, and whose it is.
    Report,
    /// A message that was not taken because its key came before with another content.
    Conflict,
    /// A message that waits for a person.
    Held,
    /// What a person decided about such a message.
    Resolved,
    /// A rule that stops messages, and who did what about it.
    Stop,
    /// Messages that were sent again, and by whom.
    Redriven,
    /// How much of a recipient was removed, and by whom; not whom.
    Erased,
    /// How many recipients opted out, or in again, and who wrote it down.
    OptOuts,
    /// A document of the catalog, and who wrote it.
    Act,
    /// A report of which no message is known.
    Unmatched,
    /// An envelope that was set aside.
    Quarantined,
    /// An envelope that waits for a newer program.
    Newer,
    /// What a person did with an envelope that had been set aside.
    Envelope,
    /// A route.
    Route,
    /// A record of acts, how far it had come, signed.
    Anchor,
    /// A loop of the workers.
    Worker,
    /// An alarm, what it is about, and what was seen.
    Alarm,
    /// A webhook that is called no more.
    WebhookDisabled,
    /// A webhook for which too much waits.
    WebhookFull,
    /// A webhook that is tried.
    WebhookTest,
}

impl DataShape {
    /// Its name in the document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "ReportData",
            Self::Conflict => "ConflictData",
            Self::Held => "HeldData",
            Self::Resolved => "ResolvedData",
            Self::Stop => "StopData",
            Self::Redriven => "RedrivenData",
            Self::Erased => "ErasedData",
            Self::OptOuts => "OptOutsData",
            Self::Act => "ActData",
            Self::Unmatched => "UnmatchedData",
            Self::Quarantined => "QuarantinedData",
            Self::Newer => "NewerData",
            Self::Envelope => "EnvelopeData",
            Self::Route => "RouteData",
            Self::Anchor => "AnchorData",
            Self::Worker => "WorkerData",
            Self::Alarm => "AlarmData",
            Self::WebhookDisabled => "WebhookDisabledData",
            Self::WebhookFull => "WebhookFullData",
            Self::WebhookTest => "WebhookTestData",
        }
    }
}

/// One kind of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    /// Its `type`.
    pub name: &'static str,
    /// Who hears of it.
    pub audience: Audience,
    /// The shape of its data.
    pub data: DataShape,
    /// What happened.
    pub meaning: &'static str,
}

impl From<EventKind> for String {
    fn from(kind: EventKind) -> Self {
        kind.name.to_owned()
    }
}

macro_rules! kinds {
    ($($const:ident = $name:literal, $audience:ident, $data:ident, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $const: EventKind = EventKind {
            name: $name,
            audience: Audience::$audience,
            data: DataShape::$data,
            meaning: $meaning,
        };)*

        /// Every kind of events.
        pub const ALL: &[EventKind] = &[$($const),*];
    };
}

/// The kinds themselves.
pub mod kinds {
    use super::{Audience, DataShape, EventKind};
    use crate::domain::State;

    kinds! {
        DELIVERED = "naru.message.delivered", Customer, Report, "A message was delivered";
        FAILED = "naru.message.failed", Customer, Report, "A message was not delivered and is not tried again";
        EXPIRED = "naru.message.expired", Customer, Report, "A message's time was over before it was delivered";
        REJECTED = "naru.message.rejected", Customer, Report, "A message that was accepted is refused: by its quota, its customer, its recipient, its sender or for want of a route";
        CANCELLED = "naru.message.cancelled", Customer, Report, "A message was taken back: by its customer, or by an operator who stopped it";
        CONFLICT = "naru.message.idempotency-conflict", Customer, Conflict, "A key came again with another content: that message is not sent";
        HELD = "naru.uncertain.held", Operator, Held, "It cannot be known whether a message was sent, and it waits for a person";
        RESOLVED = "naru.uncertain.resolved", Operator, Resolved, "A person decided about a message that waited";
        STOP_ORDERED = "naru.stop.ordered", Operator, Stop, "A person stopped messages";
        STOP_UNDONE = "naru.stop.undone", Operator, Stop, "A person let messages go that had been stopped";
        STOP_COMMITTED = "naru.stop.committed", Operator, Stop, "A person cancelled messages that had been stopped";
        DEAD_REDRIVEN = "naru.dead.redriven", Operator, Redriven, "A person sent messages again that had failed or expired";
        RECIPIENT_ERASED = "naru.recipient.erased", Operator, Erased, "A person removed what was known of a recipient";
        OPT_OUTS = "naru.optouts.changed", Operator, OptOuts, "Recipients were put on a list of those who want no messages, or taken off it";
        CUSTOMER_CREATED = "naru.customer.created", Operator, Act, "A customer was made";
        CUSTOMER_CHANGED = "naru.customer.changed", Operator, Act, "A customer was changed, suspended or resumed";
        CREDENTIAL_CREATED = "naru.credential.created", Operator, Act, "A credential was made";
        CREDENTIAL_CHANGED = "naru.credential.changed", Operator, Act, "A credential was changed";
        CREDENTIAL_REVOKED = "naru.credential.revoked", Operator, Act, "A credential was revoked";
        ROUTE_CREATED = "naru.route.created", Operator, Act, "A route was made";
        ROUTE_CHANGED = "naru.route.changed", Operator, Act, "A route was changed, paused or resumed";
        ASSIGNMENT_CREATED = "naru.assignment.created", Operator, Act, "A customer's channel was given a route";
        ASSIGNMENT_CHANGED = "naru.assignment.changed", Operator, Act, "A customer's channel was given another route";
        QUOTA_CREATED = "naru.quota.created", Operator, Act, "A limit was set";
        QUOTA_CHANGED = "naru.quota.changed", Operator, Act, "A limit was changed";
        SUBSCRIPTION_CREATED = "naru.subscription.created", Operator, Act, "Somebody listens, or listens in another way";
        SUBSCRIPTION_ENDED = "naru.subscription.ended", Operator, Act, "Somebody listens no more";
        WEBHOOK_CREATED = "naru.webhook.created", Operator, Act, "A webhook was made";
        WEBHOOK_CHANGED = "naru.webhook.changed", Operator, Act, "An operator changed a webhook, rotated its secret, or switched it on or off";
        WEBHOOK_REMOVED = "naru.webhook.removed", Operator, Act, "A webhook was removed";
        WEBHOOK_DISABLED = "naru.webhook.disabled", Operator, WebhookDisabled, "A webhook was switched off, because it answered 410 or failed for too long";
        WEBHOOK_FULL = "naru.webhook.full", Operator, WebhookFull, "As many events wait for a webhook as may: later ones are not kept for it";
        WEBHOOK_TEST = "naru.webhook.test", Webhook, WebhookTest, "`naru webhook test` calls a webhook";
        UNMATCHED = "naru.report.unmatched", Operator, Unmatched, "A provider reported what belongs to no message that is known, and nothing came to be known of it in time";
        QUARANTINED = "naru.envelope.quarantined", Operator, Quarantined, "An envelope could not be opened and was set aside";
        NEWER = "naru.envelope.newer", Operator, Newer, "An envelope of a newer release is left for newer workers";
        REDRIVEN = "naru.envelope.redriven", Operator, Envelope, "A person put an envelope back that had been set aside";
        DISCARDED = "naru.envelope.discarded", Operator, Envelope, "A person removed an envelope that cannot be opened";
        RESTING = "naru.route.resting", Operator, Route, "A worker's attempts on a route pause, because its backend takes nothing";
        RECOVERED = "naru.route.recovered", Operator, Route, "The backend of a route that rested takes messages again";
        ALARM_RAISED = "naru.alarm.raised", Operator, Alarm, "What a rule of alarms holds has come: messages wait too long, fail too often, or do not come";
        ALARM_CLEARED = "naru.alarm.cleared", Operator, Alarm, "What an alarm was raised for is well again, or its rule is gone";
        ALARM_CREATED = "naru.alarm.created", Operator, Act, "A rule of alarms was set";
        ALARM_CHANGED = "naru.alarm.changed", Operator, Act, "A rule of alarms was changed, or switched on or off";
        ANCHORED = "naru.audit.anchored", Operator, Anchor, "The record of acts has come so far: its head, signed, to be kept elsewhere";
        REPLACED = "naru.worker.replaced", Operator, Worker, "A loop of the workers panicked or stood still and is begun anew";
    }

    /// The kind that tells of a report with this state; nothing for a state that is not final.
    #[must_use]
    pub const fn of_report(state: State) -> Option<EventKind> {
        match state {
            State::Delivered => Some(DELIVERED),
            State::Failed => Some(FAILED),
            State::Expired => Some(EXPIRED),
            State::Rejected => Some(REJECTED),
            State::Cancelled => Some(CANCELLED),
            State::Queued
            | State::Ready
            | State::Scheduled
            | State::Sending
            | State::Retrying
            | State::Held
            | State::Stopped
            | State::Sent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Audience, kinds};
    use crate::domain::{MessageKind, State};

    #[test]
    fn customers_hear_of_their_messages_and_of_nothing_else() {
        for kind in kinds::ALL {
            let reaches_webhooks = MessageKind::is_of_message(kind.name);
            assert_eq!(reaches_webhooks, kind.audience == Audience::Customer, "{}", kind.name);
        }
    }

    #[test]
    fn kinds_differ() {
        let names: BTreeSet<_> = kinds::ALL.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), kinds::ALL.len());
    }

    #[test]
    fn every_final_state_has_a_kind_that_ends_with_its_word() {
        for state in State::ALL {
            let kind = kinds::of_report(state).map(|kind| kind.name.to_owned());
            let expected = state.is_final().then(|| format!("naru.message.{}", state.as_str()));
            assert_eq!(kind, expected);
        }
    }
}
