//! `naru route`: where messages go.

mod callback;
mod fallback;
mod policy;
mod provider;
mod show;
mod table;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use naru_shared::{
    catalog::{CatalogError, Entry, Kind},
    domain::{Assignment, BackendConfig, HttpBackend, IpNetwork, Route, RouteName, SimulatorBackend},
};
use naru_workers::{BackendError, BackendFactory, StandardBackends, check_provider, may_connect};

use self::{
    callback::Reports,
    policy::Policy,
    show::{Secrets, destination, list, show, show_with},
    table::RoleName,
};
use super::credential::Place;
use crate::{
    config::check::unsafe_route,
    desk::{Book, CHANGE_ATTEMPTS, Desk},
    exit::Failure,
    infra, output,
    units::{AssignTo, few_networks},
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
        /// How its provider proves reports that come later; a new secret, beside which the one before stays valid
        #[arg(long, value_enum)]
        reports: Option<Reports>,
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
        /// What it takes is reported later, by calls that are proved so; a provider's description says it itself
        #[arg(long, value_enum, conflicts_with = "provider")]
        reports: Option<Reports>,
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

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: RouteVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        RouteVerb::Add { name, backend } => add(desk, name, backend).await,
        RouteVerb::Set { name, provider, reports, policy } => {
            let described = match &provider {
                Some(file) => Some(provider::read(desk, &name, file).await?),
                None => None,
            };
            let reports = match reports {
                Some(reports) => {
                    let before = desk.book()?.route(&name).await?.reports.callback;
                    Some(callback::make(desk, &name, before.as_ref(), reports).await?)
                }
                None => None,
            };
            let apply = |route: &mut Route| {
                if let Some(described) = &described {
                    provider::replace(route, described)?;
                }
                if let Some(reports) = &reports {
                    reports.apply(route)?;
                }
                policy.apply(route)
            };
            alter(desk, &name, apply).await?;
            let book = desk.book()?;
            let secrets = Secrets { carrier: None, callback: reports.and_then(callback::Change::secret) };
            show_with(desk, &book, &book.route(&name).await?, secrets).await
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
    let mut carrier = None;
    let (mut reports, mut described_callback) = (None, None);
    let (backend, new) = match backend {
        BackendArg::Table { url, mapping, carrier: role, new } => {
            carrier = role;
            (BackendConfig::Table(Box::new(table::backend(&url, &mapping)?)), new)
        }
        BackendArg::Http { url, provider, allow_networks, reports: how, new } => {
            let provider = match &provider {
                Some(file) => {
                    let described = provider::read(desk, &name, file).await?;
                    described_callback = described.callback;
                    Some(described.document)
                }
                None => None,
            };
            if let Some(how) = how {
                reports = Some(callback::make(desk, &name, None, how).await?);
            }
            (BackendConfig::Http(HttpBackend { url: url.unwrap_or_default(), allow_networks, provider }), new)
        }
        BackendArg::Simulator { new } => (BackendConfig::Simulator(SimulatorBackend {}), new),
    };
    let mut route = Route::new(name, new.environment.into(), backend);
    if let BackendConfig::Table(_) = &route.backend {
        table::defaults(&mut route);
    }
    route.reports.callback = described_callback;
    if let Some(reports) = &reports {
        reports.apply(&mut route)?;
    }
    new.policy.apply(&mut route)?;
    validate(desk, &route)?;
    let book = desk.book()?;
    fallback::check(&book, &route).await?;
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
    let secrets = Secrets { carrier: made, callback: reports.and_then(callback::Change::secret) };
    show_with(desk, &book, &book.route(&route.name).await?, secrets).await?;
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
    if matches!(route.backend, BackendConfig::Table(_)) && !route.idempotent {
        let why = "a table ignores what it has already: --idempotent false says what is not so";
        return Err(Failure::Refused(format!("route {}: {why}", route.name)).into());
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
    alter(desk, name, change).await?;
    let book = desk.book()?;
    show(desk, &book, &book.route(name).await?).await
}

async fn alter<F>(desk: &Desk, name: &RouteName, change: F) -> anyhow::Result<()>
where
    F: Fn(&mut Route) -> anyhow::Result<()> + Send + Sync,
{
    let book = desk.book()?;
    let mut tries = 0;
    loop {
        let before = book.route(name).await?;
        let mut route = before.clone();
        change(&mut route)?;
        validate(desk, &route)?;
        let reached = fallback::check(&book, &route).await?;
        // Two lists that are each right alone could lead in a circle together: who writes one holds what it leads to.
        let held = if route.fallback == before.fallback { Vec::new() } else { reached };
        let entries = std::iter::once(route).chain(held).map(Entry::Route).collect();
        tries += 1;
        match book.put(entries).await {
            Err(error) if tries < CHANGE_ATTEMPTS && is_conflict(&error) => {}
            other => return other.map(|_| ()),
        }
    }
}

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(CatalogError::Conflict { .. }))
}
