//! The gates that are built in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use naru_shared::{
    domain::{ManualClock, Timestamp},
    gate::{Gate, MemoryGate},
};
use naru_tests::conformance::gate::Fixture;

struct Memory {
    gate: Arc<MemoryGate>,
    clock: Arc<ManualClock>,
    elapsed: Arc<AtomicU64>,
}

impl Fixture for Memory {
    async fn fresh() -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_763_802_000_000)));
        let elapsed = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&elapsed);
        let stopwatch = Arc::new(move || Duration::from_millis(shown.load(Ordering::SeqCst)));
        let gate = Arc::new(MemoryGate::with_stopwatch(Arc::<ManualClock>::clone(&clock), stopwatch));
        Ok(Self { gate, clock, elapsed })
    }

    fn gate(&self) -> Arc<dyn Gate> {
        Arc::<MemoryGate>::clone(&self.gate)
    }

    async fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.elapsed.fetch_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

naru_tests::gate_conformance!(Memory);
