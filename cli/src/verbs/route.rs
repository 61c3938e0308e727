//! `naru route`: where messages go.

mod provider;

use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{
        Assignment, BackendConfig, ChannelName, CustomerId, HttpBackend, IpNetwork, OnUncertain, Pacing,
        Route, RouteName, SimulatorBackend,
    },
};
use naru_workers::{BackendError, BackendFactory, StandardBackends, check_provider, may_connect};

use super::credential::Place;
use crate::{
    config::check::unsafe_route,
    desk::{Book, Desk},
    exit::Failure,
    infra, output,
    units::{AssignTo, Span, channel_word, few_networks},
};

/// What can be done to routes.
#[derive(Debug, Subcommand)]
pub enum RouteVerb {
    /// Make a route
    Add {
        /// Its name for ever
        name: RouteName,
        /// What takes the messages
        #[command(subcommand)]
        backend: BackendArg,
    },
    /// Change the policy of a route; what is not given stays
    Set {
        /// Which
        name: RouteName,
        /// Speak a provider's API as this file describes it, in place of what it was described by before
        #[arg(long, value_name = "FILE.toml")]
        provider: Option<PathBuf>,
        /// What is set
        #[command(flatten)]
        policy: Policy,
    },
    /// All routes
    List,
    /// One route and who is assigned to it
    Show {
        /// Which
        name: RouteName,
    },
    /// Begin no attempt on it; intake goes on
    Pause {
        /// Which
        name: RouteName,
    },
    /// End a pause
    Resume {
        /// Which
        name: RouteName,
    },
    /// Send a customer's messages there
    Assign {
        /// Where
        name: RouteName,
        /// CUSTOMER for all its channels, or CUSTOMER/CHANNEL
        to: AssignTo,
    },
}

/// The backend of a new route.
#[derive(Debug, Subcommand)]
pub enum BackendArg {
    /// Send over HTTP: JSON by POST, or as a provider's API asks for it
    Http {
        /// Where to; a provider's description says it
        #[arg(required_unless_present = "provider", conflicts_with = "provider")]
        url: Option<String>,
        /// Speak a provider's API as this file describes it
        #[arg(long, value_name = "FILE.toml")]
        provider: Option<PathBuf>,
        /// A private, loopback or link-local network that may be connected to all the same, such as 127.0.0.0/8
        #[arg(long = "allow-network")]
        allow_networks: Vec<IpNetwork>,
        /// What else is set
        #[command(flatten)]
        new: NewRoute,
    },
    /// Send nothing: the recipient's last digits choose what happens
    Simulator {
        /// What else is set
        #[command(flatten)]
        new: NewRoute,
    },
}

/// What a new route is given beside its backend.
#[derive(Debug, Args)]
pub struct NewRoute {
    /// Which messages it carries
    #[arg(long, value_enum, default_value_t = Place::Live)]
    environment: Place,
    /// Assign it at once: CUSTOMER for all its channels, or CUSTOMER/CHANNEL
    #[arg(long = "assign")]
    assign: Vec<AssignTo>,
    #[command(flatten)]
    policy: Policy,
}

/// What happens when it cannot be known, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Doubt {
    /// Sent again, labelled as a possible duplicate
    Retry,
    /// Waits for a person, charge reserved
    Hold,
    /// Fails with code `uncertain`, charge released
    Fail,
}

/// A route's policy.
#[derive(Debug, Args)]
pub struct Policy {
    /// What happens to a message of which it cannot be known whether it was taken [default: fail]
    #[arg(long, value_enum)]
    on_uncertain: Option<Doubt>,
    /// Whether the backend ignores a second request with the same Idempotency-Key [default: false]
    #[arg(long)]
    idempotent: Option<bool>,
    /// Attempts under way at once in one worker process [default: 64]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    concurrency: Option<u32>,
    /// The whole attempt, the answer's body included [default: 15s]
    #[arg(long)]
    attempt_timeout: Option<Span>,
    /// Attempts in all before a message that is never taken fails [default: 50]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_attempts: Option<u32>,
    /// Attempts that begin in a second, over all workers; 0: as many as may be [default: 0]
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    rate: Option<u32>,
    /// Messages that may be tried again, of a hundred that are tried for the first time, beside 10 in a second [default: 20]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=1000))]
    retry_budget: Option<u32>,
}

