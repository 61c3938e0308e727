//! What a run of the load generator came to.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Percentiles of a span, in microseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// Nine of ten were no longer.
    pub p90: f64,
    /// 99 of 100 were no longer.
    pub p99: f64,
    /// 999 of 1,000 were no longer.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Percentiles {
    /// Of a histogram of nanoseconds.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile: f64| micros(histogram.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: micros(histogram.max()) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}

/// The figures of one run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Calls answered while measuring.
    pub calls: u64,
    /// Messages accepted while measuring.
    pub accepted: u64,
    /// Messages accepted in all, warm-up included.
    pub accepted_in_all: u64,
    /// Seconds measured.
    pub seconds: f64,
    /// Answers by status, warm-up included.
    pub statuses: BTreeMap<u16, u64>,
    /// Calls whose connection broke before the answer, warm-up included.
    pub broken: u64,
    /// From sending to the whole answer.
    pub latency: Percentiles,
    /// CPU of the generator for a call, in microseconds.
    pub cpu_us_per_call: f64,
}

impl Summary {
    /// Calls answered in a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
    pub fn calls_per_second(&self) -> f64 {
        self.calls as f64 / self.seconds.max(1e-9)
    }

    /// Messages accepted in a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
    pub fn accepted_per_second(&self) -> f64 {
        self.accepted as f64 / self.seconds.max(1e-9)
    }
}
