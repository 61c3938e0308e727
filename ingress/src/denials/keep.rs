//! Has kept what was counted, beside the calls: while it cannot be, a bounded number of minutes waits.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use naru_shared::{
    denials::{Counted, Denials, Denied},
    domain::Clock,
    keys::random_bytes,
};
use tokio::time::timeout;

use super::{Rows, Whose};

/// Pairs of customer and code of one minute that are kept by name; the others of a code are kept together. So a process writes at
/// most so many rows in a minute, and one for each code.
const NAMED: usize = 64;

/// Minutes that wait to be kept.
const WAITING: usize = 60;

/// How long keeping one may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes counts to where they are kept.
pub struct Keeper {
    book: Arc<dyn Denials>,
    clock: Arc<dyn Clock>,
    process: String,
    waiting: VecDeque<Counted>,
}

impl Keeper {
    /// In a name that no other process has.
    pub fn new(book: Arc<dyn Denials>, clock: Arc<dyn Clock>) -> Self {
        let process = random_bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { book, clock, process, waiting: VecDeque::new() }
    }

    /// Keeps what was counted up to now, and what waits from before. What finds no room is said to be lost; it was told in the log.
    pub(super) async fn keep(&mut self, counted: &Rows) {
        if !counted.is_empty() {
            if self.waiting.len() >= WAITING
                && let Some(oldest) = self.waiting.pop_front()
            {
                let times: u64 = oldest.denied.iter().map(|denied| denied.times).sum();
                tracing::error!(times, until = %oldest.at, "counts of denials are lost: they could not be kept for an hour");
            }
            let (at, process) = (self.clock.now(), self.process.clone());
            self.waiting.push_back(Counted { at, process, denied: gathered(counted) });
        }
        while let Some(next) = self.waiting.front() {
            match timeout(PATIENCE, self.book.add(next.clone())).await {
                Ok(Ok(())) => drop(self.waiting.pop_front()),
                Ok(Err(error)) => {
                    tracing::warn!(%error, minutes = self.waiting.len(), "counts of denials wait to be kept");
                    return;
                }
                Err(_late) => {
                    tracing::warn!(
                        minutes = self.waiting.len(),
                        "counts of denials wait to be kept: no answer"
                    );
                    return;
                }
            }
        }
    }
}

/// The most by name, the others of a code together. `counted` has the most first.
fn gathered(counted: &Rows) -> Vec<Denied> {
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (index, ((whose, code), times)) in counted.iter().enumerate() {
        let whose = match whose {
            Whose::Customer(_) if index >= NAMED => Whose::Others.as_str(),
            whose => whose.as_str(),
        };
        *sums.entry((whose, code.as_str())).or_default() += times;
    }
    let row = |((customer, code), times): ((&str, &str), u64)| Denied {
        customer: customer.to_owned(),
        code: code.to_owned(),
        times,
    };
    sums.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests;
