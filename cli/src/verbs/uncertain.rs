//! `naru uncertain`: messages of which it cannot be known whether they were sent, and which wait for a person.

use clap::{Subcommand, ValueEnum};
use naru_shared::{
    domain::{Event, MessageId, RouteName, State, kinds},
    ledger::{Resolution, Search},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    desk::{Desk, actor},
    exit::Failure,
};

/// What was found out, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verdict {
    /// It arrived: charged
    Delivered,
    /// It did not arrive: the charge is released
    Failed,
    /// Send it again, labelled as a possible duplicate
    Retry,
}

/// What can be done about doubt.
#[derive(Debug, Subcommand)]
pub enum UncertainVerb {
    /// Messages that wait for a person
    List {
        /// On which route
        #[arg(long)]
        route: Option<RouteName>,
        /// At the most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Decide about messages
    Resolve {
        /// Which
        #[arg(required = true)]
        ids: Vec<MessageId>,
        /// What was found out
        #[arg(long = "as", value_enum)]
        verdict: Verdict,
    },
}

#[derive(Serialize)]
struct Resolved {
    resolved: Vec<MessageId>,
    not_held: Vec<MessageId>,
}

/// Does it.
///
/// # Errors
/// See the exit codes; [`Failure::Conflict`] if any of the messages was not held (any more).
pub async fn run(verb: UncertainVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        UncertainVerb::List { route, limit } => {
            let search = Search { route, state: Some(State::Held), limit, ..Search::default() };
            super::message::list(desk, search).await
        }
        UncertainVerb::Resolve { ids, verdict } => resolve(desk, ids, verdict).await,
    }
}

/// Who decided what: the message's own event, if there is one, does not say it.
fn acts(desk: &Desk, resolved: &[MessageId], verdict: Verdict) -> Vec<Event> {
    let (actor, now) = (actor().told(), desk.now());
    let decision = match verdict {
        Verdict::Delivered => "delivered",
        Verdict::Failed => "failed",
        Verdict::Retry => "retry",
    };
    let act = |id: &MessageId| {
        let data = json!({ "actor": actor, "id": id, "decision": decision });
        let own = format!("{id}.resolved.{}", now.as_millis());
        Event::uncounted(own, &format!("held/{id}"), kinds::RESOLVED, now, data)
    };
    resolved.iter().map(act).collect()
}

async fn resolve(desk: &Desk, ids: Vec<MessageId>, verdict: Verdict) -> anyhow::Result<()> {
    let resolution = match verdict {
        Verdict::Delivered => Resolution::Delivered,
        Verdict::Failed => Resolution::Failed,
        Verdict::Retry => Resolution::Retry,
    };
    let emit = desk.book()?.has_subscribers().await?;
    let ledger = desk.hand().await?.desk;
    let resolved = ledger.resolve(ids.clone(), resolution, desk.now(), emit).await?;
    let told = desk.tell(acts(desk, &resolved, verdict)).await;
    let not_held: Vec<MessageId> = ids.into_iter().filter(|id| !resolved.contains(id)).collect();
    let sentence = format!("{} decided, {} not held", resolved.len(), not_held.len());
    let strays: Vec<String> = not_held.iter().map(ToString::to_string).collect();
    desk.out.said(&Resolved { resolved, not_held }, &sentence)?;
    told?;
    if strays.is_empty() {
        return Ok(());
    }
    Err(Failure::Conflict(format!("not held, or not any more: {}", strays.join(" "))).into())
}
