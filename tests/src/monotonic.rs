//! The machine's monotonic clock, which every process of a run reads alike.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since a moment that is the same for every process of this machine (`clock_gettime(2)`).
#[must_use]
pub fn nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
