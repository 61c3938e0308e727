//! PostgreSQL 15 or newer, driven by sqlx: a bounded pool, whole transactions tried again, migrations under a lock.
//!
//! Opening waits for nothing: a server that is away is connected to when somebody calls, with pauses in between, and until then
//! every call answers at once that it is away. A connection is used only after it has shown that commits are durable and that
//! the tables are those of this program.

mod error;
mod fitness;
mod migrate;
mod pool;
mod settings;
mod transact;

pub(crate) use error::PgError;
pub(crate) use fitness::Fitness;
pub(crate) use migrate::MIGRATIONS;
pub use migrate::{MigrateError, Migrated, Migration, migrate};
pub(crate) use pool::Pool;
pub use settings::{InvalidUrl, PostgresSettings};
pub(crate) use transact::{BoxFuture, Database};