impl Policy {
    fn apply(&self, route: &mut Route) -> anyhow::Result<()> {
        if let Some(doubt) = self.on_uncertain {
            route.on_uncertain = match doubt {
                Doubt::Retry => OnUncertain::Retry,
                Doubt::Hold => OnUncertain::Hold,
                Doubt::Fail => OnUncertain::Fail,
            };
        }
        route.idempotent = self.idempotent.unwrap_or(route.idempotent);
        route.concurrency = self.concurrency.unwrap_or(route.concurrency);
        route.max_attempts = self.max_attempts.unwrap_or(route.max_attempts);
        route.pacing.retry_percent = self.retry_budget.unwrap_or(route.pacing.retry_percent);
        if let Some(rate) = self.rate {
            route.pacing.per_second = NonZeroU32::new(rate);
        }
        if let Some(span) = self.attempt_timeout {
            let millis = u32::try_from(span.0.as_millis()).ok().filter(|ms| *ms >= 100);
            let too = || Failure::Usage("--attempt-timeout must be between 100ms and the lease".to_owned());
            route.attempt_timeout_ms = millis.ok_or_else(too)?;
        }
        Ok(())
    }
}

/// A route with the defaults that protect.
#[must_use]
pub fn new_route(name: RouteName, environment: Place, backend: BackendConfig) -> Route {
    Route {
        name,
        environment: environment.into(),
        backend,
        on_uncertain: OnUncertain::default(),
        idempotent: false,
        concurrency: 64,
        attempt_timeout_ms: 15_000,
        max_attempts: 50,
        paused: false,
        pacing: Pacing::default(),
        version: 0,
    }
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: RouteVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        RouteVerb::Add { name, backend } => add(desk, name, backend).await,
        RouteVerb::Set { name, provider, policy } => {
            let document = match &provider {
                Some(file) => Some(provider::read(desk, &name, file).await?),
                None => None,
            };
            change(desk, &name, |route| {
                if let Some(document) = &document {
                    provider::replace(route, document)?;
                }
                policy.apply(route)
            })
            .await
        }
        RouteVerb::Pause { name } => {
            change(desk, &name, |route| {
                route.paused = true;
                Ok(())
            })
            .await
        }
        RouteVerb::Resume { name } => {
            change(desk, &name, |route| {
                route.paused = false;
                Ok(())
            })
            .await
        }
        RouteVerb::Show { name } => {
            let book = desk.book()?;
            show(desk, &book, &book.route(&name).await?).await
        }
        RouteVerb::List => list(desk).await,
        RouteVerb::Assign { name, to } => {
            let book = desk.book()?;
            let route = book.route(&name).await?;
            let entry = assignment(&book, &route, &to).await?;
            book.put(vec![entry]).await?;
            show(desk, &book, &route).await
        }
    }
}

async fn add(desk: &Desk, name: RouteName, backend: BackendArg) -> anyhow::Result<()> {
    let (backend, new) = match backend {
        BackendArg::Http { url, provider, allow_networks, new } => {
            let provider = match &provider {
                Some(file) => Some(provider::read(desk, &name, file).await?),
                None => None,
            };
            (BackendConfig::Http(HttpBackend { url: url.unwrap_or_default(), allow_networks, provider }), new)
        }
        BackendArg::Simulator { new } => (BackendConfig::Simulator(SimulatorBackend {}), new),
    };
    let mut route = new_route(name, new.environment, backend);
    new.policy.apply(&mut route)?;
    validate(desk, &route)?;
    let book = desk.book()?;
    let mut entries = vec![Entry::Route(route.clone())];
    for to in &new.assign {
        entries.push(assignment(&book, &route, to).await?);
    }
    book.add(entries, &format!("`naru route set {}` changes it", route.name)).await?;
    show(desk, &book, &book.route(&route.name).await?).await?;
    if infra::makes_nothing_itself(&desk.config) && !desk.out.json {
        output::print("its queues are not there yet: run `naru infra apply`")?;
    }
    Ok(())
}

/// Builds the backend as a worker would, and refuses what would be unsafe.
fn validate(desk: &Desk, route: &Route) -> anyhow::Result<()> {
    if let Some(unsafe_setting) = unsafe_route(&desk.config, route) {
        return Err(Failure::Refused(unsafe_setting).into());
    }
    // What a provider's description names on the workers' machines need not be here.
    let built = match &route.backend {
        BackendConfig::Http(HttpBackend { provider: Some(document), .. }) => {
            check_provider(document).map_err(BackendError::from)
        }
        _ => StandardBackends::default().build(route).map(drop),
    };
    if let Err(error) = built {
        let mistyped = matches!(error, BackendError::Url(_) | BackendError::Provider(_));
        let why = format!("route {}: {:#}", route.name, anyhow::Error::new(error));
        return Err(if mistyped { Failure::Usage(why) } else { Failure::Refused(why) }.into());
    }
    if let BackendConfig::Http(http) = &route.backend {
        few_networks(&http.allow_networks)?;
    }
    if let BackendConfig::Http(http) = &route.backend
        && !may_connect(http)
    {
        let why =
            "is private, loopback or reserved: allow its network with --allow-network, such as 127.0.0.0/8";
        return Err(Failure::Refused(format!("route {}: {} {why}", route.name, destination(route))).into());
    }
    Ok(())
}

