//! The documents as they are kept in Redis.
//!
//! Those of one customer are in one hash under the customer's tag; routes and subscriptions are in another. A sorted list
//! names every document by the version of its last change, so that whoever knows everything up to a version reads what is
//! new. Nothing is ever taken away: what was revoked is a tombstone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{Pipeline, Script};

use super::head::{Epoch, Head};
use crate::{
    catalog::Entry,
    redis::{Link, LinkError, RedisSettings, SettingsError},
};

/// Nobody who calls waits for these.
const PATIENCE: Duration = Duration::from_secs(5);

/// Documents written or read at once.
const TOGETHER: usize = 500;

/// How long a turn lasts that is not taken again.
const TURN_MS: u64 = 2_500;

/// What stands between a customer and a field in the list of changes; no name has it.
const BETWEEN: char = '|';

/// The projection was not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// Redis did not answer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A document that must be there is not, or cannot be read: Redis lost a part of what it had, or a newer version of
    /// the program wrote it.
    #[error("the projection lacks `{0}`, or it cannot be read")]
    Lacking(String),
    /// Redis was emptied while it was written.
    #[error("Redis was emptied meanwhile")]
    Emptied,
}

/// The documents in one Redis, under one prefix.
pub struct Projection {
    link: Arc<Link>,
    prefix: String,
    process: String,
    /// Whether the last look saw the turn in another's hands.
    taken: AtomicBool,
    put: Script,
    head: Script,
    turn: Script,
}

