//! A file of SQLite, driven as every file of ours is; the agent opens it as well.

use std::{path::PathBuf, time::Duration};

use rusqlite::{
    Connection,
    ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE},
    params_from_iter,
    types::ValueRef,
};
use tokio::{sync::OnceCell, time::timeout};

use super::{ANSWER, Rows};
use crate::{
    domain::TableUrl,
    sqlite::{Db, DbError},
    table::{
        TableError,
        sql::{Argument, Statement},
    },
};

/// How long a call may take; longer than the wait for an agent's write lock.
const CALL: Duration = Duration::from_secs(15);

/// A file, opened when it is first needed.
pub(in crate::table) struct Sqlite {
    path: PathBuf,
    db: OnceCell<Db>,
}

fn undone(error: DbError) -> TableError {
    let taken = |error: &rusqlite::Error| match error {
        // Other constraints say something of the row, not of its key.
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.extended_code,
            SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_ROWID
        ),
        _ => false,
    };
    match error {
        DbError::Data(source) => TableError::Refused { why: source.to_string(), taken: taken(&source) },
        error if error.is_without_effect() => TableError::Away(told(&error)),
        error => TableError::Unknown(told(&error)),
    }
}

/// An agent may write bytes that are no text: what can be read of them is, and the row holds up no other.
fn readable(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn told(error: &DbError) -> String {
    crate::causes::Causes(error).to_string()
}

impl Sqlite {
    pub(super) fn new(url: &TableUrl) -> Result<Self, String> {
        let path = url.path().ok_or("it names no file")?;
        Ok(Self { path: PathBuf::from(path), db: OnceCell::new() })
    }

    async fn db(&self) -> Result<&Db, TableError> {
        let path = self.path.clone();
        let open = || async move {
            let opening = tokio::task::spawn_blocking(move || Db::open(&path, &[], Duration::ZERO));
            match timeout(ANSWER, opening).await {
                Ok(Ok(Ok(db))) => Ok(db),
                Ok(Ok(Err(error))) => Err(TableError::Away(told(&error))),
                _ => Err(TableError::Away("the file could not be opened".to_owned())),
            }
        };
        self.db.get_or_try_init(open).await
    }

    pub(super) async fn change(&self, statements: Vec<Statement>) -> Result<(), TableError> {
        let work = move |connection: &Connection| {
            for statement in &statements {
                connection
                    .prepare(&statement.sql)?
                    .execute(params_from_iter(statement.arguments.iter().map(Argument::text)))?;
            }
            Ok(())
        };
        match timeout(CALL, self.db().await?.write(work)).await {
            Ok(changed) => changed.map_err(undone),
            Err(_elapsed) => Err(TableError::Unknown(format!("no answer within {CALL:?}"))),
        }
    }

    pub(super) async fn ask(&self, statement: Statement) -> Result<Rows, TableError> {
        let work = move |connection: &Connection| {
            let mut prepared = connection.prepare(&statement.sql)?;
            let width = prepared.column_count();
            let rows = prepared.query_map(
                params_from_iter(statement.arguments.iter().map(Argument::text)),
                |row| {
                    (0..width).map(|at| row.get_ref(at).map(readable)).collect::<rusqlite::Result<Vec<_>>>()
                },
            )?;
            rows.collect()
        };
        match timeout(CALL, self.db().await?.read(work)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(TableError::Away(told(&error))),
            Err(_elapsed) => Err(TableError::Away(format!("no answer within {CALL:?}"))),
        }
    }
}
