//! Databases, behind three verbs: change in one transaction, ask, and define.

mod line;
mod mysql;
mod postgres;
mod sqlite;

use std::time::Duration;

use super::{TableError, sql::Statement};
use crate::domain::{TableEngine, TableUrl};

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What was asked for, row by row.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// See the module.
pub(super) enum Engine {
    Postgres(postgres::Postgres),
    MySql(mysql::MySql),
    Sqlite(sqlite::Sqlite),
}

impl Engine {
    pub(super) fn new(url: &TableUrl) -> Result<Self, String> {
        match url.engine().map_err(|error| error.to_string())? {
            TableEngine::Postgres => postgres::Postgres::new(url).map(Self::Postgres),
            TableEngine::MySql => mysql::MySql::new(url).map(Self::MySql),
            TableEngine::Sqlite => sqlite::Sqlite::new(url).map(Self::Sqlite),
        }
    }

    /// Changes all or nothing.
    pub(super) async fn change(&self, statements: Vec<Statement>) -> Result<(), TableError> {
        match self {
            Self::Postgres(engine) => engine.change(statements).await,
            Self::MySql(engine) => engine.change(statements).await,
            Self::Sqlite(engine) => engine.change(statements).await,
        }
    }

    pub(super) async fn ask(&self, statement: Statement) -> Result<Rows, TableError> {
        match self {
            Self::Postgres(engine) => engine.ask(statement).await,
            Self::MySql(engine) => engine.ask(statement).await,
            Self::Sqlite(engine) => engine.ask(statement).await,
        }
    }

    /// Makes tables and roles, statement by statement.
    pub(super) async fn define(&self, statements: Vec<String>) -> Result<(), TableError> {
        for sql in statements {
            self.change(vec![Statement { sql, arguments: Vec::new() }]).await?;
        }
        Ok(())
    }
}
