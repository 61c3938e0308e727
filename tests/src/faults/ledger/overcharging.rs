//! Charges one message in eight twice.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use naru_shared::{
    ledger::{IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, Ledger, LedgerError},
    sqlite,
};
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::Twist;

/// See the module. It writes to the ledger's file as a careless statement would.
pub(in crate::faults) struct Overcharging {
    file: Mutex<Connection>,
}

impl Overcharging {
    pub(in crate::faults) fn new(file: &Path) -> anyhow::Result<Self> {
        Ok(Self { file: Mutex::new(sqlite::connect(file)?) })
    }

    fn charge_again(&self, entry: &IntakeEntry) -> rusqlite::Result<usize> {
        let sql = "UPDATE usage SET used = used + 1 WHERE customer = ?1 AND day = ?2 AND channel = ?3";
        let channel = entry.message.content.channel.as_str();
        self.file.lock().execute(sql, params![entry.account.customer.as_str(), entry.day.as_i32(), channel])
    }
}

#[async_trait]
impl Twist for Overcharging {
    async fn intake(&self, inner: &Arc<dyn Ledger>, batch: IntakeBatch) -> Result<IntakeDone, LedgerError> {
        let entries = batch.entries.clone();
        let done = inner.intake(batch).await?;
        for (entry, verdict) in entries.iter().zip(&done.verdicts) {
            if matches!(verdict, IntakeVerdict::Recorded(row, _) if row.row % 8 == 0) {
                self.charge_again(entry).map_err(|error| LedgerError::Unavailable(error.into()))?;
            }
        }
        Ok(done)
    }
}
