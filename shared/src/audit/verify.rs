//! Whether a chain is whole, link by link, and as long as its anchors say.

use serde::Serialize;

use super::{Anchor, AnchorKind, AuditKey, Chain, Head, Link, Record};
use crate::domain::Timestamp;

/// The first row of a chain that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{chain}: {what}")]
pub struct Broken {
    /// Of which chain.
    pub chain: Chain,
    /// Its number.
    pub row: i64,
    /// `edited`, `moved`, `missing`, `cut-off` or `rewritten`.
    pub how: &'static str,
    /// In a sentence.
    pub what: String,
}

/// A chain that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Which.
    pub chain: Chain,
    /// How many links it has.
    pub records: i64,
    /// The hash of the last.
    pub head: Option<String>,
    /// Up to which link it is anchored; 0: not at all.
    pub anchored: i64,
    /// When copies were put in place that may have been shorter than what they replaced.
    pub restored: Vec<Timestamp>,
}

/// Walks along one chain.
pub struct Verifier<'a> {
    key: &'a AuditKey,
    chain: Chain,
    last: Head,
    /// By number.
    anchors: Vec<Anchor>,
    /// So many of them were reached.
    reached: usize,
    restored: Vec<Timestamp>,
}

impl<'a> Verifier<'a> {
    /// With every anchor that there is, of whichever chain, in any order.
    #[must_use]
    pub fn new(key: &'a AuditKey, chain: Chain, anchors: &[Anchor]) -> Self {
        let mut all: Vec<Anchor> = anchors.iter().filter(|anchor| anchor.chain == chain).cloned().collect();
        all.sort_by_key(|anchor| anchor.at);
        let (mut anchors, mut restored): (Vec<Anchor>, Vec<Timestamp>) = (Vec::new(), Vec::new());
        for anchor in all {
            if anchor.kind == AnchorKind::Restored {
                anchors.retain(|earlier| earlier.sequence <= anchor.sequence);
                restored.push(anchor.at);
            }
            if anchor.sequence > 0 {
                anchors.push(anchor);
            }
        }
        anchors.sort_by_key(|anchor| anchor.sequence);
        Self { key, chain, last: Head { sequence: 0, hash: String::new() }, anchors, reached: 0, restored }
    }

    fn broken(&self, row: i64, how: &'static str, what: String) -> Broken {
        Broken { chain: self.chain, row, how, what }
    }

    /// The number of the last link that was taken.
    #[must_use]
    pub const fn last(&self) -> i64 {
        self.last.sequence
    }

    /// Takes the next link, in the order of their numbers: what it says, if it is as it was written.
    ///
    /// # Errors
    /// If it is not: nothing that follows proves anything then.
    pub fn take(&mut self, link: &Link) -> Result<Record, Broken> {
        let (row, expected) = (link.sequence, self.last.sequence + 1);
        if row < expected {
            return Err(self.broken(
                row,
                "edited",
                format!("row {row} stands before the first: it was put there"),
            ));
        }
        if row > expected {
            let missing = if row == expected + 1 {
                format!("row {expected} is missing: it was deleted")
            } else {
                format!("rows {expected} to {} are missing: they were deleted", row - 1)
            };
            return Err(self.broken(expected, "missing", missing));
        }
        let record = serde_json::from_str::<Record>(&link.record).ok();
        if !self.key.is_hash(self.chain, (row, link.at), &link.record, &self.last.hash, &link.hash) {
            return Err(match record {
                Some(record) if record.sequence != row => {
                    let what = format!(
                        "row {row} holds the record of row {}: rows were moved, or deleted and the others renumbered",
                        record.sequence
                    );
                    self.broken(row, "moved", what)
                }
                _ => self.broken(row, "edited", format!("row {row} was edited, or was put there")),
            });
        }
        let record = record.filter(|record| record.sequence == row);
        let record = record.ok_or_else(|| {
            self.broken(
                row,
                "edited",
                format!("row {row} is signed and cannot be read: a newer release wrote it"),
            )
        })?;
        self.last = Head { sequence: row, hash: link.hash.clone() };
        self.meet_anchors()?;
        Ok(record)
    }

    fn meet_anchors(&mut self) -> Result<(), Broken> {
        let row = self.last.sequence;
        while let Some(anchor) = self.anchors.get(self.reached).filter(|anchor| anchor.sequence == row) {
            if anchor.hash != self.last.hash {
                let known = self.anchored();
                let what = format!(
                    "row {row} is not the one that was anchored at {}: the chain was cut off after row {known} or later, and went on \
                     from there",
                    anchor.at
                );
                return Err(self.broken(row, "rewritten", what));
            }
            self.reached += 1;
        }
        Ok(())
    }

    fn anchored(&self) -> i64 {
        let before = self.reached.checked_sub(1).and_then(|index| self.anchors.get(index));
        before.map_or(0, |anchor| anchor.sequence)
    }

    /// There is no other link.
    ///
    /// # Errors
    /// If there was one: an anchor says so.
    pub fn end(self) -> Result<Verified, Broken> {
        let row = self.last.sequence + 1;
        if let Some(last) = self.anchors.get(self.reached..).and_then(<[Anchor]>::last) {
            let what = format!(
                "row {row} is missing: the chain was cut off at its end, it had come to row {} at {}",
                last.sequence, last.at
            );
            return Err(self.broken(row, "cut-off", what));
        }
        let (anchored, records) = (self.anchored(), self.last.sequence);
        let head = (records > 0).then_some(self.last.hash);
        Ok(Verified { chain: self.chain, records, head, anchored, restored: self.restored })
    }
}

#[cfg(test)]
mod tests;
