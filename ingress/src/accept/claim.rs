//! What an accept holds of the gate until its publish is decided: a key in flight, a content, units in flight.

use std::sync::Arc;

use naru_shared::{
    domain::{Account, ChannelName, Day, Key},
    gate::{ContentMark, FirstAnswer, Gate, GateError},
    registry::Profile,
};
use tokio::sync::mpsc;

/// Units that count as in flight.
#[derive(Debug)]
pub struct Reserved {
    /// Of which channel.
    pub channel: ChannelName,
    /// Whose limits.
    pub profile: Arc<Profile>,
    /// On which day.
    pub day: Day,
}

/// What is held.
#[derive(Debug)]
pub struct Held {
    /// Whose.
    pub account: Account,
    /// The key, if the call had one and the gate knows of it.
    pub key: Option<Key>,
    /// The content, if it must not come again soon.
    pub content: Option<ContentMark>,
    /// The units, if there are limits.
    pub reserved: Option<Reserved>,
    /// What the call is answered with.
    pub answer: FirstAnswer,
}

/// Something more that is held.
#[derive(Debug)]
pub enum Part {
    /// A content.
    Content(ContentMark),
    /// Units.
    Units(Reserved),
}

/// Where claims go that were dropped undecided.
pub type Undo = mpsc::Sender<Box<Held>>;

/// Holds until it is told what became of the publish. Dropped undecided (the caller hung up while the gate was asked),
/// it is undone elsewhere.
#[derive(Debug)]
pub struct Claim(Option<(Box<Held>, Undo)>);

impl Claim {
    /// Holds nothing yet.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// Holds a key, a content, units, or any of them; takes the place of what it held.
    pub fn hold(&mut self, held: Held, undo: &Undo) {
        self.0 = Some((Box::new(held), undo.clone()));
    }

    /// Adds a part to what is held.
    pub fn add(&mut self, part: Part, account: &Account, answer: &FirstAnswer, undo: &Undo) {
        let empty = || {
            let (account, answer) = (account.clone(), answer.clone());
            (Box::new(Held { account, key: None, content: None, reserved: None, answer }), undo.clone())
        };
        let (held, _) = self.0.get_or_insert_with(empty);
        match part {
            Part::Content(mark) => held.content = Some(mark),
            Part::Units(reserved) => held.reserved = Some(reserved),
        }
    }

    /// The message was accepted: its answer is remembered under its key, its content for as long as it must not come again,
    /// and its units stay in flight until intake.
    pub async fn keep(mut self, gate: &dyn Gate) -> Result<(), GateError> {
        match self.0.take().map(|(held, _)| *held) {
            Some(Held { account, key: Some(key), answer, .. }) => gate.finish(&account, &key, answer).await,
            _ => Ok(()),
        }
    }

    /// The message was certainly not accepted.
    pub async fn undo(mut self, gate: &dyn Gate) -> Result<(), GateError> {
        match self.0.take() {
            Some((held, _)) => held.undo(gate).await,
            None => Ok(()),
        }
    }

    /// It is not known: the key is free for another try, which derives the same id and may claim the content again; the units
    /// stay in flight.
    pub async fn doubt(mut self, gate: &dyn Gate) -> Result<(), GateError> {
        match self.0.take().map(|(held, _)| *held) {
            Some(Held { account, key: Some(key), .. }) => gate.abandon(&account, &key).await,
            _ => Ok(()),
        }
    }
}

impl Held {
    /// Gives everything back, each part even where another could not be.
    pub async fn undo(self, gate: &dyn Gate) -> Result<(), GateError> {
        let abandoned = match &self.key {
            Some(key) => gate.abandon(&self.account, key).await,
            None => Ok(()),
        };
        let freed = match self.content {
            Some(mark) => gate.free_content(&self.account, mark, self.answer.id).await,
            None => Ok(()),
        };
        if let Some(Reserved { channel, profile, day }) = &self.reserved {
            gate.give_back(&self.account, channel, &profile.quotas, *day, self.answer.units).await?;
        }
        abandoned.and(freed)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((held, undo)) = self.0.take()
            && undo.try_send(held).is_err()
        {
            tracing::warn!(
                "a key, a content or units in flight could not be given back; they are free again by their time-out"
            );
        }
    }
}
