//! One process's gate, which can die like a process: without giving anything back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use naru_shared::{
    domain::{Account, Environment, RatePolicy},
    gate::{ANSWERS, Gate, RateVerdict, RedisGate, Times},
    redis::RedisSettings,
};
use naru_tests::engines::until;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

pub(super) struct Front {
    pub(super) gate: Arc<RedisGate>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Front {
    pub(super) async fn start(settings: &RedisSettings, times: Times) -> anyhow::Result<Arc<Self>> {
        let runtime = tokio::runtime::Handle::current();
        let (gate, keep) = RedisGate::open(settings, ANSWERS, times, &runtime)?;
        let tasks = Mutex::new(vec![tokio::spawn(keep)]);
        until(|| gate.is_up()).await?;
        Ok(Arc::new(Self { gate, tasks }))
    }

    /// Everything it does ends where it is.
    pub(super) fn kill(&self) {
        self.tasks.lock().iter().for_each(JoinHandle::abort);
    }

    /// Calls as fast as it is let, until killed or `end`; what was let in, each with the times around its call.
    pub(super) fn hammer(self: &Arc<Self>, policy: &RatePolicy, end: Instant, journal: &Journal) {
        for caller in 0..4_u32 {
            let (front, policy, journal) = (Arc::clone(self), policy.clone(), Arc::clone(journal));
            self.tasks.lock().push(tokio::spawn(async move {
                while Instant::now() < end {
                    let messages = 1 + caller % 2;
                    let began = Instant::now();
                    let verdict = front.gate.rate(&acme(), std::slice::from_ref(&policy), messages).await;
                    match verdict.unwrap() {
                        RateVerdict::Within(_) => journal.lock().push((began, Instant::now(), messages)),
                        RateVerdict::Over(..) => tokio::time::sleep(Duration::from_millis(1)).await,
                        // Nobody is told no on account of an outage here, and nobody is let in either.
                        RateVerdict::Away(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            }));
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) type Journal = Arc<Mutex<Vec<(Instant, Instant, u32)>>>;

pub(super) fn acme() -> Account {
    Account { customer: "acme".parse().unwrap(), environment: Environment::Live }
}

/// In every window: what was asked and let in within it is no more than the policy says. Exact, whatever a call takes.
/// One message is allowed for clocks that do not run alike.
pub(super) fn assert_within(policy: &RatePolicy, journal: &Journal) -> u64 {
    let mut calls = journal.lock().clone();
    calls.sort_by_key(|(_, end, _)| *end);
    for (from, ..) in calls.iter().step_by(7) {
        let mut sum = 0_u64;
        for (began, ended, messages) in &calls {
            if began < from {
                continue;
            }
            sum += u64::from(*messages);
            let span = ended.duration_since(*from).as_micros();
            let flowed = span * u128::from(policy.limit) / (u128::from(policy.window_seconds) * 1_000_000);
            let allowed = u64::try_from(flowed).unwrap() + u64::from(policy.burst) + 1;
            assert!(sum <= allowed, "{sum} in {span} µs, {allowed} are allowed");
        }
    }
    calls.iter().map(|(_, _, messages)| u64::from(*messages)).sum()
}
