//! Putting back, and removing. Whatever fails on the way, the rest is done and everything is told.

use std::collections::BTreeSet;

use naru_shared::{
    domain::{EventKind, NOTICE_GROUP, RouteName, kinds},
    queue::{Finding, QueueError},
};
use serde::Serialize;

use super::{
    act,
    search::{self, Closed, Found, Looked, Sought, Yard},
    short,
};
use crate::{desk::Desk, exit::Failure, output::note};

/// What became of one that was meant.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub(super) id: String,
    pub(super) route: RouteName,
    pub(super) lane: &'static str,
    done: bool,
    what: String,
    /// Whether it is an act of its own: what somebody else did, and a copy more, are none.
    #[serde(skip)]
    pub(super) acted: bool,
}

impl Outcome {
    fn of(found: &Found, done: bool, what: impl Into<String>) -> Self {
        let (route, lane) = (found.queue.route.clone(), found.queue.lane.as_str());
        Self { id: found.pack.id().to_string(), route, lane, done, what: what.into(), acted: done }
    }

    fn stays(found: &Found, why: impl std::fmt::Display) -> Self {
        Self::of(found, false, format!("stays: {why}"))
    }

    fn failed(found: &Found, error: &QueueError) -> Self {
        let why = naru_shared::causes::Causes(error);
        Self::of(found, false, format!("failed, and may be in both places or where it was: {why}"))
    }

    fn no_act(self) -> Self {
        Self { acted: false, ..self }
    }
}

/// Says what became of each, to who asked and to who listens; any that stays is a conflict.
async fn tell(desk: &Desk, kind: EventKind, outcomes: &[Outcome], closed: Closed) -> anyhow::Result<()> {
    let recorded = act::record(desk, kind, outcomes).await;
    let told = act::tell(desk, kind, outcomes).await;
    desk.out.rows(outcomes, &["id", "route", "lane", "what became of it"], |outcome| {
        vec![short(&outcome.id), outcome.route.to_string(), outcome.lane.to_owned(), outcome.what.clone()]
    })?;
    if !closed.woken {
        note("the doorbell could not be rung: workers come upon what was put back within ten minutes")?;
    }
    recorded?;
    told?;
    closed.sound()?;
    let stay = outcomes.iter().filter(|outcome| !outcome.done).count();
    match stay {
        0 => Ok(()),
        _ => Err(Failure::Conflict(format!("{stay} of {} stay where they were", outcomes.len())).into()),
    }
}

/// Everything that was meant, in hand.
async fn meant(yard: &Yard, sought: &Sought) -> anyhow::Result<Looked> {
    let looked = yard.look(sought, search::MOST).await?;
    match looked.not_found(sought) {
        Some(id) => Err(looked.missing(&id).await),
        None => Ok(looked),
    }
}

pub(super) async fn redrive(desk: &Desk, sought: Sought, route: Option<&RouteName>) -> anyhow::Result<()> {
    let yard = Yard::open(desk, route).await?;
    let mut looked = meant(&yard, &sought).await?;
    act::order(desk, "envelope.redrive-ordered", &looked.packs).await?;
    let (mut outcomes, mut back) = (Vec::new(), BTreeSet::new());
    for found in std::mem::take(&mut looked.packs) {
        let name = (found.queue.clone(), found.pack.id().to_string());
        let outcome = if back.contains(&name) {
            // A copy more says nothing more: what is in it goes back once.
            match looked.aside(&found)?.discard(&found.pack).await {
                Ok(()) => Outcome::of(&found, true, "a copy of one that was put back: removed").no_act(),
                Err(error) => Outcome::failed(&found, &error),
            }
        } else {
            let outcome = put_back(&yard, &mut looked, &found).await?;
            if outcome.done {
                back.insert(name);
            }
            outcome
        };
        outcomes.push(outcome);
    }
    let closed = looked.close().await;
    tell(desk, kinds::REDRIVEN, &outcomes, closed).await
}

async fn put_back(yard: &Yard, looked: &mut Looked, found: &Found) -> anyhow::Result<Outcome> {
    let group = match yard.verify(&found.pack).await {
        Finding::Ours(pack) => pack.account.customer,
        Finding::Told(_) => NOTICE_GROUP.parse()?,
        other => return Ok(Outcome::stays(found, other.why_not().unwrap_or_default())),
    };
    Ok(match looked.aside(found)?.readmit(&found.pack, &group).await {
        Ok(true) => Outcome::of(found, true, "put back on its queue"),
        Ok(false) => Outcome::of(found, true, "somebody else took it away meanwhile").no_act(),
        Err(error) => Outcome::failed(found, &error),
    })
}

/// Removes what is certainly not ours; with `lose_messages` whatever was named.
pub(super) async fn discard(
    desk: &Desk,
    sought: Sought,
    lose_messages: bool,
    route: Option<&RouteName>,
) -> anyhow::Result<()> {
    let yard = Yard::open(desk, route).await?;
    let mut looked = meant(&yard, &sought).await?;
    act::order(desk, "envelope.discard-ordered", &looked.packs).await?;
    let mut outcomes = Vec::new();
    for found in std::mem::take(&mut looked.packs) {
        let finding = yard.verify(&found.pack).await;
        let spared = match &finding {
            Finding::Foreign(_) => None,
            _ if lose_messages => None,
            Finding::Ours(pack) => {
                let messages = pack.messages.len();
                Some(format!("it opens, and {messages} accepted messages are in it: redrive it"))
            }
            Finding::Told(pack) => {
                let reports = pack.notices.len();
                Some(format!("it opens, and {reports} reports of a provider are in it: redrive it"))
            }
            Finding::Unsure(why) => Some(format!("accepted messages may be in it ({why}): --lose-messages")),
            Finding::NotNow(_) => finding.why_not(),
        };
        match spared {
            // Whatever is not certainly foreign was not meant.
            Some(_) if matches!(sought, Sought::All) => {}
            Some(why) => outcomes.push(Outcome::stays(&found, why)),
            None => outcomes.push(match looked.aside(&found)?.discard(&found.pack).await {
                Ok(()) => Outcome::of(&found, true, "removed for ever"),
                Err(error) => Outcome::failed(&found, &error),
            }),
        }
    }
    let closed = looked.close().await;
    tell(desk, kinds::DISCARDED, &outcomes, closed).await
}