async fn assignment(book: &Book, route: &Route, to: &AssignTo) -> anyhow::Result<Entry> {
    if route.environment == naru_shared::domain::Environment::Sandbox {
        let why = "only live routes are assigned: every sandbox message goes to the route `sandbox`";
        return Err(Failure::Refused(why.to_owned()).into());
    }
    book.customer(&to.customer).await?;
    let entry = Entry::Assignment(Assignment {
        customer: to.customer.clone(),
        channel: to.channel.clone(),
        route: route.name.clone(),
        version: 0,
    });
    let version = book.find(Kind::Assignment, &entry.key()).await?.map_or(0, |there| there.version());
    Ok(entry.at_version(version))
}

async fn change<F>(desk: &Desk, name: &RouteName, change: F) -> anyhow::Result<()>
where
    F: Fn(&mut Route) -> anyhow::Result<()> + Send + Sync,
{
    let book = desk.book()?;
    let apply = |entry| match entry {
        Entry::Route(mut route) => {
            change(&mut route)?;
            validate(desk, &route)?;
            Ok(Entry::Route(route))
        }
        other => Ok(other),
    };
    book.change(Kind::Route, name.as_str(), apply).await?;
    show(desk, &book, &book.route(name).await?).await
}

async fn list(desk: &Desk) -> anyhow::Result<()> {
    let routes: Vec<Route> = desk.book()?.routes().await?.iter().map(provider::without_secrets).collect();
    let head = ["route", "environment", "backend", "to", "state", "when uncertain", "concurrency"];
    desk.out.rows(&routes, &head, |r| {
        vec![
            r.name.to_string(),
            r.environment.as_str().to_owned(),
            r.backend.as_str().to_owned(),
            destination(r),
            state(r),
            r.on_uncertain.as_str().to_owned(),
            r.concurrency.to_string(),
        ]
    })
}

#[derive(serde::Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    route: &'a Route,
    assigned: Vec<(CustomerId, Option<ChannelName>)>,
}

async fn show(desk: &Desk, book: &Book, route: &Route) -> anyhow::Result<()> {
    let entries = book.all(Kind::Assignment, "").await?;
    let assigned: Vec<_> = entries
        .into_iter()
        .filter_map(|e| if let Entry::Assignment(a) = e { Some(a) } else { None })
        .filter(|a| a.route == route.name)
        .map(|a| (a.customer, a.channel))
        .collect();
    let words: Vec<String> =
        assigned.iter().map(|(who, channel)| format!("{who}/{}", channel_word(channel.as_ref()))).collect();
    let mut lines = vec![
        ("route", route.name.to_string()),
        ("environment", route.environment.as_str().to_owned()),
        ("backend", route.backend.as_str().to_owned()),
        ("to", destination(route)),
        ("state", state(route)),
        ("when uncertain", route.on_uncertain.as_str().to_owned()),
        ("idempotent", if route.idempotent { "yes" } else { "no" }.to_owned()),
        ("concurrency", route.concurrency.to_string()),
        ("attempt time-out", format!("{} ms", route.attempt_timeout_ms)),
        ("attempts at most", route.max_attempts.to_string()),
        (
            "attempts a second",
            route.pacing.per_second.map_or_else(|| "unbounded".to_owned(), |rate| rate.to_string()),
        ),
        ("retry budget", format!("{} % and {}/s", route.pacing.retry_percent, Pacing::RETRIES_PER_SECOND)),
        ("assigned", if words.is_empty() { "nobody".to_owned() } else { words.join(" ") }),
    ];
    lines.extend(provider::lines(route));
    desk.out.one(&Shown { route: &provider::without_secrets(route), assigned }, &lines)
}

fn destination(route: &Route) -> String {
    match &route.backend {
        BackendConfig::Simulator(_) => "nowhere".to_owned(),
        BackendConfig::Http(http) => provider::url(http),
    }
}

fn state(route: &Route) -> String {
    if route.paused { "paused" } else { "open" }.to_owned()
}
