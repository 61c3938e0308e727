//! A rate policy in whole numbers that a script's doubles hold exactly. Pure.

use crate::domain::RatePolicy;

/// Whole numbers up to 2^53 are exact; one bit is kept for sums.
const EXACT: u64 = 1 << 52;

/// Microseconds of the ticks there are, the finest first.
const TICKS: [u64; 3] = [1, 1_000, 1_000_000];

/// The level that one message adds, the level that flows off in one tick, and how long a tick is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    pub each: u64,
    pub flow: u64,
    pub tick_us: u64,
    /// Messages that may come at once; less than the policy's where it could not be counted exactly.
    pub burst: u64,
}

impl Numbers {
    /// The finest tick with which the policy's whole burst can be counted exactly.
    pub(super) fn of(policy: &RatePolicy) -> Self {
        let with = |tick_us: u64| {
            let window = u64::from(policy.window_seconds) * (1_000_000 / tick_us);
            let common = gcd(window, policy.limit.into()).max(1);
            let (each, flow) = ((window / common).max(1), u64::from(policy.limit) / common);
            Self { each, flow, tick_us, burst: u64::from(policy.burst).min(EXACT / each) }
        };
        let fits = |numbers: &Self| numbers.burst == u64::from(policy.burst);
        TICKS.into_iter().map(with).find(fits).unwrap_or_else(|| with(TICKS[2]))
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    fn numbers(limit: u32, window_seconds: u32, burst: u32) -> Numbers {
        Numbers::of(&RatePolicy { name: "p".into(), limit, window_seconds, burst })
    }

    #[test]
    fn usual_policies_are_exact_to_the_microsecond() {
        let expected = Numbers { each: 10_000, flow: 1, tick_us: 1, burst: 200 };
        assert_eq!(numbers(100, 1, 200), expected);
        assert_eq!(numbers(0, 1, 5).flow, 0);
        assert_eq!(numbers(1, 86_400, 1_000_000).tick_us, 1_000);
    }

    proptest! {
        #[test]
        fn no_policy_is_faster_than_it_says(limit in 0_u32.., window in 1_u32.., burst in 0_u32..) {
            let Numbers { each, flow, tick_us, burst: most } = numbers(limit, window, burst);
            assert!(most <= burst.into() && each * most <= EXACT);
            // flow / (each · tick) is limit / window, exactly.
            let (a, b) = (u128::from(flow) * u128::from(window) * 1_000_000, u128::from(limit) * u128::from(each) * u128::from(tick_us));
            assert_eq!(a, b);
        }
    }
}
