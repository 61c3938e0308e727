//! `naru quarantine`: packs that intake could not open, and that wait for a person.

mod act;
mod change;
mod search;

use clap::{Args, Subcommand};
use naru_shared::{
    domain::{Environment, MessageId, Pack, RouteName, Timestamp, Units, masked},
    queue::{Finding, SetAside},
};
use search::{Found, Prefix, Sought, Yard};
use serde::Serialize;

use crate::{
    desk::Desk,
    output::{age, note},
};

/// Which packs.
#[derive(Debug, Args)]
pub struct Which {
    /// The beginnings of their ids, at least 8 digits of each
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<Prefix>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Only of this route
    #[arg(long)]
    route: Option<RouteName>,
}

/// What can be done about packs that were set aside.
#[derive(Debug, Subcommand)]
pub enum QuarantineVerb {
    /// What was set aside, why, and whether it can be opened now
    List {
        /// Only of this route
        #[arg(long)]
        route: Option<RouteName>,
        /// Of each lane, at the most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
    /// One of them
    Show {
        /// The beginning of its id, at least 8 digits
        id: Prefix,
        /// Write what was published to standard output, as it lies there, and nothing else: it may hold messages' texts
        #[arg(long)]
        raw: bool,
    },
    /// Verify them again, and put those that are ours back on their queue; the others stay
    Redrive(Which),
    /// Remove for ever what is certainly not ours; what is or may be ours stays, since messages in it were accepted
    Discard(Whose),
}

/// Which packs are removed.
#[derive(Debug, Args)]
pub struct Whose {
    /// The beginnings of their ids, at least 8 digits of each
    #[arg(required_unless_present = "foreign", conflicts_with = "foreign")]
    ids: Vec<Prefix>,
    /// All that are certainly not ours: forged, cut, or something else
    #[arg(long, conflicts_with = "lose_messages")]
    foreign: bool,
    /// Also what is or may be ours: the messages in it are lost, and nobody is told
    #[arg(long)]
    lose_messages: bool,
    /// Only of this route
    #[arg(long)]
    route: Option<RouteName>,
}

/// Does it.
///
/// # Errors
/// See the exit codes; a conflict if any that was meant stays where it is.
pub async fn run(verb: QuarantineVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        QuarantineVerb::List { route, limit } => list(desk, route.as_ref(), usize::from(limit)).await,
        QuarantineVerb::Show { id, raw } => show(desk, id, raw).await,
        QuarantineVerb::Redrive(Which { ids, all, route }) => {
            let sought = if all { Sought::All } else { Sought::These(ids) };
            change::redrive(desk, sought, route.as_ref()).await
        }
        QuarantineVerb::Discard(Whose { ids, foreign, lose_messages, route }) => {
            let sought = if foreign { Sought::All } else { Sought::These(ids) };
            change::discard(desk, sought, lose_messages, route.as_ref()).await
        }
    }
}

/// A pack as it is listed.
#[derive(Serialize)]
struct Row {
    id: String,
    route: RouteName,
    lane: &'static str,
    set_aside_at: Option<Timestamp>,
    reason: String,
    bytes: usize,
    #[serde(flatten)]
    now: Now,
}

/// What it is found to be now.
#[derive(Serialize)]
struct Now {
    /// Whether a redrive would put it back.
    opens: bool,
    /// Whether it is certainly not ours.
    foreign: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Environment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<usize>,
}

impl Now {
    fn of(finding: &Finding) -> Self {
        let pack = if let Finding::Ours(pack) = finding { Some(pack) } else { None };
        Self {
            opens: matches!(finding, Finding::Ours(_) | Finding::Told(_)),
            foreign: matches!(finding, Finding::Foreign(_)),
            why_not: finding.why_not(),
            customer: pack.map(|pack| pack.account.customer.to_string()),
            environment: pack.map(|pack| pack.account.environment),
            messages: pack.map(|pack| pack.messages.len()),
        }
    }

    fn words(&self) -> String {
        match (&self.customer, self.messages, &self.why_not) {
            (Some(customer), Some(1), _) => format!("opens: a message of {customer}"),
            (Some(customer), Some(messages), _) => format!("opens: {messages} messages of {customer}"),
            (_, _, Some(why)) => why.clone(),
            (_, _, None) => "opens: what a provider reported".to_owned(),
        }
    }
}

