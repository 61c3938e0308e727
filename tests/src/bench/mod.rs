//! What is measured, and the bare things it is measured against in the same run.

pub mod bare;
pub mod cpu;
pub mod fsync;
pub mod raw_sqlite;
