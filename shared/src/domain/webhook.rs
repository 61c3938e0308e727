//! Where a customer wants to be called back.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{CustomerId, Environment, IpNetwork, Timestamp, WebhookName};

/// What begins the kind of every event about a message.
const MESSAGE: &str = "naru.message.";

/// The longest kind.
const KIND_BYTES: usize = 64;

/// A kind of events about messages: `naru.message.delivered`; parsed with or without `naru.message.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageKind(String);

/// Text is not a kind of events about messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of events about messages, such as `delivered` or `naru.message.delivered`")]
pub struct InvalidKind(String);

impl MessageKind {
    /// The whole kind.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an event of this kind is about a message.
    #[must_use]
    pub fn is_of_message(kind: &str) -> bool {
        kind.starts_with(MESSAGE)
    }
}

impl FromStr for MessageKind {
    type Err = InvalidKind;
    fn from_str(text: &str) -> Result<Self, InvalidKind> {
        let word = text.strip_prefix(MESSAGE).unwrap_or(text);
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if word.is_empty() || word.len() > KIND_BYTES || !word.bytes().all(plain) {
            return Err(InvalidKind(text.to_owned()));
        }
        Ok(Self(format!("{MESSAGE}{word}")))
    }
}

impl TryFrom<String> for MessageKind {
    type Error = InvalidKind;
    fn try_from(text: String) -> Result<Self, InvalidKind> {
        text.parse()
    }
}

impl From<MessageKind> for String {
    fn from(kind: MessageKind) -> Self {
        kind.0
    }
}

/// Names a webhook among all; written `customer/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookId {
    /// Whose.
    pub customer: CustomerId,
    /// Which of the customer's.
    pub name: WebhookName,
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.customer, self.name)
    }
}

impl FromStr for WebhookId {
    type Err = super::InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (customer, name) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self { customer: customer.parse()?, name: name.parse()? })
    }
}

/// Whether a webhook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookState {
    /// It is.
    Enabled,
    /// Not until somebody enables it; events of that time are not kept for it.
    Disabled,
    /// Never again; the document stays, so that its secrets are never made a second time.
    Removed,
}

impl WebhookState {
    /// The word used in tables and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

/// Why a webhook is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhyDisabled {
    /// A person said so.
    Operator,
    /// Its target answered `410`.
    Gone,
    /// For five days every call has failed.
    Failing,
}

impl WhyDisabled {
    /// The word used in tables and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// A URL of a customer that gets the events of that customer's messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Unique among those of its customer.
    pub name: WebhookName,
    /// Whose messages.
    pub customer: CustomerId,
    /// Live messages, or those of the sandbox.
    pub environment: Environment,
    /// Where events are posted.
    pub url: String,
    /// Which events; none named: those of every kind about messages.
    #[serde(default)]
    pub kinds: Vec<MessageKind>,
    /// Which of its secrets signs; grows with every rotation and is never used twice.
    pub generation: u32,
    /// Until when the secret before signs as well.
    #[serde(default)]
    pub older_until: Option<Timestamp>,
    /// Whether it is called.
    pub state: WebhookState,
    /// Why it is not, if so.
    #[serde(default)]
    pub why: Option<WhyDisabled>,
    /// Since when `state` is what it is.
    pub since: Timestamp,
    /// Networks that may be called although they are private; the operator's exception.
    #[serde(default)]
    pub allow_networks: Vec<IpNetwork>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with every change of this row.
    pub version: u64,
}

impl Webhook {
    /// Its name among all.
    #[must_use]
    pub fn id(&self) -> WebhookId {
        WebhookId { customer: self.customer.clone(), name: self.name.clone() }
    }

    /// Whether it is called.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.state == WebhookState::Enabled
    }

    /// Whether it wants events of this kind.
    #[must_use]
    pub fn wants(&self, kind: &str) -> bool {
        MessageKind::is_of_message(kind)
            && (self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted.as_str() == kind))
    }

    /// The generations that sign at a moment, the newest first.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> Vec<u32> {
        let older =
            self.older_until.filter(|until| now < *until).and_then(|_| self.generation.checked_sub(1));
        std::iter::once(self.generation).chain(older).collect()
    }

    /// The same, no longer called.
    #[must_use]
    pub fn disabled(mut self, why: WhyDisabled, now: Timestamp) -> Self {
        (self.state, self.why, self.since) = (WebhookState::Disabled, Some(why), now);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn webhook() -> Webhook {
        let at = Timestamp::from_millis(1_000);
        Webhook {
            name: "main".parse().unwrap(),
            customer: "acme".parse().unwrap(),
            environment: Environment::Live,
            url: "https://acme.example/".to_owned(),
            kinds: Vec::new(),
            generation: 2,
            older_until: Some(Timestamp::from_millis(5_000)),
            state: WebhookState::Enabled,
            why: None,
            since: at,
            allow_networks: Vec::new(),
            created_at: at,
            version: 0,
        }
    }

    #[test]
    fn two_generations_sign_until_the_older_is_over() {
        let webhook = webhook();
        assert_eq!(webhook.signing(Timestamp::from_millis(4_999)), [2, 1]);
        assert_eq!(webhook.signing(Timestamp::from_millis(5_000)), [2]);
    }

    #[test]
    fn without_kinds_everything_about_messages_is_wanted_and_nothing_else() {
        let mut webhook = webhook();
        assert!(webhook.wants("naru.message.delivered") && webhook.wants("naru.message.failed"));
        assert!(!webhook.wants("naru.webhook.disabled") && !webhook.wants("naru.messages"));
        webhook.kinds = vec!["failed".parse().unwrap()];
        assert!(webhook.wants("naru.message.failed") && !webhook.wants("naru.message.delivered"));
    }

    #[test]
    fn a_kind_is_parsed_with_and_without_its_beginning() {
        let kind: MessageKind = "delivered".parse().unwrap();
        assert_eq!(kind, "naru.message.delivered".parse().unwrap());
        for wrong in ["", "naru.message.", "Delivered", "a b", &"a".repeat(65), "naru.webhook.x"] {
            assert!(wrong.parse::<MessageKind>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = webhook().id();
        assert_eq!(id.to_string(), "acme/main");
        assert_eq!(id.to_string().parse::<WebhookId>().unwrap(), id);
        assert!("acme".parse::<WebhookId>().is_err());
    }
}
