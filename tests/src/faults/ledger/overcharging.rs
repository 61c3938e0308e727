//! Charges one message in eight twice.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use naru_shared::{
    domain::{IncarnationId, RouteName, Timestamp},
    ledger::{
        IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, Ledger, LedgerError, RowRef, Settled, Settlement,
        TakeRequest, Taken, Waiting, Woken, Work,
    },
    sqlite,
};
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::forward;

/// See the module. It writes to the ledger's file as a careless statement would.
pub(in crate::faults) struct Overcharging {
    inner: Arc<dyn Ledger>,
    file: Mutex<Connection>,
}

impl Overcharging {
    pub(in crate::faults) fn new(inner: Arc<dyn Ledger>, file: &Path) -> anyhow::Result<Self> {
        Ok(Self { inner, file: Mutex::new(sqlite::connect(file)?) })
    }

    fn charge_again(&self, entry: &IntakeEntry) -> rusqlite::Result<usize> {
        let sql = "UPDATE usage SET used = used + 1 WHERE customer = ?1 AND day = ?2 AND channel = ?3";
        let channel = entry.message.content.channel.as_str();
        self.file.lock().execute(sql, params![entry.account.customer.as_str(), entry.day.as_i32(), channel])
    }
}

#[async_trait]
impl Ledger for Overcharging {
    async fn intake(&self, batch: IntakeBatch) -> Result<IntakeDone, LedgerError> {
        let entries = batch.entries.clone();
        let done = self.inner.intake(batch).await?;
        for (entry, verdict) in entries.iter().zip(&done.verdicts) {
            if matches!(verdict, IntakeVerdict::Recorded(row, _) if row.row % 8 == 0) {
                self.charge_again(entry).map_err(|error| LedgerError::Unavailable(error.into()))?;
            }
        }
        Ok(done)
    }

    forward!(take);
    forward!(settle);
    forward!(rest);
}
