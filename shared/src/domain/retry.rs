//! When a message that was not taken is tried again.

use std::time::Duration;

/// 1 s, 5 s, 30 s, 2 min, 10 min, then every 30 min, with full jitter, never before the backend's `Retry-After`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetryPolicy;

const STEPS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
];

/// A `Retry-After` of more than a day is taken as a day.
const LONGEST: Duration = Duration::from_secs(86_400);

impl RetryPolicy {
    /// How long to wait after attempt number `attempt` (from 1). `jitter` is a random number in [0, 1).
    #[must_use]
    pub fn delay(self, attempt: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX).min(STEPS.len() - 1);
        let drawn = STEPS[index].mul_f64(jitter.clamp(0.0, 1.0));
        retry_after.map_or(drawn, |asked| asked.min(LONGEST).saturating_add(drawn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_then_stay_and_honour_retry_after() {
        let longest: Vec<u64> = (1..=8).map(|n| RetryPolicy.delay(n, None, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 5, 30, 120, 600, 1_800, 1_800, 1_800]);
        assert_eq!(RetryPolicy.delay(3, None, 0.0), Duration::ZERO);
        assert_eq!(RetryPolicy.delay(1, Some(Duration::from_secs(9)), 0.5), Duration::from_millis(9_500));
        assert_eq!(RetryPolicy.delay(1, Some(Duration::MAX), 0.0), LONGEST);
    }
}
