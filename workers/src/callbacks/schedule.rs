//! When a call that failed is made again.

use std::time::Duration;

use naru_shared::domain::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// After the first failure, the second, and so on.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(5 * HOUR),
];

/// After every later one; also the longest that a target may ask for.
const LATER: Duration = Duration::from_secs(10 * HOUR);

/// How long after it was written an event is tried.
const SPAN: Duration = Duration::from_secs(72 * HOUR);

/// For how long nothing but failures are borne before a webhook is switched off.
pub(super) const BORNE: Duration = Duration::from_secs(5 * 24 * HOUR);

/// By how much of itself a pause is longer at the most, so that what failed together does not come together.
const SCATTER: f64 = 0.1;

/// When to try again after attempt number `attempt` (from 1) failed; `None`: not any more. `asked` is what the target asked for;
/// `chance` lies within 0 and 1.
pub(super) fn next(
    first_at: Timestamp,
    attempt: u32,
    now: Timestamp,
    asked: Option<Duration>,
    chance: f64,
) -> Option<Timestamp> {
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = PAUSES.get(index).copied().unwrap_or(LATER);
    let pause = pause.mul_f64(SCATTER.mul_add(chance, 1.0));
    // Sooner than the pause nobody comes, whatever is asked.
    let due = now.plus(pause.max(asked.unwrap_or_default().min(LATER)));
    (due <= first_at.plus(SPAN)).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Timestamp = Timestamp::from_millis(1_000_000);

    fn hours(span: Duration) -> f64 {
        span.as_secs_f64() / 3_600.0
    }

    #[test]
    fn pauses_grow_until_three_days_are_over() {
        let (mut now, mut pauses) = (FIRST, Vec::new());
        for attempt in 1.. {
            let Some(due) = next(FIRST, attempt, now, None, 0.0) else { break };
            pauses.push(due.since(now).as_secs());
            now = due;
        }
        assert_eq!(pauses[..6], [5, 300, 1_800, 7_200, 18_000, 36_000]);
        assert_eq!(pauses.len(), 11, "{pauses:?}");
        assert!(hours(now.since(FIRST)) <= 72.0 && hours(now.since(FIRST)) > 62.0);
    }

    #[test]
    fn a_pause_is_scattered_by_a_tenth() {
        let at = |chance| next(FIRST, 2, FIRST, None, chance).unwrap().since(FIRST).as_millis();
        assert_eq!((at(0.0), at(1.0)), (300_000, 330_000));
    }

    #[test]
    fn what_a_target_asks_for_is_heard_within_bounds() {
        let asked = |seconds| next(FIRST, 1, FIRST, Some(Duration::from_secs(seconds)), 0.0).unwrap();
        assert_eq!(asked(1).since(FIRST), Duration::from_secs(5), "never sooner than the pause");
        assert_eq!(asked(120).since(FIRST), Duration::from_secs(120));
        assert_eq!(asked(u64::MAX).since(FIRST), LATER);
    }

    #[test]
    fn after_three_days_nothing_is_tried_again() {
        assert_eq!(next(FIRST, 1, FIRST.plus(SPAN), None, 0.0), None);
        assert_eq!(next(FIRST, u32::MAX, FIRST, None, 1.0), Some(FIRST.plus(LATER.mul_f64(1.1))));
    }
}
