//! What can go wrong with an SQLite file, by what the caller does next.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::ErrorCode;

use super::inspect::is_damage;

/// An error of an SQLite file.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// The statement's own data was refused (constraint, type, size); nothing of the job changed.
    #[error("the data was refused")]
    Data(#[source] Arc<rusqlite::Error>),
    /// The file or its disk did not work; whether the change took effect is not known.
    #[error("the database file does not work")]
    Engine(#[source] Arc<rusqlite::Error>),
    /// The file or its disk did not work; nothing of the job changed, and nothing of it will appear after a crash.
    #[error("the database file did not take the change")]
    Undone(#[source] Arc<rusqlite::Error>),
    /// The file is not as it was written. Nothing that is asked of it again will mend it.
    #[error("{path} is damaged: stop, and put a copy in place with `naru restore COPY --replace`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Whether it is certain that nothing of the job changed.
        undone: bool,
        /// What SQLite says.
        #[source]
        source: Arc<rusqlite::Error>,
    },
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

    /// Whether it is certain that nothing changed.
    #[must_use]
    pub const fn is_without_effect(&self) -> bool {
        matches!(
            self,
            Self::Data(_)
                | Self::Undone(_)
                | Self::Damaged { undone: true, .. }
                | Self::Panicked
                | Self::Newer { .. }
                | Self::Thread(_)
        )
    }

    /// The same error of a transaction whose `COMMIT` was never asked for.
    pub(super) fn before_commit(self) -> Self {
        match self {
            Self::Engine(error) => Self::Undone(error),
            Self::Damaged { path, source, .. } => Self::Damaged { path, undone: true, source },
            other => other,
        }
    }

    /// The same error with the file's name, if the file is damaged.
    pub(super) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Engine(source) if is_damage(&source) => {
                Self::Damaged { path: path.to_owned(), undone: false, source }
            }
            Self::Undone(source) if is_damage(&source) => {
                Self::Damaged { path: path.to_owned(), undone: true, source }
            }
            other => other,
        }
    }

    /// The same error of a `COMMIT`. A full or busy file left the transaction without a whole commit record
    /// (<https://www.sqlite.org/walformat.html>, section 2.2); after any other error one may lie in the log.
    pub(super) fn at_commit(self) -> Self {
        match self {
            Self::Engine(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                ) =>
            {
                Self::Undone(error)
            }
            other => other,
        }
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
