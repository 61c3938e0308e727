//! PostgreSQL.

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, Row,
    postgres::{PgArguments, PgConnectOptions},
    query::Query,
};
use tokio::time::timeout;

use super::{ANSWER, Rows, line::Line};
use crate::{
    domain::TableUrl,
    postgres::PostgresSettings,
    table::{
        TableError,
        sql::{Argument, Statement},
    },
};

/// One connection to change by, one to ask by.
pub(in crate::table) struct Postgres {
    changing: Line<PgConnection>,
    asking: Line<PgConnection>,
}

fn bound(statement: &Statement) -> Query<'_, sqlx::Postgres, PgArguments> {
    // Not kept: between us and the database there may be a pooler that hands out another connection for each transaction.
    let query = sqlx::query(AssertSqlSafe(statement.sql.as_str())).persistent(false);
    statement.arguments.iter().fold(query, |query, argument| match argument {
        Argument::One(text) => query.bind(text.as_deref()),
        Argument::Column(texts) => query.bind(texts.as_slice()),
    })
}

/// What an error of a statement means before the transaction is committed.
fn undone(error: sqlx::Error) -> TableError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default().into_owned();
            let why = format!("{} (SQLSTATE {code})", error.message());
            if code.starts_with("22") || code.starts_with("23") {
                TableError::Refused { why, taken: code == "23505" }
            } else {
                TableError::Away(why)
            }
        }
        error => TableError::Away(error.to_string()),
    }
}

impl Postgres {
    pub(super) fn new(url: &TableUrl) -> Result<Self, String> {
        let options: PgConnectOptions =
            PostgresSettings::at(url.reveal()).foreign("naru-table").map_err(|error| error.to_string())?;
        Ok(Self { changing: Line::new(options.clone()), asking: Line::new(options) })
    }

    pub(super) async fn change(&self, statements: Vec<Statement>) -> Result<(), TableError> {
        let (mut connection, mut line) = self.changing.take().await?;
        match timeout(ANSWER, transact(&mut connection, &statements)).await {
            Ok(Ok(())) => {
                line.put_back(connection);
                Ok(())
            }
            Ok(Err((error, clean))) => {
                if clean {
                    line.put_back(connection);
                }
                Err(error)
            }
            Err(_elapsed) => Err(TableError::Unknown(format!("no answer within {ANSWER:?}"))),
        }
    }

    pub(super) async fn ask(&self, statement: Statement) -> Result<Rows, TableError> {
        let (mut connection, mut line) = self.asking.take().await?;
        match timeout(ANSWER, bound(&statement).fetch_all(&mut connection)).await {
            Ok(Ok(rows)) => {
                line.put_back(connection);
                let read = |row: &sqlx::postgres::PgRow| (0..row.len()).map(|at| row.try_get(at)).collect();
                rows.iter().map(read).collect::<Result<_, _>>().map_err(undone)
            }
            Ok(Err(error)) => Err(undone(error)),
            Err(_elapsed) => Err(TableError::Away(format!("no answer within {ANSWER:?}"))),
        }
    }
}

/// An error, and whether the connection is of further use.
async fn transact(connection: &mut PgConnection, statements: &[Statement]) -> Result<(), (TableError, bool)> {
    let mut transaction = connection.begin().await.map_err(|error| (undone(error), false))?;
    for statement in statements {
        if let Err(error) = bound(statement).execute(&mut *transaction).await {
            let refused = matches!(error, sqlx::Error::Database(_));
            let clean = refused && transaction.rollback().await.is_ok();
            return Err((undone(error), clean));
        }
    }
    match transaction.commit().await {
        Ok(()) => Ok(()),
        // It was answered: what a transaction checks at its end was not well.
        Err(error @ sqlx::Error::Database(_)) => Err((undone(error), false)),
        Err(error) => Err((TableError::Unknown(error.to_string()), false)),
    }
}
