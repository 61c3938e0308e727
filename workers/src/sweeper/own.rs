//! Finds rows that are `sending` in this process's own name although none of its couriers holds them.
//!
//! A call that took or started rows may have taken effect after its caller was replaced, or had given up waiting. The attempt of
//! such a row was never begun, since only held rows are sent: so it goes back. A row counts as such only if every call that was
//! under way when it was first seen has ended, and it is still there, and still not held.

use std::{collections::HashMap, sync::Arc};

use naru_shared::{
    domain::IncarnationId,
    ledger::{LedgerError, RowRef},
};

use crate::{crew::Crew, patience};

/// Rows looked at beyond those that are held.
const BEYOND: usize = 256;

/// Rows seen that nobody held, with the number of the latest call at that time.
#[derive(Default)]
pub(super) struct Orphans(HashMap<(i64, u32), u64>);

impl Orphans {
    pub(super) fn are_suspected(&self) -> bool {
        !self.0.is_empty()
    }
}

pub(super) async fn look_after(crew: &Arc<Crew>, orphans: &mut Orphans) -> Result<(), LedgerError> {
    let mut seen = HashMap::new();
    let mut back: Vec<(RowRef, u32)> = Vec::new();
    for incarnation in crew.incarnations.all() {
        let rows = patience::ledger(crew.deps.ledger.lost(incarnation, crew.held() + BEYOND)).await?;
        let empty = rows.is_empty();
        for work in rows {
            let key = (work.row.row, work.attempt);
            if crew.desk(&work.route).is_some_and(|desk| desk.table.holds(key)) {
                continue;
            }
            match orphans.0.get(&key) {
                Some(number) if crew.transit.all_ended(*number) => back.push((work.row, work.attempt)),
                Some(number) => drop(seen.insert(key, *number)),
                None => drop(seen.insert(key, crew.transit.latest())),
            }
        }
        if empty {
            forget_former(crew, incarnation).await?;
        }
    }
    orphans.0 = seen;
    if !back.is_empty() {
        tracing::warn!(rows = back.len(), "rows that were taken and never begun go back");
        patience::ledger(crew.deps.ledger.give_back(back)).await?;
    }
    Ok(())
}

async fn forget_former(crew: &Crew, incarnation: IncarnationId) -> Result<(), LedgerError> {
    // A call that is under way may still end with rows in the former name.
    let quiet = crew.transit.all_ended(crew.transit.latest());
    if incarnation != crew.incarnations.current()
        && quiet
        && patience::ledger(crew.deps.ledger.bury(incarnation)).await?
    {
        crew.incarnations.forget(incarnation);
    }
    Ok(())
}

/// At the end of work, when no call is under way any more: gives back at once what nobody holds.
pub(crate) async fn give_back_unheld(crew: &Arc<Crew>) -> Result<(), LedgerError> {
    let mut orphans = Orphans::default();
    look_after(crew, &mut orphans).await?;
    if orphans.are_suspected() { look_after(crew, &mut orphans).await } else { Ok(()) }
}
