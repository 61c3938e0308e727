//! `naru message`: what became of a message.

mod timeline;

use clap::{Args, Subcommand};
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{Account, CustomerId, Environment, MessageId, MessageView, Minter, RouteName, State, Timestamp},
    ledger::{Dossier, Found, LedgerDesk, Search, Unseen},
};
use serde::Serialize;
use timeline::Step;

use crate::{
    desk::Desk,
    exit::Failure,
    output::{Output, print},
};

/// What can be asked about messages.
#[derive(Debug, Subcommand)]
pub enum MessageVerb {
    /// One message's whole life: accepted, taken in, each attempt, reports, acknowledgement
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

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    dossier: &'a Dossier,
    timeline: Vec<Step>,
}

async fn show(desk: &Desk, id: MessageId) -> anyhow::Result<()> {
    let ledger = desk.ledger()?.desk;
    let Some(dossier) = ledger.dossier(id).await? else { return unseen(desk, &*ledger, id).await };
    let timeline = timeline::steps(&dossier);
    let mut lines = view_lines(&dossier.account, &dossier.view);
    lines.extend(dossier.backend_id.iter().map(|id| ("backend's id", id.clone())));
    lines.extend(dossier.class.iter().map(|class| ("prices", class.clone())));
    desk.out.one(&Shown { dossier: &dossier, timeline: timeline.clone() }, &lines)?;
    if desk.out.json {
        return Ok(());
    }
    desk.out.rows(&timeline, &["when", "what"], |step| {
        vec![step.at.map(|at| at.to_string()).unwrap_or_default(), step.words.clone()]
    })
}

/// A message that the ledger does not have.
#[derive(Serialize)]
struct Bare {
    id: MessageId,
    #[serde(flatten)]
    account: Account,
    status: &'static str,
    cancelled_at: Option<Timestamp>,
    detail: &'static str,
}

const BURIED: &str = "it was cancelled before any worker saw it: when it comes it is not sent, and nothing else is known of it";
const QUEUED: &str = "no worker has taken it in. If it was accepted it lies on the queue (naru status), or was set aside (naru quarantine \
                      list); if it ended long ago it is not kept any more";

/// What can be said of a message that the ledger does not have: a tombstone is there, or the id is one of a customer's.
async fn unseen(desk: &Desk, ledger: &dyn LedgerDesk, id: MessageId) -> anyhow::Result<()> {
    let buried = ledger.tombstone(id).await?;
    let bare = match buried {
        Some((account, at)) => {
            Bare { id, account, status: "cancelled", cancelled_at: Some(at), detail: BURIED }
        }
        None => match whose(desk, id).await? {
            Some(account) => Bare { id, account, status: "queued", cancelled_at: None, detail: QUEUED },
            None => return Err(Failure::NotFound("message in the ledger", id.to_string()).into()),
        },
    };
    let mut lines = vec![
        ("message", id.to_string()),
        ("customer", format!("{} ({})", bare.account.customer, bare.account.environment.as_str())),
        ("status", bare.status.to_owned()),
        ("cancelled", bare.cancelled_at.map(|at| at.to_string()).unwrap_or_default()),
        ("detail", bare.detail.to_owned()),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    desk.out.one(&bare, &lines)
}

/// Whose id it is: ids are minted so that this can be told, by the deployment's secrets.
async fn whose(desk: &Desk, id: MessageId) -> anyhow::Result<Option<Account>> {
    let minter = Minter::new(&desk.keyring()?.ids);
    let customers = desk.book()?.all(Kind::Customer, "").await?;
    let accounts = customers.into_iter().flat_map(|entry| match entry {
        Entry::Customer(customer) => [Environment::Live, Environment::Sandbox]
            .map(|environment| Account { customer: customer.id.clone(), environment })
            .to_vec(),
        _ => Vec::new(),
    });
    Ok(accounts.into_iter().find(|account| minter.is_of(account, id)))
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
