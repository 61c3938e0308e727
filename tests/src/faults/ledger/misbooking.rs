//! Books the charge of one message in eight wrongly.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use naru_shared::{
    ledger::{IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, Ledger, LedgerError},
    sqlite,
};
use parking_lot::Mutex;
use rusqlite::Connection;

use super::Twist;
use crate::engines::Postgres;

/// What is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(in crate::faults) enum Wrong {
    /// It is made twice.
    Twice,
    /// Another customer, `c1`, pays for `c0`: the sum of all is right.
    Another,
}

/// Where the ledger is.
enum Books {
    File(Mutex<Connection>),
    Server(String),
}

/// See the module. It writes to the ledger as a careless statement would.
pub(in crate::faults) struct Misbooking {
    books: Arc<Books>,
    wrong: Wrong,
}

impl Misbooking {
    /// `place` is the ledger's file, or the address of its database.
    pub(in crate::faults) fn new(place: &Path, wrong: Wrong) -> anyhow::Result<Self> {
        let books = match place.to_str().filter(|url| url.starts_with("postgres:")) {
            Some(url) => Books::Server(url.to_owned()),
            None => Books::File(Mutex::new(sqlite::connect(place)?)),
        };
        Ok(Self { books: Arc::new(books), wrong })
    }

    /// Who pays how much more for it, as rows of a statement.
    fn misbook(&self, entry: &IntakeEntry) -> Vec<String> {
        let own = entry.account.customer.as_str();
        let row = |customer: &str, units: i64| {
            let channel = entry.message.content.channel.as_str();
            format!("('{customer}', {}, '{channel}', {units}, 0)", entry.day.as_i32())
        };
        match self.wrong {
            Wrong::Twice => vec![row(own, 1)],
            Wrong::Another if own == "c0" => vec![row(own, -1), row("c1", 1)],
            Wrong::Another => Vec::new(),
        }
    }
}

impl Books {
    /// One statement for each row: two rows of a customer are two charges.
    fn book(&self, rows: &[String]) -> anyhow::Result<()> {
        let statement = |table: &str| {
            let one = |row: &String| {
                format!(
                    "INSERT INTO {table} AS book (customer, day, channel, used, credited) VALUES {row} \
                     ON CONFLICT (customer, day, channel) DO UPDATE SET used = book.used + excluded.used;"
                )
            };
            rows.iter().map(one).collect::<String>()
        };
        match self {
            Self::File(file) => Ok(file.lock().execute_batch(&statement("usage"))?),
            Self::Server(url) => Postgres::psql_at(url, &statement("naru.usage")).map(drop),
        }
    }
}

#[async_trait]
impl Twist for Misbooking {
    async fn intake(&self, inner: &Arc<dyn Ledger>, batch: IntakeBatch) -> Result<IntakeDone, LedgerError> {
        let entries = batch.entries.clone();
        let done = inner.intake(batch).await?;
        let chosen = entries
            .iter()
            .zip(&done.verdicts)
            .filter(|(_, verdict)| matches!(verdict, IntakeVerdict::Recorded(row, _) if row.row % 8 == 0));
        let rows: Vec<String> = chosen.flat_map(|(entry, _)| self.misbook(entry)).collect();
        if !rows.is_empty() {
            let books = Arc::clone(&self.books);
            let booked = tokio::task::spawn_blocking(move || books.book(&rows)).await;
            let booked = booked.map_err(anyhow::Error::from).and_then(|booked| booked);
            booked.map_err(|error| LedgerError::Unavailable(error.into()))?;
        }
        Ok(done)
    }
}
