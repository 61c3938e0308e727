//! Dead messages sent again, at a bounded rate.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{Account, Code, CustomerId, Event, MessageId, Quota, State, TimeZone, kinds},
    ledger::{Dead, DeadFilter, LedgerMends, Redrive, Redriven},
};
use serde::Serialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{PAGE, WhichArgs};
use crate::{
    desk::{Book, Desk, actor},
    exit::Failure,
};

/// Messages of one transaction.
const STEP: usize = 100;

/// For how long what was read of a customer is believed: changes are in force within a second.
const FRESH: Duration = Duration::from_millis(500);

/// What is sent again, and how fast.
#[derive(Debug, Args)]
pub struct RedriveArgs {
    /// These
    ids: Vec<MessageId>,
    /// Which
    #[command(flatten)]
    which: WhichArgs,
    /// All that ended without being delivered, if nothing else is said
    #[arg(long)]
    all: bool,
    /// Those too that may have been delivered
    #[arg(long)]
    uncertain: bool,
    /// Only say how many, how many units, and how many may have been delivered
    #[arg(long)]
    dry_run: bool,
    /// At the most
    #[arg(long, value_name = "MESSAGES")]
    limit: Option<u64>,
    /// Messages a second
    #[arg(long, default_value_t = 50, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
}

/// What was found, and what became of it.
#[derive(Debug, Default, Serialize)]
struct Tally {
    dry_run: bool,
    /// Messages that match.
    messages: u64,
    /// Their units.
    units: u64,
    /// Of those, how many may have been delivered.
    perhaps_delivered: u64,
    /// Of those, how many have no text any more.
    without_text: u64,
    /// Left out, since they may have been delivered.
    left_out: u64,
    /// What became of those that were to be sent again.
    outcomes: BTreeMap<Redriven, u64>,
    /// How many of each code.
    codes: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn count(&mut self, dead: &Dead) {
        self.messages += 1;
        self.units += u64::from(dead.view.units.get());
        self.perhaps_delivered += u64::from(dead.possible_duplicate);
        self.without_text += u64::from(!dead.has_text);
        *self.codes.entry(dead.view.code.map_or("", Code::as_str)).or_default() += 1;
    }

    /// One that was to be sent again became this.
    fn became(&mut self, outcome: Redriven) {
        // Doubt may have come after it was found.
        match outcome {
            Redriven::InDoubt => self.left_out += 1,
            outcome => *self.outcomes.entry(outcome).or_default() += 1,
        }
    }

    fn sentence(&self) -> String {
        let Self { messages, units, perhaps_delivered, without_text, left_out, .. } = self;
        let found = format!(
            "{messages} messages, {units} units; {perhaps_delivered} may have been delivered, {without_text} have no text any more"
        );
        if self.dry_run {
            return found;
        }
        let of = |what| self.outcomes.get(&what).copied().unwrap_or(0);
        format!(
            "{found}. {} wait to be sent again, {} are stopped by a rule, {} are beyond a quota, {} are for recipients who opted out, \
             {} were left out, {} are not dead (any more), {} without text",
            of(Redriven::Ready),
            of(Redriven::Stopped),
            of(Redriven::OverQuota),
            of(Redriven::OptedOut),
            left_out,
            of(Redriven::NotDead),
            of(Redriven::NoText),
        )
    }
}

/// Does it.
pub(super) async fn run(desk: &Desk, args: RedriveArgs) -> anyhow::Result<()> {
    let filter = DeadFilter::from(args.which);
    let named = !args.ids.is_empty();
    if named == (filter != DeadFilter::default() || args.all) {
        let what = "say which: ids, or --customer, --route, --code, --since, --until, or --all";
        return Err(Failure::Usage(what.to_owned()).into());
    }
    let mends = desk.hand().await?.mends;
    let pace = Pace { rate: args.rate, next: Instant::now() };
    let mut hand = Hand {
        desk,
        book: desk.book()?,
        mends: Arc::clone(&mends),
        terms: HashMap::new(),
        pace,
        uncertain: args.uncertain,
        tally: Tally { dry_run: args.dry_run, ..Tally::default() },
    };
    if named {
        let dead = named_dead(desk, &args.ids).await?;
        hand.redrive(dead).await?;
    } else {
        let (mut from, mut left) = (None, args.limit.unwrap_or(u64::MAX));
        loop {
            let max = PAGE.min(usize::try_from(left).unwrap_or(usize::MAX));
            let page = mends.dead(&filter, from, max).await?;
            left = left.saturating_sub(page.dead.len() as u64);
            hand.redrive(page.dead).await?;
            from = page.next;
            if from.is_none() || left == 0 {
                break;
            }
        }
    }
    let tally = hand.tally;
    let told = if tally.dry_run { Ok(()) } else { desk.tell(vec![act(desk, &filter, &tally)]).await };
    desk.out.said(&tally, &tally.sentence())?;
    told
}

