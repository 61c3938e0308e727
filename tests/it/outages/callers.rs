//! Those who call without a pause, and write down what came of each call.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    customer::Customer,
    wire::{CallError, Reply},
};

/// The status of a call that got no answer.
pub(super) const UNANSWERED: u16 = 0;

/// A call and its answer.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    pub(super) status: u16,
    pub(super) code: String,
}

impl Call {
    pub(super) fn took(&self) -> Duration {
        self.answered - self.sent
    }
}

/// Calls one after the other, with a pause between them, until `stop`; a connection that ends begins anew, and its call is
/// written down as one without an answer.
pub(super) fn call_on(
    customer: &mut Customer,
    stop: &AtomicBool,
    pause: Duration,
    mut call: impl FnMut(&mut Customer, usize) -> Result<Reply, CallError>,
) -> Vec<Call> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let mut calls = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (sent, number) = (Instant::now(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (status, code) = match call(customer, number) {
            Ok(reply) => (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned()),
            Err(error) => {
                thread::sleep(Duration::from_millis(5));
                (UNANSWERED, error.to_string())
            }
        };
        calls.push(Call { sent, answered: Instant::now(), status, code });
        thread::sleep(pause);
    }
    calls
}

/// The value below which this share of calls was answered.
pub(super) fn quantile(calls: &[Call], share: f64) -> Duration {
    let mut took: Vec<Duration> = calls.iter().map(Call::took).collect();
    took.sort();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into few"
    )]
    let at = ((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1));
    took.get(at).copied().unwrap_or_default()
}
