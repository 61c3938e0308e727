//! MariaDB, and MySQL.

use sqlx::{
    AssertSqlSafe, Connection, MySqlConnection, Row,
    mysql::{MySqlArguments, MySqlConnectOptions, MySqlDatabaseError, MySqlSslMode},
    query::Query,
};
use tokio::time::timeout;

use super::{ANSWER, Rows, line::Line};
use crate::{
    domain::TableUrl,
    table::{TableError, sql::Statement},
};

/// One connection to change by, one to ask by.
pub(in crate::table) struct MySql {
    changing: Line<MySqlConnection>,
    asking: Line<MySqlConnection>,
}

fn bound(statement: &Statement) -> Query<'_, sqlx::MySql, MySqlArguments> {
    let query = sqlx::query(AssertSqlSafe(statement.sql.as_str())).persistent(false);
    statement.arguments.iter().fold(query, |query, argument| query.bind(argument.text()))
}

/// What an error of a statement means before the transaction is committed.
fn undone(error: sqlx::Error) -> TableError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default().into_owned();
            let number = error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
            // What it says of a value may repeat the value.
            let why = match number {
                1062 => "the key is another row's (error 1062)".to_owned(),
                _ => format!("{} (error {number})", error.message()),
            };
            // 1366: characters that the column's character set does not have.
            if code.starts_with("22") || code.starts_with("23") || number == 1366 {
                TableError::Refused { why, taken: number == 1062 }
            } else {
                TableError::Away(why)
            }
        }
        error => TableError::Away(error.to_string()),
    }
}

impl MySql {
    pub(super) fn new(url: &TableUrl) -> Result<Self, String> {
        let address = url.reveal();
        let address =
            address.strip_prefix("mariadb:").map_or(address.to_owned(), |rest| format!("mysql:{rest}"));
        let options: MySqlConnectOptions = address.parse().map_err(|error| match error {
            sqlx::Error::Configuration(source) => source.to_string(),
            _ => "it cannot be parsed".to_owned(),
        })?;
        let options = if says_ssl_mode(&address) { options } else { options.ssl_mode(ssl_mode(&address)) };
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
                let read = |row: &sqlx::mysql::MySqlRow| (0..row.len()).map(|at| row.try_get(at)).collect();
                rows.iter().map(read).collect::<Result<_, _>>().map_err(undone)
            }
            Ok(Err(error)) => Err(undone(error)),
            Err(_elapsed) => Err(TableError::Away(format!("no answer within {ANSWER:?}"))),
        }
    }
}

/// An error, and whether the connection is of further use.
async fn transact(
    connection: &mut MySqlConnection,
    statements: &[Statement],
) -> Result<(), (TableError, bool)> {
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

fn says_ssl_mode(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|pair| pair.starts_with("ssl-mode=") || pair.starts_with("sslmode="))
}

/// Beyond this machine the server's certificate and name are verified unless the address says otherwise.
fn ssl_mode(url: &str) -> MySqlSslMode {
    let place = url.split_once("://").map_or("", |(_, rest)| rest);
    let place = place.split(['/', '?']).next().unwrap_or_default();
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if local { MySqlSslMode::Preferred } else { MySqlSslMode::VerifyIdentity }
}
