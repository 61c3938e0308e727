//! What waits and what is in somebody's hands, kept in memory beside a file that one process owns.
//!
//! A [`Shelf`] holds a [`Line`] for each queue. Only row numbers are kept here (8 bytes for each that waits); the file
//! holds the rest, and whatever is still in it when the process begins waits again.

mod line;
mod shelf;

pub(crate) use line::{Line, Loan};
pub(crate) use shelf::Shelf;
