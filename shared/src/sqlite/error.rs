//! What can go wrong with an SQLite file, by what the caller does next.

use std::sync::Arc;

use rusqlite::ErrorCode;

/// An error of an SQLite file.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// The statement's own data was refused (constraint, type, size); nothing of the job changed.
    #[error("the data was refused")]
    Data(#[source] Arc<rusqlite::Error>),
    /// The file or its disk did not work; whether the change took effect is not known.
    #[error("the database file does not work")]
    Engine(#[source] Arc<rusqlite::Error>),
    /// The file was made by a newer program.
    #[error("the file has schema version {found}, this program knows {known}")]
    Newer {
        /// What the file says.
        found: usize,
        /// What this program knows.
        known: usize,
    },
    /// A job panicked; nothing of it changed.
    #[error("a job on the database panicked")]
    Panicked,
    /// A thread could not be started.
    #[error("no thread for the database file")]
    Thread(#[source] Arc<std::io::Error>),
    /// The file's thread has ended.
    #[error("the database file is closed")]
    Closed,
}

impl DbError {
    /// Whether the data was at fault, and not the engine.
    #[must_use]
    pub const fn is_data(&self) -> bool {
        matches!(self, Self::Data(_))
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        let data = match &error {
            rusqlite::Error::SqliteFailure(failure, _) => matches!(
                failure.code,
                ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig
            ),
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::ToSqlConversionFailure(_)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => true,
            _ => false,
        };
        if data { Self::Data(Arc::new(error)) } else { Self::Engine(Arc::new(error)) }
    }
}

impl From<std::io::Error> for DbError {
    fn from(error: std::io::Error) -> Self {
        Self::Thread(Arc::new(error))
    }
}