fn row(found: &Found, finding: &Finding) -> Row {
    let SetAside { envelope, reason, at, .. } = &found.pack;
    Row {
        id: found.pack.id().to_string(),
        route: found.queue.route.clone(),
        lane: found.queue.lane.as_str(),
        set_aside_at: *at,
        reason: reason.clone(),
        bytes: envelope.0.len(),
        now: Now::of(finding),
    }
}

/// As much of an id as a table has room for.
fn short(id: &str) -> String {
    id.chars().take(16).collect()
}

async fn list(desk: &Desk, route: Option<&RouteName>, limit: usize) -> anyhow::Result<()> {
    let yard = Yard::open(desk, route).await?;
    let found = yard.look(&Sought::All, limit).await?;
    let mut rows = Vec::with_capacity(found.packs.len());
    for pack in &found.packs {
        rows.push(row(pack, &yard.verify(&pack.pack).await));
    }
    let more = found.more;
    let closed = found.close().await;
    let now = desk.now();
    desk.out.rows(&rows, &["id", "route", "lane", "since", "bytes", "set aside because", "now"], |row| {
        vec![
            short(&row.id),
            row.route.to_string(),
            row.lane.to_owned(),
            row.set_aside_at.map(|at| age(now.since(at))).unwrap_or_default(),
            row.bytes.to_string(),
            row.reason.clone(),
            row.now.words(),
        ]
    })?;
    if more {
        note(&format!("of each lane {limit} are shown, and there are more: --limit, --route"))?;
    }
    closed.sound()
}

/// One pack with its messages; no text of theirs.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    /// Version, key and MAC, if it begins as an envelope does.
    head: Option<String>,
    contents: Vec<Content>,
}

#[derive(Serialize)]
struct Content {
    id: MessageId,
    accepted_at: Timestamp,
    channel: String,
    recipient: String,
    units: Units,
}

fn contents(pack: &Pack) -> Vec<Content> {
    let content = |message: &naru_shared::domain::Message| Content {
        id: message.id,
        accepted_at: message.accepted_at,
        channel: message.content.channel.to_string(),
        recipient: masked(&message.content.recipient),
        units: message.units,
    };
    pack.messages.iter().map(content).collect()
}

/// The first line, if it is one that people can read.
fn head(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().take(128).position(|byte| *byte == b'\n')?;
    let line = str::from_utf8(bytes.get(..end)?).ok()?;
    line.chars().all(|c| c.is_ascii_graphic()).then(|| line.to_owned())
}

async fn show(desk: &Desk, id: Prefix, raw: bool) -> anyhow::Result<()> {
    let yard = Yard::open(desk, None).await?;
    let looked = yard.look(&Sought::These(vec![id]), search::MOST).await?;
    let Some(found) = looked.packs.first() else { return Err(looked.missing(&id).await) };
    let finding = yard.verify(&found.pack).await;
    let (row, bytes) = (row(found, &finding), found.pack.envelope.0.clone());
    let copies = looked.packs.len();
    // It was found: whatever else could not be looked at is of no interest here.
    drop(looked.close().await);
    if raw {
        use std::io::Write as _;
        return Ok(std::io::stdout().lock().write_all(&bytes)?);
    }
    let contents = if let Finding::Ours(pack) = &finding { contents(pack) } else { Vec::new() };
    let shown = Shown { row, head: head(&bytes), contents };
    let lines = [
        ("id", shown.row.id.clone()),
        ("queue", format!("{} ({})", shown.row.route, shown.row.lane)),
        ("set aside", shown.row.set_aside_at.map(|at| at.to_string()).unwrap_or_default()),
        ("because", shown.row.reason.clone()),
        ("now", shown.row.now.words()),
        ("bytes", shown.row.bytes.to_string()),
        ("copies", copies.to_string()),
        (
            "begins with",
            shown.head.clone().unwrap_or_else(|| "nothing that an envelope begins with".to_owned()),
        ),
    ];
    desk.out.one(&shown, &lines)?;
    if desk.out.json || shown.contents.is_empty() {
        return Ok(());
    }
    desk.out.rows(&shown.contents, &["message", "accepted", "channel", "recipient", "units"], |content| {
        vec![
            content.id.to_string(),
            content.accepted_at.to_string(),
            content.channel.clone(),
            content.recipient.clone(),
            content.units.get().to_string(),
        ]
    })
}
