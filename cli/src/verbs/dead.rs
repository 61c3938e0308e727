//! `naru dead`: messages that ended without being delivered, and how they are sent again.

mod redrive;

use clap::{Args, Subcommand};
use naru_shared::{
    domain::{Code, CustomerId, MessageId, RouteName, Timestamp},
    ledger::{Dead, DeadFilter},
};
use redrive::RedriveArgs;

use crate::{desk::Desk, output::note};

/// Messages of one look.
const PAGE: usize = 500;

/// What can be done about the dead.
#[derive(Debug, Subcommand)]
pub enum DeadVerb {
    /// Messages that failed or expired, oldest first
    List {
        /// Which
        #[command(flatten)]
        which: WhichArgs,
        /// At the most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Everything about one message
    Show {
        /// Which
        id: MessageId,
    },
    /// Send them again
    Redrive(RedriveArgs),
}

/// Which of them; all that is given must hold.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// Whose
    #[arg(long)]
    customer: Option<CustomerId>,
    /// On which route
    #[arg(long)]
    route: Option<RouteName>,
    /// With which code
    #[arg(long, value_parser = code)]
    code: Option<Code>,
    /// Ended then or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Ended before that
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

impl From<WhichArgs> for DeadFilter {
    fn from(args: WhichArgs) -> Self {
        let WhichArgs { customer, route, code, since, until } = args;
        Self { customer, route, code, since, until }
    }
}

fn code(word: &str) -> Result<Code, String> {
    let words: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let found = Code::ALL.into_iter().find(|code| code.as_str() == word);
    found.ok_or_else(|| format!("expected one of {}", words.join(", ")))
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: DeadVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        DeadVerb::List { which, limit } => list(desk, &which.into(), limit).await,
        DeadVerb::Show { id } => super::message::run(super::message::MessageVerb::Show { id }, desk).await,
        DeadVerb::Redrive(args) => redrive::run(desk, args).await,
    }
}

async fn list(desk: &Desk, filter: &DeadFilter, limit: usize) -> anyhow::Result<()> {
    let mends = desk.ledger()?.mends;
    let (mut found, mut from) = (Vec::<Dead>::new(), None);
    while found.len() < limit {
        let page = mends.dead(filter, from, PAGE.min(limit - found.len())).await?;
        found.extend(page.dead);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let head =
        ["message", "customer", "route", "status", "code", "units", "ended", "perhaps delivered", "text"];
    desk.out.rows(&found, &head, |dead| {
        vec![
            dead.view.id.to_string(),
            dead.account.customer.to_string(),
            dead.view.route.to_string(),
            dead.view.status.as_str().to_owned(),
            dead.view.code.map_or("", Code::as_str).to_owned(),
            dead.view.units.get().to_string(),
            dead.view.final_at.map(|at| at.to_string()).unwrap_or_default(),
            if dead.possible_duplicate { "yes" } else { "no" }.to_owned(),
            if dead.has_text { "kept" } else { "removed" }.to_owned(),
        ]
    })?;
    if from.is_some() && found.len() >= limit {
        note("there may be more: --limit")?;
    }
    Ok(())
}
