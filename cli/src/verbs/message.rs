//! `naru message`: what became of a message.

use clap::{Args, Subcommand};
use naru_shared::{
    domain::{Account, CustomerId, Environment, MessageId, MessageView, Minter, RouteName, State},
    ledger::{Found, Search, Unseen},
};
use serde::Serialize;

use crate::{
    desk::Desk,
    exit::Failure,
    output::{Output, print},
};

/// What can be asked about messages.
#[derive(Debug, Subcommand)]
pub enum MessageVerb {
    /// Everything about one message
    Show {
        /// Which
        id: MessageId,
    },
    /// Messages that match everything given, newest first
    Find(FindArgs),
}

/// What is looked for.
#[derive(Debug, Args)]
pub struct FindArgs {
    /// Whose
    #[arg(long)]
    customer: Option<CustomerId>,
    /// To whom
    #[arg(long)]
    recipient: Option<String>,
    /// The customer's reference
    #[arg(long)]
    reference: Option<String>,
    /// The customer's idempotency key
    #[arg(long)]
    key: Option<String>,
    /// On which route
    #[arg(long)]
    route: Option<RouteName>,
    /// In which state
    #[arg(long, value_parser = state)]
    state: Option<State>,
    /// At the most
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Go on where an earlier search ended
    #[arg(long, value_name = "NUMBER")]
    older_than: Option<i64>,
}

fn state(word: &str) -> Result<State, String> {
    let words: Vec<&str> = State::ALL.iter().map(|s| s.as_str()).collect();
    let found = State::ALL.into_iter().find(|s| s.as_str() == word);
    found.ok_or_else(|| format!("expected one of {}", words.join(", ")))
}

/// A message of a list.
#[derive(Serialize)]
pub struct Listed {
    #[serde(flatten)]
    account: Account,
    #[serde(flatten)]
    view: MessageView,
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: MessageVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        MessageVerb::Show { id } => show(desk, id).await,
        MessageVerb::Find(args) => {
            let ids = ids(desk, &args)?;
            let search = Search {
                customer: args.customer,
                recipient: args.recipient,
                reference: args.reference,
                key: args.key,
                route: args.route,
                state: args.state,
                ids,
                older_than: args.older_than,
                limit: args.limit,
            };
            find(desk, search).await
        }
    }
}

/// The ids of a customer's message with this key: they follow from both, so nothing has to be looked for.
fn ids(desk: &Desk, args: &FindArgs) -> anyhow::Result<Vec<MessageId>> {
    let (Some(customer), Some(key)) = (&args.customer, &args.key) else { return Ok(Vec::new()) };
    let Ok(key) = key.parse() else { return Ok(Vec::new()) };
    let minter = Minter::new(&desk.keyring()?.ids);
    let of = |environment| Account { customer: customer.clone(), environment };
    Ok([Environment::Live, Environment::Sandbox].map(|place| minter.derive(&of(place), &key)).to_vec())
}

/// What a search found, and where it ended.
#[derive(Serialize)]
struct Answer {
    messages: Vec<Listed>,
    unseen: Option<Unseen>,
}

impl From<Found> for Answer {
    fn from(found: Found) -> Self {
        let listed = |(account, view)| Listed { account, view };
        Self { messages: found.messages.into_iter().map(listed).collect(), unseen: found.unseen }
    }
}

async fn find(desk: &Desk, search: Search) -> anyhow::Result<()> {
    let answer = Answer::from(desk.ledger()?.desk.find(search).await?);
    if desk.out.json {
        return print(&serde_json::to_string_pretty(&answer)?);
    }
    rows(desk.out, &answer.messages)?;
    match answer.unseen {
        Some(Unseen { before, older_than }) => print(&format!(
            "what was accepted until {before} was not looked at: --older-than {older_than} goes on there"
        )),
        None => Ok(()),
    }
}

/// Prints the messages that match.
///
/// # Errors
/// If the ledger does not answer.
pub async fn list(desk: &Desk, search: Search) -> anyhow::Result<()> {
    let answer = Answer::from(desk.ledger()?.desk.find(search).await?);
    rows(desk.out, &answer.messages)
}

fn rows(out: Output, rows: &[Listed]) -> anyhow::Result<()> {
    let head = ["message", "customer", "channel", "recipient", "status", "code", "route", "accepted"];
    out.rows(rows, &head, |row| {
        vec![
            row.view.id.to_string(),
            row.account.customer.to_string(),
            row.view.channel.to_string(),
            row.view.recipient.clone(),
            row.view.status.as_str().to_owned(),
            row.view.code.map_or("", |code| code.as_str()).to_owned(),
            row.view.route.to_string(),
            row.view.accepted_at.to_string(),
        ]
    })
}

async fn show(desk: &Desk, id: MessageId) -> anyhow::Result<()> {
    let ledger = desk.ledger()?.desk;
    let found = ledger.dossier(id).await?;
    let dossier = found.ok_or_else(|| Failure::NotFound("message in the ledger", id.to_string()))?;
    let mut lines = view_lines(&dossier.account, &dossier.view);
    lines.extend(dossier.class.iter().map(|class| ("prices", class.clone())));
    desk.out.one(&dossier, &lines)?;
    if desk.out.json {
        return Ok(());
    }
    history(desk.out, &dossier)
}

fn history(out: Output, dossier: &naru_shared::ledger::Dossier) -> anyhow::Result<()> {
    if !dossier.attempts_log.is_empty() {
        out.rows(&dossier.attempts_log, &["attempt", "noted", "outcome", "late", "detail"], |note| {
            vec![
                note.attempt.to_string(),
                note.at.to_string(),
                note.outcome.clone(),
                if note.late { "late" } else { "" }.to_owned(),
                note.detail.clone(),
            ]
        })?;
    }
    if !dossier.earlier_reports.is_empty() {
        out.rows(&dossier.earlier_reports, &["revision", "status", "code", "detail", "ended"], |report| {
            vec![
                report.revision.to_string(),
                report.status.as_str().to_owned(),
                report.code.as_str().to_owned(),
                report.detail.clone(),
                report.final_at.to_string(),
            ]
        })?;
    }
    Ok(())
}

fn view_lines(account: &Account, view: &MessageView) -> Vec<(&'static str, String)> {
    let optional = |text: Option<String>| text.unwrap_or_default();
    let mut lines = vec![
        ("message", view.id.to_string()),
        ("customer", format!("{} ({})", account.customer, account.environment.as_str())),
        ("status", view.status.as_str().to_owned()),
        ("code", view.code.map_or("", |code| code.as_str()).to_owned()),
        ("detail", optional(view.detail.clone())),
        ("revision", view.revision.to_string()),
        ("channel", view.channel.to_string()),
        ("recipient", view.recipient.clone()),
        ("reference", optional(view.reference.clone())),
        ("key", optional(view.key.as_ref().map(|key| key.as_str().to_owned()))),
        ("route", format!("{} ({})", view.route, view.lane.as_str())),
        ("units", format!("{}{}", view.units.get(), if view.charged { ", charged" } else { "" })),
        ("attempts", view.attempts.to_string()),
        ("accepted", view.accepted_at.to_string()),
        ("send at", optional(view.send_at.map(|at| at.to_string()))),
        ("last attempt", optional(view.sent_at.map(|at| at.to_string()))),
        ("ended", optional(view.final_at.map(|at| at.to_string()))),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    lines
}
