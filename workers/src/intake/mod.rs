//! Intake: from a queue into the ledger.
//!
//! One actor for each lane of each route. It receives packs, opens and classifies them, records a group in one transaction,
//! starts what a free courier takes at once, and then acknowledges. While the ledger is away nothing is received.

mod actor;
mod classify;
mod group;
mod newer;
mod notices;
mod record;

pub(crate) use actor::routine;
pub(crate) use newer::Newer;
pub(crate) use notices::{Fate, apply, unmatched};
