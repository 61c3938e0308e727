//! One private PostgreSQL for all tests of this process, and a fresh database of it for each fixture.

use std::sync::{Mutex, OnceLock};

use naru_shared::postgres::{PostgresSettings, migrate};
use naru_tests::engines::Postgres;

static SERVER: OnceLock<Result<Mutex<Postgres>, String>> = OnceLock::new();

/// Where connections of tests live: each test's own runtime ends with it.
static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();

pub(crate) fn runtime() -> &'static tokio::runtime::Handle {
    let start = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().unwrap()
    };
    RUNTIME.get_or_init(start).handle()
}

/// A new database with our tables, empty: how to reach it.
pub(crate) async fn database() -> anyhow::Result<PostgresSettings> {
    let settings = empty_database().await?;
    migrate(&settings, None).await?;
    Ok(settings)
}

/// A new database without any table.
pub(crate) async fn empty_database() -> anyhow::Result<PostgresSettings> {
    let url = tokio::task::spawn_blocking(|| {
        let server =
            SERVER.get_or_init(|| Postgres::start().map(Mutex::new).map_err(|error| format!("{error:#}")));
        match server {
            Ok(server) => server.lock().unwrap_or_else(std::sync::PoisonError::into_inner).database(),
            Err(error) => anyhow::bail!("{error}"),
        }
    })
    .await??;
    Ok(PostgresSettings { connections: 4, ..PostgresSettings::at(&url) })
}

/// What `psql` prints for a statement on the database of these settings.
pub(crate) fn psql(settings: &PostgresSettings, statement: &str) -> anyhow::Result<String> {
    let name = settings.url.rsplit('/').next().unwrap_or_default();
    match SERVER.get() {
        Some(Ok(server)) => {
            server.lock().unwrap_or_else(std::sync::PoisonError::into_inner).psql(name, statement)
        }
        _ => anyhow::bail!("the server was not started"),
    }
}
