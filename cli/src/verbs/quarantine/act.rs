//! What a person did with packs that were set aside, told to who listens.

use naru_shared::domain::{Event, EventKind};
use serde_json::json;

use super::change::Outcome;
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
