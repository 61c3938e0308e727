//! `naru route`: where messages go.

use clap::{Args, Subcommand, ValueEnum};
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{
        Assignment, BackendConfig, ChannelName, CustomerId, HttpBackend, IpNetwork, OnUncertain, Route,
        RouteName, ShownRoute, SimulatorBackend,
    },
};
use naru_workers::{BackendError, BackendFactory, StandardBackends, may_connect};

use super::credential::Place;

mod table;

use crate::{
    config::check::unsafe_route,
    desk::{Book, Desk},
    exit::Failure,
    infra, output,
    units::{AssignTo, Span, channel_word},
};
use table::{Carrier, RoleName};

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
    /// Send over HTTP: JSON by POST
    Http {
        /// Where to
        url: String,
        /// A private, loopback or link-local network that may be connected to all the same, such as 127.0.0.0/8
        #[arg(long = "allow-network")]
        allow_networks: Vec<IpNetwork>,
        /// What else is set
        #[command(flatten)]
        new: NewRoute,
    },
    /// Insert rows into a table, where a carrier's agent takes them; makes what is missing there
    Table {
        /// postgres://…, mariadb://…, mysql://… or sqlite:///…; `-` reads it from standard input, since it may hold a password
        url: String,
        /// How its columns and states are to be understood: naru, em_tran, SC_TRAN, BIZ_MSG, or a TOML file
        #[arg(long, default_value = "naru")]
        mapping: String,
        /// A role for the carrier, made if it is not there: it may read the table and write the carrier's columns
        #[arg(long)]
        carrier: Option<RoleName>,
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
        RouteVerb::Set { name, policy } => change(desk, &name, |route| policy.apply(route)).await,
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
    let mut carrier = None;
    let (backend, new) = match backend {
        BackendArg::Table { url, mapping, carrier: role, new } => {
            carrier = role;
            (BackendConfig::Table(Box::new(table::backend(&url, &mapping)?)), new)
        }
        BackendArg::Http { url, allow_networks, new } => {
            (BackendConfig::Http(HttpBackend { url, allow_networks }), new)
        }
        BackendArg::Simulator { new } => (BackendConfig::Simulator(SimulatorBackend {}), new),
    };
    let mut route = new_route(name, new.environment, backend);
    if let BackendConfig::Table(_) = &route.backend {
        table::defaults(&mut route);
    }
    new.policy.apply(&mut route)?;
    validate(desk, &route)?;
    let book = desk.book()?;
    let made = match &route.backend {
        BackendConfig::Table(table) => {
            if book.find(Kind::Route, route.name.as_str()).await?.is_some() {
                let there = format!("route `{}` exists already: `naru route set {0}` changes it", route.name);
                return Err(Failure::Conflict(there).into());
            }
            table::create(table, carrier.as_ref()).await?
        }
        _ => None,
    };
    let mut entries = vec![Entry::Route(route.clone())];
    for to in &new.assign {
        entries.push(assignment(&book, &route, to).await?);
    }
    book.add(entries, &format!("`naru route set {}` changes it", route.name)).await?;
    show_with(desk, &book, &book.route(&route.name).await?, made).await?;
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
    if let Err(error) = StandardBackends.build(route) {
        let mistyped = matches!(error, BackendError::Url(_));
        let why = format!("route {}: {:#}", route.name, anyhow::Error::new(error));
        return Err(if mistyped { Failure::Usage(why) } else { Failure::Refused(why) }.into());
    }
    if matches!(route.backend, BackendConfig::Table(_)) && !route.idempotent {
        let why = "a table ignores what it has already: --idempotent false says what is not so";
        return Err(Failure::Refused(format!("route {}: {why}", route.name)).into());
    }
    if let BackendConfig::Http(http) = &route.backend
        && !may_connect(http)
    {
        let why =
            "is private, loopback or reserved: allow its network with --allow-network, such as 127.0.0.0/8";
        return Err(Failure::Refused(format!("route {}: {} {why}", route.name, http.url)).into());
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
    let routes = desk.book()?.routes().await?;
    let head = ["route", "environment", "backend", "to", "state", "when uncertain", "concurrency"];
    let shown: Vec<ShownRoute<'_>> = routes.iter().map(ShownRoute).collect();
    desk.out.rows(&shown, &head, |ShownRoute(r)| {
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
    route: ShownRoute<'a>,
    assigned: Vec<(CustomerId, Option<ChannelName>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<Carrier>,
}

async fn show(desk: &Desk, book: &Book, route: &Route) -> anyhow::Result<()> {
    show_with(desk, book, route, None).await
}

async fn show_with(desk: &Desk, book: &Book, route: &Route, carrier: Option<Carrier>) -> anyhow::Result<()> {
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
        ("assigned", if words.is_empty() { "nobody".to_owned() } else { words.join(" ") }),
    ];
    if let Some(carrier) = &carrier {
        lines.push(("carrier's role", carrier.role.clone()));
        let password = carrier.password.as_ref().map(|password| format!("{password} (shown this once only)"));
        lines.push(("its password", password.unwrap_or_else(|| "as it was".to_owned())));
    }
    desk.out.one(&Shown { route: ShownRoute(route), assigned, carrier }, &lines)
}

fn destination(route: &Route) -> String {
    match &route.backend {
        BackendConfig::Simulator(_) => "nowhere".to_owned(),
        BackendConfig::Http(http) => http.url.clone(),
        BackendConfig::Table(table) => format!("{} in {}", table.mapping.table, table.url),
    }
}

fn state(route: &Route) -> String {
    if route.paused { "paused" } else { "open" }.to_owned()
}
