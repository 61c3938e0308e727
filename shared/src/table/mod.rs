//! The port `table`: messages as rows of a database of its own, where a carrier's agent takes them and writes what became of them.
//!
//! Beside the table lies another, which tells which message a row is of, whatever the row's key is and wherever its owner moves it.
//! Both rows are written in one transaction, and a message that has a row there is never inserted again.

mod collect;
mod create;
mod engine;
mod insert;
mod numbers;
mod seen;
mod sql;
mod trial;

use std::sync::Arc;

pub use collect::{Told, Turn};
pub use create::{CarrierRole, Made};
use engine::Engine;
pub use insert::Draft;

use crate::domain::{InvalidMapping, InvalidTableUrl, TableBackend, TableMapping};
use sql::Dialect;

/// What the caller does next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TableError {
    /// Nothing was changed; it may be tried again.
    #[error("{0}")]
    Away(String),
    /// Nothing was changed: the database does not take what it was given.
    #[error("{why}")]
    Refused {
        /// What the database says, without the row's own data.
        why: String,
        /// The key is another row's.
        taken: bool,
    },
    /// Whether it took effect is not known; it may be tried again.
    #[error("{0}")]
    Unknown(String),
}

/// A table backend cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum UnusableTable {
    /// Its address.
    #[error(transparent)]
    Url(#[from] InvalidTableUrl),
    /// Its address, as the driver reads it.
    #[error("the URL of the table's database cannot be used: {0}")]
    Address(String),
    /// Its mapping.
    #[error(transparent)]
    Mapping(#[from] InvalidMapping),
}

/// A table. Opening waits for nothing: its database is connected to when somebody calls.
pub struct MessageTable {
    mapping: Arc<TableMapping>,
    dialect: Dialect,
    engine: Engine,
}

impl MessageTable {
    /// A table that is connected to when somebody calls.
    ///
    /// # Errors
    /// If its address or its mapping cannot be used.
    pub fn new(backend: &TableBackend) -> Result<Self, UnusableTable> {
        backend.mapping.check()?;
        let dialect = Dialect::of(backend.url.engine()?);
        let engine = Engine::new(&backend.url).map_err(UnusableTable::Address)?;
        Ok(Self { mapping: Arc::new(backend.mapping.clone()), dialect, engine })
    }

    /// How it is to be understood.
    #[must_use]
    pub fn mapping(&self) -> &TableMapping {
        &self.mapping
    }
}
