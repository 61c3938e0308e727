//! Whether a route is known to have rows that wait in the ledger.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Marks count up; a look that finds nothing clears the marks that were made before it.
#[derive(Debug)]
pub(crate) struct Backlog {
    marked: AtomicU64,
    cleared: AtomicU64,
    long: AtomicBool,
}

impl Default for Backlog {
    /// Known until somebody has looked: rows of an earlier life may wait.
    fn default() -> Self {
        Self { marked: AtomicU64::new(1), cleared: AtomicU64::new(0), long: AtomicBool::new(true) }
    }
}

impl Backlog {
    /// Something was left to wait.
    pub(crate) fn mark(&self) {
        self.marked.fetch_add(1, Ordering::AcqRel);
    }

    /// The marks so far; to be given to [`Backlog::clear`] if a look that begins now finds nothing.
    pub(crate) fn marks(&self) -> u64 {
        self.marked.load(Ordering::Acquire)
    }

    /// A look that began at `marks` found nothing more.
    pub(crate) fn clear(&self, marks: u64) {
        self.cleared.fetch_max(marks, Ordering::AcqRel);
        self.long.store(false, Ordering::Release);
    }

    /// A look left something.
    pub(crate) fn is_left(&self) {
        self.long.store(true, Ordering::Release);
        self.mark();
    }

    /// Whether something waits.
    pub(crate) fn is_known(&self) -> bool {
        self.marks() > self.cleared.load(Ordering::Acquire)
    }

    /// Whether more waited than one look could take, when it was last looked. If not, what waits is of a moment ago and goes
    /// with the next look.
    pub(crate) fn is_long(&self) -> bool {
        self.long.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_made_during_a_look_outlives_it() {
        let backlog = Backlog::default();
        assert!(backlog.is_known());
        let look = backlog.marks();
        backlog.mark();
        backlog.clear(look);
        assert!(backlog.is_known());
        backlog.clear(backlog.marks());
        assert!(!backlog.is_known());
    }

    #[test]
    fn a_backlog_is_long_until_a_look_has_left_nothing() {
        let backlog = Backlog::default();
        assert!(backlog.is_long(), "nobody has looked");
        backlog.clear(backlog.marks());
        backlog.mark();
        assert!(backlog.is_known() && !backlog.is_long());
        backlog.is_left();
        assert!(backlog.is_known() && backlog.is_long());
    }
}
