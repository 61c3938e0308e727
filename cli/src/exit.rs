//! Exit codes, and which error means which.

use naru_shared::{
    audit::AuditError,
    aws::AwsTrouble,
    catalog::CatalogError,
    data_dir::DataDirError,
    key_file::KeyFileError,
    ledger::LedgerError,
    postgres::MigrateError,
    queue::{QueueError, QueueName},
    sqlite::DbError,
};

use crate::config::ConfigError;

/// How a command ended, for whoever called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed, or refused because it would be unsafe.
    Failed = 1,
    /// Called wrongly: an option, a value, or the configuration, and credentials of AWS belong to it.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// It exists already, or was changed meanwhile.
    Conflict = 4,
    /// Not now: a file or a directory is in use or does not answer. Try again.
    Unavailable = 5,
}

impl Exit {
    /// The word for programs that read `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
        }
    }
}

/// An error that a command tells of its own accord.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// [`Exit::Failed`]
    #[error("{0}")]
    Refused(String),
    /// [`Exit::Usage`]
    #[error("{0}")]
    Usage(String),
    /// [`Exit::NotFound`]
    #[error("there is no {0} `{1}`")]
    NotFound(&'static str, String),
    /// [`Exit::Conflict`]
    #[error("{0}")]
    Conflict(String),
    /// [`Exit::Unavailable`]
    #[error("{0}")]
    Unavailable(String),
}

/// Lanes of the queue that could not be asked, as one error.
#[must_use]
pub fn unseen(silent: Vec<(QueueName, QueueError)>) -> Option<anyhow::Error> {
    let names = silent.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(", ");
    let (_, error) = silent.into_iter().next()?;
    Some(anyhow::Error::new(error).context(format!("of {names}")))
}

/// The exit code of an error: the first of its causes that means one. What is damaged is not mended by trying again.
#[must_use]
pub fn of(error: &anyhow::Error) -> Exit {
    let damaged = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(DbError::Damaged { .. }))
    };
    if error.chain().any(damaged) {
        return Exit::Failed;
    }
    error.chain().find_map(of_cause).unwrap_or(Exit::Failed)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(failure) = cause.downcast_ref() {
        return Some(match failure {
            Failure::Refused(_) => Exit::Failed,
            Failure::Usage(_) => Exit::Usage,
            Failure::NotFound(..) => Exit::NotFound,
            Failure::Conflict(_) => Exit::Conflict,
            Failure::Unavailable(_) => Exit::Unavailable,
        });
    }
    if let Some(error) = cause.downcast_ref() {
        return Some(match error {
            CatalogError::Unavailable(_) => Exit::Unavailable,
            CatalogError::Conflict { .. } => Exit::Conflict,
        });
    }
    if let Some(trouble) = cause.downcast_ref::<AwsTrouble>() {
        return Some(match trouble {
            denied if denied.is_denied() => Exit::Usage,
            passing if passing.is_passing() => Exit::Unavailable,
            _ => Exit::Failed,
        });
    }
    if let Some(LedgerError::Unavailable(_)) = cause.downcast_ref() {
        return Some(Exit::Unavailable);
    }
    if cause.is::<QueueError>() || cause.is::<AuditError>() {
        return Some(Exit::Unavailable);
    }
    if let Some(error) = cause.downcast_ref::<MigrateError>() {
        return Some(match error {
            MigrateError::Role(_) => Exit::Usage,
            error if error.is_passing() => Exit::Unavailable,
            _ => Exit::Failed,
        });
    }
    if let Some(error) = cause.downcast_ref() {
        return Some(match error {
            DataDirError::Missing(_) => Exit::NotFound,
            DataDirError::InUse { .. } => Exit::Unavailable,
            DataDirError::NotADirectory(_) => Exit::Usage,
            DataDirError::HalfRestored(_) | DataDirError::OpenToOthers { .. } | DataDirError::Io { .. } => {
                Exit::Failed
            }
        });
    }
    if let Some(KeyFileError::Missing(_)) = cause.downcast_ref() {
        return Some(Exit::NotFound);
    }
    cause.is::<ConfigError>().then_some(Exit::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_meaning_under_a_context() {
        let error = anyhow::Error::new(Failure::NotFound("route", "x".to_owned())).context("while adding");
        assert_eq!(of(&error), Exit::NotFound);
        let role = MigrateError::Role("x y".to_owned());
        assert_eq!(
            (of(&role.into()), of(&QueueError("away".into()).into())),
            (Exit::Usage, Exit::Unavailable)
        );
        let busy = MigrateError::Busy(std::time::Duration::ZERO, "1".to_owned());
        assert_eq!(of(&busy.into()), Exit::Unavailable);
        let conflict = CatalogError::Conflict { kind: "route", key: "x".to_owned() };
        assert_eq!(of(&conflict.into()), Exit::Conflict);
        assert_eq!(of(&anyhow::anyhow!("anything")), Exit::Failed);
    }
}
