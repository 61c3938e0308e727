//! What is measured, and the bare things it is measured against in the same run.
//!
//! [`suite`] is the whole benchmark of one process, [`wide`] that over the engines at scale, and [`scale`] the proof of size;
//! the others are their instruments.

pub mod bare;
pub mod cpu;
pub mod fsync;
pub mod raw_sqlite;
pub mod scale;
mod stage;
pub mod suite;
mod table;
mod table_route;
pub mod wide;

pub use table::Table;
