//! One suite of guarantees for each port; every adapter and decorator passes it.

pub mod ledger;
