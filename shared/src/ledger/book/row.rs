//! A row of the ledger as the domain's types.

use crate::{
    domain::{
        Account, ChannelName, Code, Content, Day, Environment, Fingerprint, Key, Lane, Message, MessageView,
        RouteName, State, Timestamp, Units,
    },
    ledger::{RowRef, Work},
};

/// The longest detail that is kept, in bytes.
pub(super) const DETAIL: usize = 1_024;

/// The longest id of a backend that is kept, in bytes.
pub(in crate::ledger) const BACKEND_ID: usize = 256;

/// What became of a message's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Charge {
    None = 0,
    Reserved = 1,
    Captured = 2,
    Released = 3,
    /// Released after its period had closed.
    Credited = 4,
}

impl Charge {
    /// As stores keep it.
    pub(in crate::ledger) const fn as_u8(self) -> u8 {
        self as u8
    }

    /// As stores give it back.
    pub(in crate::ledger) fn from_u8(value: u8) -> Option<Self> {
        [Self::None, Self::Reserved, Self::Captured, Self::Released, Self::Credited]
            .into_iter()
            .find(|charge| charge.as_u8() == value)
    }
}

/// A row without its content. What can change comes after what cannot.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Row {
    pub(in crate::ledger) at: RowRef,
    pub(in crate::ledger) account: Account,
    pub(in crate::ledger) key: Option<Key>,
    pub(in crate::ledger) channel: ChannelName,
    pub(in crate::ledger) recipient: String,
    pub(in crate::ledger) reference: Option<String>,
    pub(in crate::ledger) route: RouteName,
    pub(in crate::ledger) lane: Lane,
    pub(in crate::ledger) units: u32,
    pub(in crate::ledger) day: Day,
    pub(in crate::ledger) accepted_at: Timestamp,
    pub(in crate::ledger) send_at: Option<Timestamp>,
    pub(in crate::ledger) state: State,
    pub(in crate::ledger) code: Option<Code>,
    pub(in crate::ledger) detail: Option<String>,
    pub(in crate::ledger) charge: Charge,
    pub(in crate::ledger) attempt: u32,
    /// Who holds the current attempt, or whose settlement of it brought the row where it is.
    pub(in crate::ledger) incarnation: Option<i64>,
    pub(in crate::ledger) possible_duplicate: bool,
    pub(in crate::ledger) backend_id: Option<String>,
    /// When to look at it again, in UTC milliseconds.
    pub(in crate::ledger) wake_at: Option<i64>,
    pub(in crate::ledger) expires_at: Timestamp,
    pub(in crate::ledger) sent_at: Option<Timestamp>,
    pub(in crate::ledger) final_at: Option<Timestamp>,
    pub(in crate::ledger) revision: u32,
    /// From when the report of this revision may be handed out. Not read from a store: set by an end.
    pub(in crate::ledger) report_at: Option<Timestamp>,
}

impl Row {
    pub(in crate::ledger) fn view(self) -> MessageView {
        let detail = self.detail.or_else(|| self.code.map(|code| code.sentence().to_owned()));
        MessageView {
            id: self.at.id,
            revision: self.revision,
            reference: self.reference,
            key: self.key,
            channel: self.channel,
            recipient: self.recipient,
            status: self.state,
            code: self.code,
            detail,
            units: Units::new(self.units).unwrap_or(Units::ONE),
            charged: self.charge == Charge::Captured,
            attempts: self.attempt,
            route: self.route,
            lane: self.lane,
            accepted_at: self.accepted_at,
            send_at: self.send_at,
            sent_at: self.sent_at,
            final_at: self.final_at,
        }
    }

    /// How it stands, boxed as the port wants it.
    pub(in crate::ledger) fn boxed(self) -> Box<MessageView> {
        Box::new(self.view())
    }

    /// The message as far as the row knows it: without its text.
    pub(in crate::ledger) fn remnant(&self) -> Message {
        let content = Content {
            channel: self.channel.clone(),
            recipient: self.recipient.clone(),
            sender: None,
            subject: None,
            body: String::new(),
            attachments: Vec::new(),
            data: serde_json::Map::new(),
            reference: self.reference.clone(),
            send_at: self.send_at,
            ttl: None,
            simulate: None,
        };
        Message {
            id: self.at.id,
            key: self.key.clone(),
            fingerprint: Fingerprint::of(&content, self.lane),
            units: Units::new(self.units).unwrap_or(Units::ONE),
            accepted_at: self.accepted_at,
            traceparent: None,
            again: None,
            content,
        }
    }

    pub(in crate::ledger) fn into_work(self, message: Message) -> Work {
        Work {
            row: self.at,
            account: self.account,
            route: self.route,
            lane: self.lane,
            attempt: self.attempt,
            possible_duplicate: self.possible_duplicate,
            expires_at: self.expires_at,
            backend_id: self.backend_id,
            message: message.into(),
        }
    }
}

/// Whether an environment is the sandbox, as stores keep it.
pub(in crate::ledger) const fn sandbox(environment: Environment) -> bool {
    matches!(environment, Environment::Sandbox)
}

/// A lane as stores keep it.
pub(in crate::ledger) const fn lane_number(lane: Lane) -> u8 {
    match lane {
        Lane::Express => 0,
        Lane::Bulk => 1,
    }
}

/// A lane as stores give it back.
pub(in crate::ledger) fn lane_of(number: u8) -> Option<Lane> {
    Lane::ALL.into_iter().find(|lane| lane_number(*lane) == number)
}

/// The part of a detail that is kept: nothing if it says no more than its code.
pub(in crate::ledger) fn own_words(code: Code, detail: &str) -> Option<&str> {
    Some(cut(detail, DETAIL)).filter(|detail| !detail.is_empty() && *detail != code.sentence())
}

/// At most `limit` bytes of a text, cut between characters.
pub(in crate::ledger) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
