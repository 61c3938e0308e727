//! Permits of a route: how many attempts may be under way. The limit may change at any time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use naru_shared::domain::CustomerId;
use tokio::sync::Notify;

use super::{pacer::Promise, share::Held};

/// How many are out, and a bell for when one comes back.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    out: AtomicUsize,
    back: Notify,
}

impl Permits {
    /// Returns when a permit has come back since the last wait, at the latest after `wait`.
    pub(crate) async fn returned(&self, wait: Duration) {
        drop(tokio::time::timeout(wait, self.back.notified()).await);
    }

    /// How many are out.
    pub(crate) fn out(&self) -> usize {
        self.out.load(Ordering::Acquire)
    }

    /// Lets whoever waits look again.
    pub(crate) fn wake(&self) {
        self.back.notify_one();
    }
}

/// The right to have one attempt under way; comes back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    /// The attempt's turn, where the route's rate is capped.
    promise: Option<Promise>,
    /// Whose attempt it is for; nobody's before it is known.
    owner: Option<(Arc<Held>, CustomerId)>,
}

impl Permit {
    /// One more, if fewer than `limit` are out.
    pub(crate) fn take(permits: &Arc<Permits>, limit: usize) -> Option<Self> {
        let taken = permits
            .out
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |out| (out < limit).then_some(out + 1));
        taken.is_ok().then(|| Self { permits: Arc::clone(permits), promise: None, owner: None })
    }

    /// The same, with a turn.
    pub(crate) fn with(self, promise: Promise) -> Self {
        let mut permit = self;
        permit.promise = Some(promise);
        permit
    }

    /// The same, counted as this customer's, which it counts as already.
    pub(crate) fn of(self, held: &Arc<Held>, customer: &CustomerId) -> Self {
        let mut permit = self;
        permit.owner = Some((Arc::clone(held), customer.clone()));
        permit
    }

    /// Whether it is known whose it is.
    pub(crate) const fn is_owned(&self) -> bool {
        self.owner.is_some()
    }

    /// The turn, once.
    pub(crate) const fn take_promise(&mut self) -> Option<Promise> {
        self.promise.take()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.out.fetch_sub(1, Ordering::AcqRel);
        // One that nobody used was taken by who would be woken.
        if let Some((held, customer)) = self.owner.take() {
            held.end(&customer);
            self.permits.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_are_out_and_the_limit_may_change() {
        let permits = Arc::default();
        let first = Permit::take(&permits, 2);
        let second = Permit::take(&permits, 2);
        assert!(first.is_some() && second.is_some());
        assert!(Permit::take(&permits, 2).is_none());
        assert!(Permit::take(&permits, 3).is_some());
        drop(first);
        assert!(Permit::take(&permits, 1).is_none());
        assert!(Permit::take(&permits, 2).is_some());
    }
}
