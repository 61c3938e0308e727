//! What a person does with packs that were set aside: recorded before, and told to who listens after.

use naru_shared::{
    audit::Act,
    domain::{Event, EventKind},
};
use serde_json::json;

use super::{change::Outcome, search::Found};
use crate::desk::{Desk, actor};

/// One event for each pack.
pub(super) async fn tell(desk: &Desk, kind: EventKind, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let (actor, now) = (actor().told(), desk.now());
    let what = kind.name.rsplit('.').next().unwrap_or(kind.name);
    let event = |outcome: &Outcome| {
        let Outcome { id, route, lane, .. } = outcome;
        let data = json!({ "actor": actor, "id": id, "route": route, "lane": lane });
        let own = format!("{id}.{what}.{route}.{lane}.{}", now.as_millis());
        Event::uncounted(own, &format!("queue/{route}/{lane}"), kind, now, data)
    };
    desk.tell(outcomes.iter().filter(|outcome| outcome.acted).map(event).collect()).await
}

/// Ids that one record names; of more it holds the number.
const NAMED: usize = 100;

/// Records what is about to be done. A queue holds no record of ours: what became of each is recorded after.
pub(super) async fn order(desk: &Desk, what: &str, packs: &[Found]) -> anyhow::Result<()> {
    if packs.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = packs.iter().take(NAMED).map(|found| found.pack.id().to_string()).collect();
    let detail = json!({ "packs": packs.len(), "ids": ids });
    desk.record(vec![Act::new(what, "quarantine", detail)]).await
}

/// Records what was done.
pub(super) async fn record(desk: &Desk, kind: EventKind, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let done: Vec<&str> =
        outcomes.iter().filter(|outcome| outcome.acted).map(|outcome| outcome.id.as_str()).collect();
    if done.is_empty() {
        return Ok(());
    }
    let detail = json!({ "packs": done.len(), "ids": done.get(..NAMED).unwrap_or(&done) });
    desk.record(vec![Act::new(kind.name, "quarantine", detail)]).await
}
