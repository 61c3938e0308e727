//! Groups that follow one another closely under load, and not at once: what a group costs an engine is then shared by many.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long the next group waits for each one that the last had beyond its first.
const EACH: Duration = Duration::from_millis(1);

/// When the next group may begin. Alone nothing ever waits: one that comes after a group of one begins at once, and from about a
/// thousand a second on groups are as far apart as they may be.
#[derive(Debug)]
pub struct Pace {
    most: Duration,
    next: Instant,
}

impl Pace {
    /// Groups that are at most so far apart; with zero, never held up.
    #[must_use]
    pub fn new(most: Duration) -> Self {
        Self { most, next: Instant::now() }
    }

    /// A group of so many begins now.
    pub fn begin(&mut self, size: usize) {
        let others = u32::try_from(size.saturating_sub(1)).unwrap_or(u32::MAX);
        self.next = Instant::now() + EACH.saturating_mul(others).min(self.most);
    }

    /// Whether the next group should wait for more.
    #[must_use]
    pub fn is_early(&self) -> bool {
        Instant::now() < self.next
    }

    /// Returns when the next group may begin.
    pub async fn ready(&self) {
        if self.is_early() {
            sleep_until(self.next).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_alone_waits_for_nothing_and_what_comes_together_a_little() {
        let most = Duration::from_millis(40);
        let mut pace = Pace::new(most);
        for (size, early) in [(0, false), (1, false), (2, true), (1_000_000, true)] {
            pace.begin(size);
            assert_eq!(pace.is_early(), early, "{size}");
        }
        let begun = Instant::now();
        pace.ready().await;
        assert!(begun.elapsed() <= most * 10 && !pace.is_early());
        let mut unheld = Pace::new(Duration::ZERO);
        unheld.begin(1_000);
        assert!(!unheld.is_early());
    }
}
