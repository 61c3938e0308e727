//! Calls of workers that come to more than one round trip, or to one of several.

use std::collections::HashSet;

use super::{PostgresLedger, recovery, settle, settle::Outcomes, take};
use crate::{
    domain::MessageId,
    ledger::{RowRef, Settled, TakeRequest, Taken, book::RouteTurns},
    postgres::PgError,
};

impl PostgresLedger {
    /// Takes in one transaction, whatever the rows are like.
    pub(super) async fn take_slowly(
        &self,
        request: &TakeRequest,
        turns: &mut RouteTurns,
    ) -> Result<Taken, PgError> {
        let call = (request, turns.clone(), self.now());
        let taken = self.database.transact("take-rows", &call, |c, (request, before, clock)| {
            Box::pin(async move {
                let mut turns = before.clone();
                let (taken, news) = take::take(c, request, &mut turns, *clock).await?;
                Ok(((taken, turns), news))
            })
        });
        let (taken, moved) = self.told(taken.await?);
        *turns = moved;
        Ok(taken)
    }

    pub(super) async fn give_rows_back(&self, rows: Vec<(RowRef, u32)>) -> Result<(), PgError> {
        let call = (rows, self.now());
        let news = self
            .database
            .transact("give-back", &call, |c, (rows, clock)| Box::pin(recovery::give_back(c, rows, *clock)));
        self.memory.tell(&news.await?);
        Ok(())
    }

    /// Those that are plain in one statement, if all are; the others, and what a plain one turned out not to be, in one
    /// transaction. The answer of the statement is lost with that of a transaction that fails after it: both come again, and
    /// what is in force already is answered as such.
    pub(super) async fn settle_all(&self, outcomes: &Outcomes<'_>) -> Result<Vec<Settled>, PgError> {
        let mut seen = HashSet::with_capacity(outcomes.batch.len());
        let (mut plain, mut others) = (Vec::new(), Vec::new());
        for (index, settlement) in outcomes.batch.iter().enumerate() {
            let first = seen.insert(settlement.row.id);
            if first && settle::is_plain(settlement, outcomes.emit) { &mut plain } else { &mut others }
                .push(index);
        }
        plain.sort_unstable_by_key(|index| outcomes.batch[*index].row.id);
        let done = self.settle_plain(outcomes, &plain).await?;
        others.extend(plain.iter().filter(|index| !done.contains(&outcomes.batch[**index].row.id)));
        others.sort_unstable();
        let mut settled = vec![Settled::Applied; outcomes.batch.len()];
        if !others.is_empty() {
            let call = (outcomes, &others);
            let looked = self.database.transact("settle-rows", &call, |c, (outcomes, others)| {
                Box::pin(settle::settle(c, outcomes, others))
            });
            for (index, what) in others.iter().zip(self.told(looked.await?)) {
                settled[*index] = what;
            }
        }
        Ok(settled)
    }

    async fn settle_plain(
        &self,
        outcomes: &Outcomes<'_>,
        plain: &[usize],
    ) -> Result<HashSet<MessageId>, PgError> {
        if plain.is_empty() {
            return Ok(HashSet::new());
        }
        let call = (outcomes, plain);
        let delivered = self
            .database
            .statement("settle", &call, |c, (outcomes, plain)| Box::pin(settle::deliver(c, outcomes, plain)));
        let mut done = self.told(delivered.await?);
        let sent = self
            .database
            .statement("settle", &call, |c, (outcomes, plain)| Box::pin(settle::send(c, outcomes, plain)));
        done.extend(self.told(sent.await?));
        Ok(done)
    }
}
