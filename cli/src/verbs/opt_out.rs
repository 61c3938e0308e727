//! `naru opt-out`: recipients who want no messages.

mod csv;

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write, stdout},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::Context;
use clap::Subcommand;
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{ChannelName, CustomerId, Event, InvalidName, Party, Timestamp, kinds},
    ledger::{EndedOptOuts, OptOut, OptOutSearch, OptOuts},
};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    desk::{Desk, actor},
    exit::Failure,
    units::{ChannelOrAll, channel_word},
};

/// Entries that are written or read at once.
const PAGE: usize = 1_000;

/// Recipients that one command names; more come from a file.
const NAMED: usize = 100;

/// Between two looks at what is under way.
const LOOK: Duration = Duration::from_millis(250);

/// A list: `CUSTOMER` or `*` for everybody's, and after `/` a channel if it is not for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    customer: Option<CustomerId>,
    channel: Option<ChannelName>,
}

impl FromStr for Scope {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (customer, channel) = text.split_once('/').unwrap_or((text, "*"));
        let customer = if customer == "*" { None } else { Some(customer.parse()?) };
        Ok(Self { customer, channel: channel.parse::<ChannelOrAll>()?.0 })
    }
}

/// What can be done to the lists.
#[derive(Debug, Subcommand)]
pub enum OptOutVerb {
    /// Refuse messages to recipients, and reject those that wait
    Add {
        /// CUSTOMER, CUSTOMER/CHANNEL, or `*` in place of either for all
        scope: Scope,
        /// Whom; a number may be written in any way
        #[arg(required = true, num_args = 1..=NAMED)]
        recipients: Vec<Party>,
        /// How long to wait for attempts that are under way, in seconds
        #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
        wait: u64,
    },
    /// Let messages to recipients pass again
    Remove {
        /// As they were added
        scope: Scope,
        /// Whom
        #[arg(required = true, num_args = 1..=NAMED)]
        recipients: Vec<Party>,
    },
    /// Those on a list, or the lists that a recipient is on
    List {
        /// Whose list; `*`: everybody's
        #[arg(required_unless_present = "recipient", conflicts_with = "recipient")]
        customer: Option<Scope>,
        /// On which lists this recipient is
        #[arg(long)]
        recipient: Option<Party>,
        /// At the most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Add what a CSV file lists: customer, channel, recipient and perhaps since, with `*` for all
    Import {
        /// The file; its first line names the columns
        file: PathBuf,
        /// How long to wait for attempts that are under way, in seconds
        #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
        wait: u64,
    },
    /// Print lists as CSV, as `import` reads them
    Export {
        /// Whose list; `*`: everybody's. Without: all lists
        customer: Option<Scope>,
    },
}

/// What was done.
#[derive(Debug, Serialize)]
struct Done {
    recipients: usize,
    new: usize,
    #[serde(flatten)]
    ended: EndedOptOuts,
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: OptOutVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        OptOutVerb::Add { scope, recipients, wait } => add(desk, &scope, recipients, wait).await,
        OptOutVerb::Remove { scope, recipients } => remove(desk, &scope, recipients).await,
        OptOutVerb::List { customer, recipient, limit } => list(desk, customer, recipient, limit).await,
        OptOutVerb::Import { file, wait } => import(desk, &file, wait).await,
        OptOutVerb::Export { customer } => export(desk, customer).await,
    }
}

fn entries(scope: &Scope, recipients: Vec<Party>, since: Timestamp) -> Vec<OptOut> {
    let entry = |recipient| OptOut {
        customer: scope.customer.clone(),
        channel: scope.channel.clone(),
        recipient,
        since,
    };
    recipients.into_iter().map(entry).collect()
}

/// A list of a customer that is not there would be believed, and stop nothing.
async fn is_there(desk: &Desk, customer: Option<&CustomerId>) -> anyhow::Result<()> {
    match customer {
        Some(customer) => desk.book()?.customer(customer).await.map(drop),
        None => Ok(()),
    }
}

async fn add(desk: &Desk, scope: &Scope, mut recipients: Vec<Party>, wait: u64) -> anyhow::Result<()> {
    is_there(desk, scope.customer.as_ref()).await?;
    recipients.sort_unstable();
    recipients.dedup();
    let lists = desk.hand().await?.opt_outs;
    let new = lists.opt_out(entries(scope, recipients.clone(), desk.now())).await?;
    let deadline = Instant::now() + Duration::from_secs(wait);
    let mut ended = EndedOptOuts::default();
    for recipient in &recipients {
        let of_one = end(desk, lists.as_ref(), Some(recipient), deadline).await?;
        ended.rejected += of_one.rejected;
        ended.uncertain += of_one.uncertain;
        ended.in_flight += of_one.in_flight;
    }
    told(desk, "added", scope.customer.as_ref(), Done { recipients: recipients.len(), new, ended }).await
}

