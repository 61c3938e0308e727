//! What can go wrong with PostgreSQL, by what the caller does next.

use std::{error::Error, fmt, time::Duration};

use crate::{catalog::CatalogError, ledger::LedgerError};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PgError {
    /// The server or the connection to it said so.
    #[error("{}", told(.0))]
    Sql(#[from] sqlx::Error),
    /// It was away a moment ago, and is not asked again yet.
    #[error("PostgreSQL is away")]
    Away,
    /// All connections are in use.
    #[error("no connection became free within {0:?}")]
    Busy(Duration),
    /// No answer in time; whether the call took effect is not known.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The server must not be used as it is set up.
    #[error("{0}")]
    Refused(String),
    /// A row holds what no program of ours wrote.
    #[error("a row cannot be read: {0}")]
    Unreadable(String),
    /// Rows moved while they were looked for.
    #[error("rows moved while they were looked for")]
    Moved,
}

/// A database error by its SQLSTATE and sentence, without the row's own data (which stands in its detail).
fn told(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            format!("PostgreSQL: {} (SQLSTATE {code})", database.message())
        }
        other => format!("PostgreSQL: {other}"),
    }
}

impl PgError {
    /// The five characters by which PostgreSQL names an error.
    pub(crate) fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => error.code().map(std::borrow::Cow::into_owned),
            _ => None,
        }
    }

    /// Whether the data was at fault, and not the engine: classes 22 (data exception) and 23 (constraint violation), and
    /// nothing else (PostgreSQL documentation, appendix A).
    pub(crate) fn is_data(&self) -> bool {
        self.sqlstate().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
    }

    /// Whether the connection is of no more use.
    pub(crate) fn is_of_connection(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(_)) => {
                self.sqlstate().is_some_and(|code| {
                    // The server ends the session, or this is not the primary any more: the next may be elsewhere. Or a
                    // migration changed what a statement gives that this session has prepared (0A000).
                    matches!(code.as_str(), "57P01" | "57P02" | "57P03" | "25006" | "0A000")
                        || code.starts_with("08")
                })
            }
            Self::Sql(_) | Self::TimedOut(_) => true,
            Self::Away | Self::Busy(_) | Self::Refused(_) | Self::Unreadable(_) | Self::Moved => false,
        }
    }

    /// Whether the same transaction may succeed if it is tried again as a whole, given that it did not commit.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(_)) => self.sqlstate().is_some_and(|code| {
                self.is_of_connection()
                    || code.starts_with("53")
                    || matches!(code.as_str(), "40001" | "40P01")
            }),
            Self::Sql(
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_) | sqlx::Error::Configuration(_),
            ) => false,
            Self::Sql(_) | Self::Moved => true,
            Self::Away | Self::Busy(_) | Self::TimedOut(_) | Self::Refused(_) | Self::Unreadable(_) => false,
        }
    }

    /// Whether a `COMMIT` that answered so certainly did not take effect: it was refused as one of two that cannot both be.
    pub(crate) fn is_rolled_back(&self) -> bool {
        self.sqlstate().is_some_and(|code| matches!(code.as_str(), "40001" | "40P01"))
    }

    /// A word for a label.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Sql(sqlx::Error::Database(_)) => match self.sqlstate().as_deref() {
                Some("40001" | "40P01") => "conflict",
                Some(code) if code.starts_with("53") => "resources",
                _ if self.is_of_connection() => "session-ended",
                _ if self.is_data() => "data",
                _ => "statement",
            },
            Self::Sql(_) => "connection",
            Self::Away => "away",
            Self::Busy(_) => "busy",
            Self::TimedOut(_) => "timeout",
            Self::Refused(_) => "refused",
            Self::Unreadable(_) => "unreadable",
            Self::Moved => "moved",
        }
    }

    /// A value that this program cannot have written.
    pub(crate) fn unreadable(what: &str, why: impl fmt::Display) -> Self {
        Self::Unreadable(format!("{what}: {why}"))
    }
}

impl From<PgError> for LedgerError {
    fn from(error: PgError) -> Self {
        let data = error.is_data();
        let source: Box<dyn Error + Send + Sync> = Box::new(error);
        if data { Self::Indigestible(source) } else { Self::Unavailable(source) }
    }
}

impl From<PgError> for CatalogError {
    fn from(error: PgError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}
