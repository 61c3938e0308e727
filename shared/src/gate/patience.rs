//! How long one call waits for the gate, however many questions it asks.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// The longest that one call waits for the gate until it is let in, and once its fate is decided: never more than 50 ms.
pub const BEFORE: Duration = Duration::from_millis(35);
/// See [`BEFORE`].
pub const AFTER: Duration = Duration::from_millis(15);

tokio::task_local! {
    static LEFT: Mutex<Left>;
}

/// What is left; questions that are asked at the same time cost their time once.
struct Left {
    span: Duration,
    asking: u32,
    since: Instant,
}

impl Left {
    fn now(&self) -> Duration {
        if self.asking == 0 { self.span } else { self.span.saturating_sub(self.since.elapsed()) }
    }
}

/// Runs a part of one call: what it asks the gate takes no longer than `span` in all.
pub async fn patiently<F: Future>(span: Duration, call: F) -> F::Output {
    LEFT.scope(Mutex::new(Left { span, asking: 0, since: Instant::now() }), call).await
}

/// One question on its way; counted until it is dropped.
struct Asking;

impl Drop for Asking {
    fn drop(&mut self) {
        // Outside of a call nothing is counted.
        let _in_call = LEFT.try_with(|left| {
            let mut left = left.lock();
            left.asking = left.asking.saturating_sub(1);
            if left.asking == 0 {
                left.span = left.span.saturating_sub(left.since.elapsed());
            }
        });
    }
}

/// Asks one question, for at most `limit` and what the call has left; `ask` is told how long that is.
pub(super) async fn within<F: Future>(limit: Duration, ask: impl FnOnce(Duration) -> F) -> F::Output {
    let left = LEFT.try_with(|left| {
        let mut left = left.lock();
        if left.asking == 0 {
            left.since = Instant::now();
        }
        left.asking += 1;
        left.now()
    });
    let asking = left.is_ok().then_some(Asking);
    let answer = ask(left.map_or(limit, |left| left.min(limit))).await;
    drop(asking);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wait(wanted: u64) -> Duration {
        let pause = |most: Duration| async move {
            tokio::time::sleep(most.min(Duration::from_millis(wanted))).await;
            most
        };
        within(Duration::from_millis(40), pause).await
    }

    #[tokio::test]
    async fn questions_share_what_a_call_has_and_at_the_same_time_cost_once() {
        let began = Instant::now();
        patiently(BEFORE, async {
            tokio::join!(wait(20), wait(20), wait(20));
            assert!(wait(1_000).await <= Duration::from_millis(15));
            assert_eq!(wait(1_000).await, Duration::ZERO);
        })
        .await;
        assert!(began.elapsed() >= BEFORE);
        assert_eq!(wait(1).await, Duration::from_millis(40), "outside of a call nothing is counted");
    }
}
