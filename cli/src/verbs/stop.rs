//! `naru stop`: messages that must not go out.

mod carry;
mod show;

use clap::{Args, Subcommand};
use naru_shared::{
    domain::{ChannelName, CustomerId, Event, Lane, RouteName, Timestamp, kinds},
    ledger::{StopEnd, StopFilter, StopOrder, StopPhase, StopRule},
};
use serde_json::json;

use crate::{
    desk::{Desk, actor},
    exit::Failure,
};

/// Stops what matches, or deals with what was stopped.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct StopArgs {
    /// What is done about a rule.
    #[command(subcommand)]
    verb: Option<StopVerb>,
    /// A new one.
    #[command(flatten)]
    order: OrderArgs,
}

/// What a new rule stops.
#[derive(Debug, Args)]
struct OrderArgs {
    /// Whose messages
    #[arg(long)]
    customer: Option<CustomerId>,
    /// On which route
    #[arg(long)]
    route: Option<RouteName>,
    /// By which channel
    #[arg(long)]
    channel: Option<ChannelName>,
    /// In which lane
    #[arg(long, value_parser = lane)]
    lane: Option<Lane>,
    /// With which of the customer's references
    #[arg(long)]
    reference: Option<String>,
    /// Accepted then or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// How long to wait for attempts that are under way, in seconds
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
}

/// What can be done about rules.
#[derive(Debug, Subcommand)]
pub enum StopVerb {
    /// Every rule
    List,
    /// What a rule did, counted now
    Show {
        /// Its number
        number: i64,
    },
    /// Go on with a rule whose command was ended before it was done
    Resume {
        /// Its number
        number: i64,
        /// How long to wait for attempts that are under way, in seconds
        #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        wait: u64,
    },
    /// End a rule: what it stopped goes out after all
    Undo {
        /// Its number
        number: i64,
    },
    /// End a rule: what it stopped is cancelled for good
    Commit {
        /// Its number
        number: i64,
    },
}

fn lane(word: &str) -> Result<Lane, String> {
    let found = Lane::ALL.into_iter().find(|lane| lane.as_str() == word);
    found.ok_or_else(|| "expected express or bulk".to_owned())
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(args: StopArgs, desk: &Desk) -> anyhow::Result<()> {
    match args.verb {
        None => order(desk, args.order).await,
        Some(StopVerb::List) => show::list(desk).await,
        Some(StopVerb::Show { number }) => show::one(desk, number).await,
        Some(StopVerb::Resume { number, wait }) => {
            let rule = show::rule(desk, number).await?;
            if !rule.phase.is_in_force() {
                return Err(conflict(&rule));
            }
            carry::out(desk, &rule, wait).await
        }
        Some(StopVerb::Undo { number }) => end(desk, number, StopEnd::Undo).await,
        Some(StopVerb::Commit { number }) => end(desk, number, StopEnd::Commit).await,
    }
}

fn conflict(rule: &StopRule) -> anyhow::Error {
    Failure::Conflict(format!("rule {} is {}", rule.number, rule.phase.as_str())).into()
}

/// Puts a rule in force and carries it out. The same order again goes on with the rule there is.
async fn order(desk: &Desk, args: OrderArgs) -> anyhow::Result<()> {
    let OrderArgs { customer, route, channel, lane, reference, since, reason, wait } = args;
    let filter = StopFilter { customer, route, channel, lane, reference, since };
    if filter == (StopFilter { lane, ..StopFilter::default() }) {
        let what = "say what is to be stopped: --customer, --route, --channel, --reference or --since";
        return Err(Failure::Usage(what.to_owned()).into());
    }
    let book = desk.book()?;
    if let Some(customer) = &filter.customer {
        book.customer(customer).await?;
    }
    if let Some(route) = &filter.route {
        book.route(route).await?;
    }
    let mends = desk.hand().await?.mends;
    let same = |rule: &StopRule| rule.phase.is_in_force() && rule.order.filter == filter;
    if let Some(rule) = carry::patiently(|| mends.stops(None)).await?.into_iter().find(same) {
        return carry::out(desk, &rule, wait).await;
    }
    let order = StopOrder {
        filter,
        actor: actor().name().to_owned(),
        reason,
        made_at: desk.now(),
        ended_at: None,
        counts: None,
    };
    let rule = mends.stop(order).await?;
    let told = desk.tell(vec![act(desk, &rule, "ordered", json!(rule.order.reason))]).await;
    carry::out(desk, &rule, wait).await?;
    told
}

async fn end(desk: &Desk, number: i64, end: StopEnd) -> anyhow::Result<()> {
    let rule = show::rule(desk, number).await?;
    let (wanted, what) = match end {
        StopEnd::Undo => (StopPhase::Undoing, "undone"),
        StopEnd::Commit => (StopPhase::Committing, "committed"),
    };
    if !rule.phase.is_in_force() && rule.phase != wanted {
        return Err(conflict(&rule));
    }
    carry::end(desk, number, end).await?;
    let rule = show::rule(desk, number).await?;
    let told = desk.tell(vec![act(desk, &rule, what, json!(rule.order.counts))]).await;
    show::one(desk, number).await?;
    told
}

/// What a person did about a rule.
fn act(desk: &Desk, rule: &StopRule, what: &str, more: serde_json::Value) -> Event {
    let now = desk.now();
    let kind = match what {
        "undone" => kinds::STOP_UNDONE,
        "committed" => kinds::STOP_COMMITTED,
        _ => kinds::STOP_ORDERED,
    };
    let mut data = json!({ "actor": actor().told(), "number": rule.number, "filter": rule.order.filter });
    data[if what == "ordered" { "reason" } else { "counts" }] = more;
    let subject = format!("stop/{}", rule.number);
    Event::uncounted(format!("{subject}.{what}.{}", now.as_millis()), &subject, kind, now, data)
}
