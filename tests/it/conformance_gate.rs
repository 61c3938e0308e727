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

/// Over Redis, by a time that the test owns.
mod redis {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use naru_shared::gate::{ANSWERS, Gate, RedisGate, Times};
    use naru_tests::{conformance::gate::Fixture, engines};
    use tokio::task::JoinHandle;

    struct Redis {
        gate: Arc<RedisGate>,
        elapsed: Arc<AtomicU64>,
        keeping: JoinHandle<()>,
    }

    impl Fixture for Redis {
        async fn fresh() -> anyhow::Result<Self> {
            let settings = engines::shared_redis()?.settings(Duration::from_secs(5));
            engines::redis_known_for_long(&settings).await?;
            let elapsed = Arc::new(AtomicU64::new(0));
            let shown = Arc::clone(&elapsed);
            let times = Times::given(Arc::new(move || Duration::from_millis(shown.load(Ordering::SeqCst))));
            let runtime = tokio::runtime::Handle::current();
            let (gate, keep) = RedisGate::open(&settings, ANSWERS, times, &runtime)?;
            let keeping = tokio::spawn(keep);
            engines::until(|| gate.is_up()).await?;
            Ok(Self { gate, elapsed, keeping })
        }

        fn gate(&self) -> Arc<dyn Gate> {
            Arc::<RedisGate>::clone(&self.gate)
        }

        async fn advance(&self, span: Duration) {
            self.elapsed.fetch_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }

    impl Drop for Redis {
        fn drop(&mut self) {
            self.keeping.abort();
        }
    }

    naru_tests::gate_conformance!(Redis);
}
