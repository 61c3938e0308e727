//! Tables in PostgreSQL, MariaDB and SQLite keep every guarantee, by each kind of mapping.

use std::sync::{Mutex, OnceLock, PoisonError};

use naru_shared::{
    domain::{Clock, SystemClock, TableBackend, preset},
    table::MessageTable,
};
use naru_tests::{
    conformance::table::Fixture,
    engines::{MariaDb, Postgres},
};

static MARIADB: OnceLock<Result<Mutex<MariaDb>, String>> = OnceLock::new();

/// One private MariaDB for all tests of this process.
pub(crate) fn mariadb<T>(ask: impl FnOnce(&MariaDb) -> anyhow::Result<T>) -> anyhow::Result<T> {
    match MARIADB.get_or_init(|| MariaDb::start().map(Mutex::new).map_err(|error| format!("{error:#}"))) {
        Ok(server) => ask(&server.lock().unwrap_or_else(PoisonError::into_inner)),
        Err(error) => anyhow::bail!("{error}"),
    }
}

fn backend(url: &str, mapping: &str) -> anyhow::Result<TableBackend> {
    Ok(TableBackend { url: url.parse()?, mapping: preset(mapping).unwrap() })
}

async fn made(backend: &TableBackend) -> anyhow::Result<MessageTable> {
    let table = MessageTable::new(backend)?;
    table.create(None).await?;
    Ok(table)
}

/// Whoever asks does so between two moments: a turn of the month is not one of them for long.
fn month() -> String {
    SystemClock.now().plus(std::time::Duration::ZERO).to_string()[..7].to_owned()
}

macro_rules! fixture {
    ($name:ident, $engine:ident, $mapping:literal) => {
        mod $name {
            use super::*;

            struct Bed {
                place: $engine,
                backend: TableBackend,
                table: MessageTable,
            }

            impl Fixture for Bed {
                const BOUNDS_TEXT: bool = $engine::BOUNDS_TEXT;

                async fn fresh() -> anyhow::Result<Self> {
                    let place = $engine::fresh().await?;
                    let backend = backend(&place.url(), $mapping)?;
                    let table = made(&backend).await?;
                    Ok(Self { place, backend, table })
                }

                fn table(&self) -> &MessageTable {
                    &self.table
                }

                fn other(&self) -> anyhow::Result<MessageTable> {
                    Ok(MessageTable::new(&self.backend)?)
                }

                fn month(&self) -> String {
                    month()
                }

                async fn agent(&self, statement: &str) -> anyhow::Result<String> {
                    self.place.sql(statement)
                }
            }

            naru_tests::table_conformance!(Bed);
        }
    };
}

struct OnPostgres(String);

impl OnPostgres {
    const BOUNDS_TEXT: bool = true;

    async fn fresh() -> anyhow::Result<Self> {
        Ok(Self(crate::postgres::empty_database().await?.url))
    }

    fn url(&self) -> String {
        self.0.clone()
    }

    fn sql(&self, statement: &str) -> anyhow::Result<String> {
        Postgres::psql_at(&self.0, statement)
    }
}

struct OnMariaDb {
    name: String,
    url: String,
}

impl OnMariaDb {
    const BOUNDS_TEXT: bool = true;

    async fn fresh() -> anyhow::Result<Self> {
        let (name, url) = tokio::task::spawn_blocking(|| {
            mariadb(|server| {
                let name = server.database()?;
                let url = server.url(&name);
                Ok((name, url))
            })
        })
        .await??;
        Ok(Self { name, url })
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn sql(&self, statement: &str) -> anyhow::Result<String> {
        // Its client writes a backslash as two.
        Ok(mariadb(|server| server.sql(&self.name, statement))?.replace("\\\\", "\\"))
    }
}

struct OnSqlite(tempfile::TempDir);

impl OnSqlite {
    const BOUNDS_TEXT: bool = false;

    async fn fresh() -> anyhow::Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("relay.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    fn sql(&self, statement: &str) -> anyhow::Result<String> {
        let connection = rusqlite::Connection::open(self.path())?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        let mut prepared = connection.prepare(statement)?;
        let mut rows = prepared.query([])?;
        let Some(row) = rows.next()? else { return Ok(String::new()) };
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            value => value.as_str()?.to_owned(),
        })
    }
}

fixture!(postgres_naru, OnPostgres, "naru");
fixture!(postgres_em_tran, OnPostgres, "em_tran");
fixture!(postgres_biz_msg, OnPostgres, "BIZ_MSG");
fixture!(mariadb_naru, OnMariaDb, "naru");
fixture!(mariadb_em_tran, OnMariaDb, "em_tran");
fixture!(mariadb_sc_tran, OnMariaDb, "SC_TRAN");
fixture!(sqlite_naru, OnSqlite, "naru");
fixture!(sqlite_em_tran, OnSqlite, "em_tran");