async fn named_dead(desk: &Desk, ids: &[MessageId]) -> anyhow::Result<Vec<Dead>> {
    let ledger = desk.ledger()?.desk;
    let mut dead = Vec::new();
    for id in ids {
        let found = ledger.dossier(*id).await?;
        let found = found.ok_or_else(|| Failure::NotFound("message in the ledger", id.to_string()))?;
        dead.push(found.into_dead());
    }
    Ok(dead)
}

fn act(desk: &Desk, filter: &DeadFilter, tally: &Tally) -> Event {
    let now = desk.now();
    let data = json!({
        "actor": actor().told(),
        "customer": filter.customer,
        "route": filter.route,
        "messages": tally.messages,
        "units": tally.units,
        "outcomes": tally.outcomes,
    });
    let id = format!("dead.redriven.{}", now.as_millis());
    Event::uncounted(id, "dead", kinds::DEAD_REDRIVEN, now, data)
}

/// So many messages a second.
struct Pace {
    rate: u32,
    next: Instant,
}

impl Pace {
    async fn wait(&mut self, messages: usize) {
        sleep_until(self.next).await;
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.next = Instant::now() + Duration::from_secs(u64::from(messages)) / self.rate;
    }
}

/// By which days a customer is charged, and within which limits.
type Terms = (TimeZone, Vec<Arc<Quota>>);

struct Hand<'d> {
    desk: &'d Desk,
    book: Book,
    mends: Arc<dyn LedgerMends>,
    terms: HashMap<CustomerId, (Instant, Terms)>,
    pace: Pace,
    uncertain: bool,
    tally: Tally,
}

impl Hand<'_> {
    async fn redrive(&mut self, dead: Vec<Dead>) -> anyhow::Result<()> {
        let mut by_account: BTreeMap<Account, Vec<MessageId>> = BTreeMap::new();
        for one in dead {
            self.tally.count(&one);
            let dead = matches!(one.view.status, State::Failed | State::Expired);
            if dead && one.possible_duplicate && !self.uncertain {
                self.tally.left_out += 1;
            } else {
                by_account.entry(one.account).or_default().push(one.view.id);
            }
        }
        if self.tally.dry_run {
            return Ok(());
        }
        for (account, ids) in by_account {
            for ids in ids.chunks(STEP.min(usize::try_from(self.pace.rate).unwrap_or(STEP))) {
                self.pace.wait(ids.len()).await;
                // Limits may change while many are sent: those in force now hold, not those of the first.
                let (time_zone, quotas) = self.terms(&account.customer).await?;
                let redrive = Redrive {
                    ids: ids.to_vec(),
                    time_zone,
                    quotas,
                    uncertain: self.uncertain,
                    now: self.desk.now(),
                };
                for outcome in self.mends.redrive(redrive).await? {
                    self.tally.became(outcome);
                }
            }
        }
        Ok(())
    }

    /// By which days a customer is charged, and within which limits.
    async fn terms(&mut self, customer: &CustomerId) -> anyhow::Result<Terms> {
        if let Some((read, terms)) = self.terms.get(customer)
            && read.elapsed() < FRESH
        {
            return Ok(terms.clone());
        }
        let read = Instant::now();
        let zone = self.book.customer(customer).await?.time_zone;
        let entries = self.book.all(Kind::Quota, &format!("{customer}/")).await?;
        let quotas = entries.into_iter().filter_map(|entry| match entry {
            Entry::Quota(quota) if quota.customer == *customer => Some(Arc::new(quota)),
            _ => None,
        });
        let terms = (zone, quotas.collect());
        self.terms.insert(customer.clone(), (read, terms.clone()));
        Ok(terms)
    }
}