impl Projection {
    /// A projection that is away until [`Projection::keep`] is polled.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn new(settings: &RedisSettings) -> Result<Self, SettingsError> {
        let put = Script::new(include_str!("put.lua"));
        let head = Script::new(include_str!("head.lua"));
        let turn = Script::new(include_str!("turn.lua"));
        let scripts = vec![put.clone(), head.clone(), turn.clone()];
        let (prefix, process) = (settings.prefix.clone(), Epoch::random().to_string());
        let link = Link::listening("registry", settings, scripts, format!("{prefix}:{{registry}}:bell"))?;
        Ok(Self { link, prefix, process, taken: AtomicBool::new(false), put, head, turn })
    }

    /// Keeps it connected for as long as it is polled.
    pub async fn keep(&self) {
        self.link.keep().await;
    }

    /// Whether Redis answers.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    fn own(&self, what: &str) -> String {
        format!("{}:{{registry}}:{what}", self.prefix)
    }

    /// Where the documents of a customer are; of none: those that are everybody's.
    fn place(&self, customer: &str) -> String {
        if customer.is_empty() {
            self.own("shared")
        } else {
            format!("{}:{{{customer}}}:registry", self.prefix)
        }
    }

    /// Takes or keeps the turn to project: `None` if somebody else has it. The epoch, and the head if it is of it.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn turn(&self) -> Result<Option<(Epoch, Option<Head>)>, ProjectionError> {
        let mut call = self.turn.key(self.own("turn"));
        call.key(self.own("epoch")).key(self.own("head"));
        call.arg(&self.process).arg(TURN_MS).arg(Epoch::random().to_string());
        let (mine, epoch, head): (u8, String, String) =
            self.link.run(PATIENCE, |mut c| async move { call.invoke_async(&mut c).await }).await?;
        Ok(epoch.parse::<Epoch>().ok().filter(|_| mine == 1).map(|epoch| {
            let head = head.parse::<Head>().ok().filter(|head| head.epoch == epoch);
            (epoch, head)
        }))
    }

    /// Whether the turn is somebody else's, as the last look saw it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }

    /// Returns when the head has moved, or Redis is there again; at the latest after `heard`, or after `deaf` where it
    /// would not be told.
    pub async fn moved(&self, heard: Duration, deaf: Duration) {
        self.link.rung(heard, deaf).await;
    }

    /// The epoch, and the head if it is of it.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn look(&self) -> Result<(Option<Epoch>, Option<Head>), ProjectionError> {
        let mut call = redis::cmd("MGET");
        call.arg(self.own("epoch")).arg(self.own("head")).arg(self.own("turn"));
        let (epoch, head, turn): (Option<String>, Option<String>, Option<String>) =
            self.link.run(PATIENCE, |mut c| async move { call.query_async(&mut c).await }).await?;
        self.taken.store(turn.is_some_and(|turn| turn != self.process), Ordering::Relaxed);
        let epoch = epoch.and_then(|text| text.parse::<Epoch>().ok());
        let head = head.and_then(|text| text.parse::<Head>().ok());
        Ok((epoch.clone(), head.filter(|head| Some(&head.epoch) == epoch.as_ref())))
    }

    /// Writes documents, each only if it is newer than what is there. Many who write the same do no harm.
    ///
    /// # Errors
    /// If Redis does not answer; some may be written all the same.
    pub async fn write(&self, entries: &[Entry]) -> Result<(), ProjectionError> {
        let projected: Vec<&Entry> = entries.iter().filter(|entry| is_projected(entry)).collect();
        for some in projected.chunks(TOGETHER) {
            let mut calls = redis::pipe();
            for entry in some {
                self.add(&mut calls, entry)?;
            }
            self.link.run(PATIENCE, |mut c| async move { calls.query_async::<()>(&mut c).await }).await?;
        }
        Ok(())
    }

    fn add(&self, calls: &mut Pipeline, entry: &Entry) -> Result<(), ProjectionError> {
        let (customer, field) = name(entry);
        let document = serde_json::to_string(entry).map_err(|_| ProjectionError::Lacking(field.clone()))?;
        calls.cmd("EVALSHA").arg(self.put.get_hash()).arg(1).arg(self.place(&customer));
        calls.arg(&field).arg(entry.version()).arg(document).ignore();
        calls.cmd("ZADD").arg(self.own("changes")).arg("GT").arg(entry.version());
        calls.arg(format!("{customer}{BETWEEN}{field}")).ignore();
        Ok(())
    }

    /// Says that everything up to a version was written in an epoch.
    ///
    /// # Errors
    /// If the epoch is over, or Redis does not answer.
    pub async fn complete(&self, epoch: &Epoch, version: u64) -> Result<(), ProjectionError> {
        let mut call = self.head.key(self.own("head"));
        call.key(self.own("epoch")).key(self.own("changes")).arg(epoch.to_string()).arg(version);
        call.arg(self.own("bell"));
        let done: u8 =
            self.link.run(PATIENCE, |mut c| async move { call.invoke_async(&mut c).await }).await?;
        if done == 1 { Ok(()) } else { Err(ProjectionError::Emptied) }
    }

    /// Documents changed since a version, in order, and the version of the last; fewer than [`Projection::page`] are all.
    ///
    /// # Errors
    /// If Redis does not answer, or lacks one of them.
    pub async fn changes(&self, since: u64) -> Result<(Vec<Entry>, u64), ProjectionError> {
        let mut call = redis::cmd("ZRANGEBYSCORE");
        call.arg(self.own("changes")).arg(format!("({since}")).arg("+inf").arg("WITHSCORES");
        call.arg("LIMIT").arg(0).arg(TOGETHER);
        let named: Vec<(String, u64)> =
            self.link.run(PATIENCE, |mut c| async move { call.query_async(&mut c).await }).await?;
        if named.is_empty() {
            return Ok((Vec::new(), since));
        }
        let mut calls = redis::pipe();
        for (name, _) in &named {
            let (customer, field) = name.split_once(BETWEEN).unwrap_or_default();
            calls.cmd("HGET").arg(self.place(customer)).arg(field);
        }
        let texts: Vec<Option<String>> =
            self.link.run(PATIENCE, |mut c| async move { calls.query_async(&mut c).await }).await?;
        let last = named.last().map_or(since, |(_, version)| *version);
        let read = |((name, _), text): ((String, u64), Option<String>)| {
            let document =
                text.as_deref().and_then(|text| text.split_once(':')).map(|(_, document)| document);
            let entry = document.and_then(|document| serde_json::from_str(document).ok());
            entry.ok_or(ProjectionError::Lacking(name))
        };
        let entries = named.into_iter().zip(texts).map(read).collect::<Result<_, _>>()?;
        Ok((entries, last))
    }

    /// Documents that are read at once.
    #[must_use]
    pub const fn page() -> usize {
        TOGETHER
    }

    /// How many documents there are.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn documents(&self) -> Result<u64, ProjectionError> {
        let mut call = redis::cmd("ZCARD");
        call.arg(self.own("changes"));
        Ok(self.link.run(PATIENCE, |mut c| async move { call.query_async(&mut c).await }).await?)
    }
}

/// Whether it is anything that an accept must know. Webhooks are not, nor is the fingerprint; and the release before could not read them.
const fn is_projected(entry: &Entry) -> bool {
    !matches!(entry, Entry::Webhook(_) | Entry::Alarm(_) | Entry::Keys(_))
}

/// The customer to whose documents it belongs, if any, and its field among them.
fn name(entry: &Entry) -> (String, String) {
    let customer = match entry {
        Entry::Customer(e) => e.id.as_str(),
        Entry::Credential(e) => e.customer.as_str(),
        Entry::Assignment(e) => e.customer.as_str(),
        Entry::Quota(e) => e.customer.as_str(),
        Entry::Webhook(e) => e.customer.as_str(),
        Entry::Route(_) | Entry::Subscription(_) | Entry::Alarm(_) | Entry::Keys(_) => "",
    };
    (customer.to_owned(), format!("{}/{}", entry.kind().as_str(), entry.key()))
}
