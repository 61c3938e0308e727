//! `naru migrate`: the tables in PostgreSQL, made or brought up to date before the program that needs them starts.

use std::time::Duration;

use naru_shared::{
    audit::Scribe,
    catalog::Actor,
    engines::{CatalogEngine, Engines, LedgerEngine},
    ports,
    postgres::{Migration, PostgresSettings},
};
use serde_json::json;
use tokio::runtime::Handle;

use crate::{beginning, config::Config, exit::Failure, fingerprint, output::Output, place};

/// Brings every database of the configuration up to date, and the catalog to what every deployment begins with; `reader` is the
/// role that ingress reads as, `patience` how long others may be in the way.
///
/// # Errors
/// [`Failure::Refused`] if no port has its data in PostgreSQL; else if a server cannot be reached or refuses.
pub async fn run(config: &Config, reader: &str, patience: Duration, out: Output) -> anyhow::Result<()> {
    let engines = config.engines();
    let databases = databases(&engines);
    if databases.is_empty() {
        let why = "neither the ledger nor the catalog is in PostgreSQL: there is nothing to migrate";
        return Err(Failure::Refused(why.to_owned()).into());
    }
    for settings in &databases {
        let migration = Migration { steps: config.release.migrations, reader: Some(reader), patience };
        let done = migration.run(settings).await?;
        let sentence = if done.from == done.to {
            format!("the tables are up to date (version {})", done.to)
        } else {
            format!("the tables were brought from version {} to {}", done.from, done.to)
        };
        out.said(&json!({ "from": done.from, "to": done.to }), &sentence)?;
    }
    if matches!(engines.catalog, CatalogEngine::Postgres(_)) {
        // Whoever makes the tables may have no right to the secrets; then the first workers say whose they are, and that the route of
        // the sandbox was written is in no record.
        let keyring = place::keyring(config, None);
        let scribe = keyring.as_ref().ok().map(|keyring| Scribe::new(keyring.audit(), Actor::Process));
        let catalog = ports::open_catalog(&engines.catalog, None, &Handle::current(), scribe)?;
        beginning::write(&catalog).await?;
        if let Ok(keyring) = keyring {
            fingerprint::hold(&catalog, &keyring, true).await?;
        }
    }
    Ok(())
}

/// Each database once, however many ports have their data in it.
fn databases(engines: &Engines) -> Vec<PostgresSettings> {
    let mut databases: Vec<PostgresSettings> = Vec::new();
    if let LedgerEngine::Postgres(engine) = &engines.ledger {
        databases.push(engine.settings());
    }
    if let CatalogEngine::Postgres(settings) = &engines.catalog
        && databases.iter().all(|known| known.url != settings.url)
    {
        databases.push(settings.clone());
    }
    databases
}
