//! The end of a credential, and who has heard of it.

use std::time::Duration;

use naru_shared::{
    catalog::{Entry, Kind},
    domain::{CredentialId, Timestamp},
    presence::FrontMark,
};
use serde::Serialize;

use super::Shown;
use crate::{
    desk::Desk,
    exit::Failure,
    output::{age, note},
};

/// A front that was heard of within this lives, as far as can be known: it tells of itself once a minute.
const LIVING: Duration = Duration::from_secs(150);

/// How often it is looked whether they have heard.
const LOOK: Duration = Duration::from_millis(200);

/// How long one look may take.
const CALL: Duration = Duration::from_secs(10);

/// What became of it.
#[derive(Serialize)]
struct Revoked<'a> {
    #[serde(flatten)]
    credential: Shown<'a>,
    fronts: Vec<Heard>,
}

/// One front, and whether it refuses the credential.
#[derive(Serialize)]
struct Heard {
    front: String,
    has_it: bool,
    /// Nothing was heard of it for some minutes: it died, or cannot tell.
    silent: bool,
    seen_at: String,
}

/// Revokes a credential, and waits until every front that lives has it, or for so long.
///
/// # Errors
/// If there is none; if fronts that live have not said in time that they have it: the credential is revoked all the same.
pub async fn run(desk: &Desk, id: &CredentialId, wait: Duration) -> anyhow::Result<()> {
    let now = desk.now();
    let tombstone = |entry| match entry {
        Entry::Credential(mut credential) => {
            credential.revoked_at.get_or_insert(now);
            Ok(Entry::Credential(credential))
        }
        other => Ok(other),
    };
    let entry = desk.book()?.change(Kind::Credential, id.as_str(), tombstone).await?;
    let version = entry.version();
    let Entry::Credential(credential) = entry else {
        return Err(Failure::NotFound("credential", id.to_string()).into());
    };
    let fronts = match heard(desk, version, wait).await {
        Ok(fronts) => fronts,
        Err(error) => {
            let why = format!("{id} is revoked, and which fronts have it could not be asked: {error:#}");
            return Err(Failure::Unavailable(why).into());
        }
    };
    let lacking: Vec<&str> =
        fronts.iter().filter(|f| !f.has_it && !f.silent).map(|f| f.front.as_str()).collect();
    if !lacking.is_empty() {
        let names = lacking.join(", ");
        let why = format!(
            "{id} is revoked, and in force within a minute at the latest; not yet said so by {} of {} fronts: {names}",
            lacking.len(),
            fronts.len(),
        );
        return Err(Failure::Unavailable(why).into());
    }
    for front in fronts.iter().filter(|front| front.silent && !front.has_it) {
        note(&format!(
            "nothing was heard of {} since {}: if it still runs, it may not have it",
            front.front, front.seen_at
        ))?;
    }
    let having = fronts.iter().filter(|front| front.has_it).count();
    let sentence = format!("{id} is revoked; fronts that have it: {having}");
    desk.out.said(&Revoked { credential: Shown::of(&credential), fronts }, &sentence)
}

/// Every front that did not end in order, once all that live have a version, or after `wait`.
async fn heard(desk: &Desk, version: u64, wait: Duration) -> anyhow::Result<Vec<Heard>> {
    let presence = desk.presence()?;
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let fronts = tokio::time::timeout(CALL, presence.fronts()).await??;
        let now = desk.now();
        let lacking = fronts.iter().any(|front| front.version < version && !is_silent(front, now));
        if !lacking || tokio::time::Instant::now() >= deadline {
            let heard = |front: FrontMark| Heard {
                has_it: front.version >= version,
                silent: is_silent(&front, now),
                seen_at: front.seen_at.to_string(),
                front: front.name,
            };
            return Ok(fronts.into_iter().map(heard).collect());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn is_silent(front: &FrontMark, now: Timestamp) -> bool {
    now.since(front.seen_at) > LIVING
}

/// When a credential was last used, for people.
pub fn last_used(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(now.since(at))))
}
