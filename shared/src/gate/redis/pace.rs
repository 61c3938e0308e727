//! How fast an account calls here of late.

use std::time::Duration;

/// What is older than this hardly counts; a block lasts about as long.
const SPAN: f64 = 2.0;

/// The smallest and the largest block that is asked for.
const LEAST: f64 = 32.0;
const MOST: f64 = 1_000_000.0;

/// About what came within the last [`SPAN`] seconds.
#[derive(Debug, Default)]
pub(super) struct Pace {
    recent: f64,
    at: Duration,
}

impl Pace {
    fn now(&self, now: Duration) -> f64 {
        self.recent * (-now.saturating_sub(self.at).as_secs_f64() / SPAN).exp()
    }

    /// Counts what came.
    pub(super) fn add(&mut self, count: u32, now: Duration) {
        self.recent = self.now(now) + f64::from(count);
        self.at = self.at.max(now);
    }

    /// A block for the next seconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "held between one and a million"
    )]
    pub(super) fn block(&self, now: Duration) -> u32 {
        self.now(now).clamp(LEAST, MOST) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_some_seconds_of_what_came_of_late() {
        let mut pace = Pace::default();
        assert_eq!(pace.block(Duration::ZERO), 32);
        for step in 0..10_000_u64 {
            pace.add(1, Duration::from_millis(step));
        }
        let block = pace.block(Duration::from_secs(10));
        assert!((1_800..2_200).contains(&block), "{block}");
        assert_eq!(pace.block(Duration::from_secs(60)), 32);
    }
}
