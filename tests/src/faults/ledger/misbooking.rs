//! Books the charge of one message in eight wrongly.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use naru_shared::{
    ledger::{IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, Ledger, LedgerError},
    sqlite,
};
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::Twist;

/// What is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(in crate::faults) enum Wrong {
    /// It is made twice.
    Twice,
    /// Another customer, `c1`, pays for `c0`: the sum of all is right.
    Another,
}

/// See the module. It writes to the ledger's file as a careless statement would.
pub(in crate::faults) struct Misbooking {
    file: Mutex<Connection>,
    wrong: Wrong,
}

impl Misbooking {
    pub(in crate::faults) fn new(file: &Path, wrong: Wrong) -> anyhow::Result<Self> {
        Ok(Self { file: Mutex::new(sqlite::connect(file)?), wrong })
    }

    fn misbook(&self, entry: &IntakeEntry) -> rusqlite::Result<()> {
        let own = entry.account.customer.as_str();
        match self.wrong {
            Wrong::Twice => self.book(own, entry, 1),
            Wrong::Another if own == "c0" => {
                self.book(own, entry, -1)?;
                self.book("c1", entry, 1)
            }
            Wrong::Another => Ok(()),
        }
    }

    fn book(&self, customer: &str, entry: &IntakeEntry, units: i64) -> rusqlite::Result<()> {
        let sql = "INSERT INTO usage (customer, day, channel, used, credited) VALUES (?1, ?2, ?3, ?4, 0) \
             ON CONFLICT DO UPDATE SET used = used + excluded.used";
        let channel = entry.message.content.channel.as_str();
        self.file.lock().execute(sql, params![customer, entry.day.as_i32(), channel, units]).map(drop)
    }
}

#[async_trait]
impl Twist for Misbooking {
    async fn intake(&self, inner: &Arc<dyn Ledger>, batch: IntakeBatch) -> Result<IntakeDone, LedgerError> {
        let entries = batch.entries.clone();
        let done = inner.intake(batch).await?;
        for (entry, verdict) in entries.iter().zip(&done.verdicts) {
            if matches!(verdict, IntakeVerdict::Recorded(row, _) if row.row % 8 == 0) {
                self.misbook(entry).map_err(|error| LedgerError::Unavailable(error.into()))?;
            }
        }
        Ok(done)
    }
}