/// Ends what waits, and what waits again once an attempt under way has ended, for as long as there is time.
async fn end(
    desk: &Desk,
    lists: &dyn OptOuts,
    recipient: Option<&Party>,
    deadline: Instant,
) -> anyhow::Result<EndedOptOuts> {
    let emit = desk.book()?.has_subscribers().await?;
    let mut all = EndedOptOuts::default();
    loop {
        let found = lists.end_opted_out(recipient.cloned(), desk.now(), emit).await?;
        all.rejected += found.rejected;
        all.uncertain += found.uncertain;
        all.in_flight = found.in_flight;
        if all.in_flight == 0 || Instant::now() >= deadline {
            return Ok(all);
        }
        sleep(LOOK).await;
    }
}

async fn remove(desk: &Desk, scope: &Scope, recipients: Vec<Party>) -> anyhow::Result<()> {
    let count = recipients.len();
    let gone = desk.hand().await?.opt_outs.opt_in(entries(scope, recipients, desk.now())).await?;
    let done = Done { recipients: count, new: gone, ended: EndedOptOuts::default() };
    told(desk, "removed", scope.customer.as_ref(), done).await?;
    if gone == 0 {
        return Err(Failure::NotFound("such entry", format!("{count} asked for")).into());
    }
    Ok(())
}

/// Says what was done, here and as an event. Recipients are counted, not named: an event is read by many.
async fn told(desk: &Desk, change: &str, customer: Option<&CustomerId>, done: Done) -> anyhow::Result<()> {
    let sentence = match change {
        "removed" => format!("{} taken off the list", done.new),
        _ => format!(
            "{} on the list, {} of them new; of what waited {} rejected and {} uncertain; {} under way",
            done.recipients, done.new, done.ended.rejected, done.ended.uncertain, done.ended.in_flight
        ),
    };
    desk.out.said(&done, &sentence)?;
    let now = desk.now();
    let data = json!({
        "actor": actor().told(),
        "change": change,
        "customer": customer,
        "recipients": done.new,
        "rejected": done.ended.rejected,
        "uncertain": done.ended.uncertain,
    });
    let whose = customer.map_or("*", CustomerId::as_str);
    let id = format!("opt-out.{whose}.{change}.{}", now.as_millis());
    desk.tell(vec![Event::uncounted(id, &format!("opt-out/{whose}"), kinds::OPT_OUTS, now, data)]).await
}

async fn list(
    desk: &Desk,
    customer: Option<Scope>,
    recipient: Option<Party>,
    limit: usize,
) -> anyhow::Result<()> {
    let search = match (customer, recipient) {
        (_, Some(recipient)) => OptOutSearch::Recipient(recipient),
        (scope, None) => OptOutSearch::List(scope.and_then(|scope| scope.customer), None),
    };
    let found = desk.ledger()?.opt_outs.opted_out(search, limit).await?;
    desk.out.rows(&found, &["recipient", "customer", "channel", "since"], |entry| {
        vec![
            entry.recipient.to_string(),
            entry.customer.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string),
            channel_word(entry.channel.as_ref()),
            entry.since.to_string(),
        ]
    })
}

async fn import(desk: &Desk, file: &Path, wait: u64) -> anyhow::Result<()> {
    let now = desk.now();
    let open = || -> anyhow::Result<csv::Entries<BufReader<File>>> {
        let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
        csv::Entries::begin(BufReader::new(opened), now)
            .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())).into())
    };
    let wrong = |error: csv::CsvError| Failure::Usage(format!("{}: {error}", file.display()));
    // All of it is read before any of it is written: a mistake in the last line changes nothing.
    let mut customers = std::collections::BTreeSet::new();
    for entry in open()? {
        customers.extend(entry.map_err(wrong)?.customer);
    }
    for customer in &customers {
        is_there(desk, Some(customer)).await?;
    }
    let lists = desk.hand().await?.opt_outs;
    let (mut recipients, mut new) = (0, 0);
    let mut page = Vec::with_capacity(PAGE);
    let mut rest = open()?;
    loop {
        page.extend(rest.by_ref().take(PAGE).collect::<Result<Vec<_>, _>>().map_err(wrong)?);
        if page.is_empty() {
            break;
        }
        recipients += page.len();
        new += lists.opt_out(std::mem::take(&mut page)).await?;
    }
    let ended = end(desk, lists.as_ref(), None, Instant::now() + Duration::from_secs(wait)).await?;
    let one = customers.first().filter(|_| customers.len() == 1);
    told(desk, "imported", one, Done { recipients, new, ended }).await
}

async fn export(desk: &Desk, customer: Option<Scope>) -> anyhow::Result<()> {
    let customers: Vec<Option<CustomerId>> = match customer {
        Some(scope) => vec![scope.customer],
        None => {
            let all = desk.book()?.all(Kind::Customer, "").await?;
            let ids = all
                .into_iter()
                .filter_map(|e| if let Entry::Customer(c) = e { Some(Some(c.id)) } else { None });
            std::iter::once(None).chain(ids).collect()
        }
    };
    let lists = desk.ledger()?.opt_outs;
    let mut out = BufWriter::new(stdout());
    writeln!(out, "{}", csv::HEAD)?;
    for customer in customers {
        let mut after: Option<OptOut> = None;
        loop {
            let search = OptOutSearch::List(customer.clone(), after.take());
            let page = lists.opted_out(search, PAGE).await?;
            for entry in &page {
                writeln!(out, "{}", csv::line(entry))?;
            }
            match page.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
    }
    Ok(out.flush()?)
}
