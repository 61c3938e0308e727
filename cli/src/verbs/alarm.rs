//! `naru alarm`: rules about what waits too long, fails too often, or does not come; and which of them hold now.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{AlarmEach, AlarmKind, AlarmName, AlarmRule, CustomerId, Lane, RouteName},
    watch::Raised,
};
use serde::Serialize;

use crate::{
    desk::{Book, Desk},
    exit::Failure,
    output::age,
    units::span,
};

/// What a rule looks at, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// How long the oldest message has waited that could be sent
    OldestAge,
    /// How many of the outcomes within a span were failures
    FailureRatio,
    /// For how long nothing has come
    NoTraffic,
}

impl From<KindArg> for AlarmKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::OldestAge => Self::OldestAge,
            KindArg::FailureRatio => Self::FailureRatio,
            KindArg::NoTraffic => Self::NoTraffic,
        }
    }
}

/// What a rule holds apart, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EachArg {
    /// Each route by itself
    Route,
    /// Each customer by itself
    Customer,
}

/// A lane, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LaneArg {
    /// Soon
    Express,
    /// In time
    Bulk,
}

/// What can be done to alarms.
#[derive(Debug, Subcommand)]
pub enum AlarmVerb {
    /// Set a rule; it replaces the one there was, or the standard one of that name
    Set(SetArgs),
    /// Every rule, and what of it is raised
    List,
    /// Raise nothing by a rule any more
    Remove {
        /// Which
        name: AlarmName,
    },
}

/// A rule.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Its name
    name: AlarmName,
    /// What it looks at
    #[arg(long, value_enum)]
    kind: KindArg,
    /// Only of this route
    #[arg(long)]
    route: Option<RouteName>,
    /// Only of this customer
    #[arg(long)]
    customer: Option<CustomerId>,
    /// Only in this lane (oldest-age)
    #[arg(long, value_enum)]
    lane: Option<LaneArg>,
    /// What it holds apart where neither a route nor a customer is named
    #[arg(long, value_enum, default_value_t = EachArg::Route)]
    each: EachArg,
    /// The age, the span in which outcomes are counted, or the silence: 30s, 5m, 2h, 1d
    #[arg(long, value_parser = span, value_name = "SPAN")]
    over: Duration,
    /// The share of failures, in percent (failure-ratio)
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,
    /// The least number of outcomes that says anything (failure-ratio)
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    least: u64,
}

/// A rule with what of it is raised.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    rule: AlarmRule,
    /// Nobody set it.
    standard: bool,
    raised: Vec<Raised>,
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: AlarmVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        AlarmVerb::Set(args) => set(args, desk).await,
        AlarmVerb::List => list(desk).await,
        AlarmVerb::Remove { name } => remove(&name, desk).await,
    }
}

async fn set(args: SetArgs, desk: &Desk) -> anyhow::Result<()> {
    let book = desk.book()?;
    if let Some(route) = &args.route {
        book.route(route).await?;
    }
    if let Some(customer) = &args.customer {
        book.customer(customer).await?;
    }
    let version = book.find(Kind::Alarm, args.name.as_str()).await?.map_or(0, |there| there.version());
    let ratio = args.kind == KindArg::FailureRatio;
    let rule = AlarmRule {
        name: args.name,
        kind: args.kind.into(),
        route: args.route,
        customer: args.customer,
        lane: args.lane.map(|lane| match lane {
            LaneArg::Express => Lane::Express,
            LaneArg::Bulk => Lane::Bulk,
        }),
        each: match args.each {
            EachArg::Route => AlarmEach::Route,
            EachArg::Customer => AlarmEach::Customer,
        },
        over_ms: u64::try_from(args.over.as_millis()).unwrap_or(u64::MAX),
        percent: if ratio { args.percent } else { 0 },
        least: if ratio { args.least } else { 0 },
        off: false,
        set_at: desk.now(),
        version,
    };
    rule.check().map_err(|error| Failure::Usage(error.to_string()))?;
    book.put(vec![Entry::Alarm(rule.clone())]).await?;
    desk.out.said(&rule, &format!("`{}` is raised when {}", rule.name, words(&rule)))
}

async fn remove(name: &AlarmName, desk: &Desk) -> anyhow::Result<()> {
    let book = desk.book()?;
    let rules = rules(&book).await?;
    let found = rules.into_iter().find(|(rule, _)| rule.name == *name);
    let (rule, _) = found.ok_or_else(|| Failure::NotFound("alarm", name.to_string()))?;
    // The document stays, so that a standard rule stays off.
    let off = AlarmRule { off: true, set_at: desk.now(), ..rule };
    book.put(vec![Entry::Alarm(off.clone())]).await?;
    desk.out.said(&off, &format!("`{name}` raises nothing any more; what it had raised is cleared"))
}

async fn rules(book: &Book) -> anyhow::Result<Vec<(AlarmRule, bool)>> {
    let entries = book.all(Kind::Alarm, "").await?;
    let of_record =
        entries.into_iter().filter_map(|e| if let Entry::Alarm(rule) = e { Some(rule) } else { None });
    let mut rules: Vec<(AlarmRule, bool)> = of_record.map(|rule| (rule, false)).collect();
    for rule in AlarmRule::standard() {
        if rules.iter().all(|(other, _)| other.name != rule.name) {
            rules.push((rule, true));
        }
    }
    Ok(rules)
}

async fn list(desk: &Desk) -> anyhow::Result<()> {
    let raised = desk.ledger()?.watch.raised().await?;
    let rules = rules(&desk.book()?).await?.into_iter().map(|(rule, standard)| Listed {
        raised: raised.iter().filter(|one| one.alarm == rule.name.as_str()).cloned().collect(),
        rule,
        standard,
    });
    let rules: Vec<Listed> = rules.collect();
    let now = desk.now();
    desk.out.rows(&rules, &["alarm", "raised when", "set", "raised now"], |one| {
        let set = match (one.rule.off, one.standard) {
            (true, _) => "off",
            (false, true) => "standard",
            (false, false) => "by hand",
        };
        let told = one
            .raised
            .iter()
            .map(|raised| format!("{} for {}", raised.subject, age(now.since(raised.raised_at))));
        vec![one.rule.name.to_string(), words(&one.rule), set.to_owned(), told.collect::<Vec<_>>().join(", ")]
    })
}

/// A rule in words.
fn words(rule: &AlarmRule) -> String {
    let of = match (&rule.route, &rule.customer) {
        (Some(route), Some(customer)) => format!("of {customer} on {route}"),
        (Some(route), None) => format!("on {route}"),
        (None, Some(customer)) => format!("of {customer}"),
        (None, None) => format!("of any {}", rule.each.as_str()),
    };
    let lane = rule.lane.map_or(String::new(), |lane| format!("{} ", lane.as_str()));
    let over = age(rule.over());
    match rule.kind {
        AlarmKind::OldestAge => format!("a message {lane}{of} has waited for more than {over}"),
        AlarmKind::FailureRatio => {
            format!("{} % of at least {} outcomes {of} within {over} are failures", rule.percent, rule.least)
        }
        AlarmKind::NoTraffic => format!("nothing has come {of} for more than {over}"),
    }
}
