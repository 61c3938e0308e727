//! What this process holds of one queue: what was received ahead, and what was given out. Pure.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::domain::Timestamp;

/// Given out and neither acknowledged nor given back, at the most.
pub(super) const OUT: usize = 8_192;

/// One message as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Names this delivery.
    pub(crate) handle: Arc<str>,
    /// Its text.
    pub(crate) body: Bytes,
    /// How often it was received, this time included.
    pub(crate) deliveries: u32,
    /// Its group.
    pub(crate) group: Option<String>,
    /// Its attributes that are text.
    pub(crate) attributes: Vec<(String, String)>,
    /// When it was sent, if SQS says so.
    pub(crate) sent: Option<Timestamp>,
    /// When it came.
    pub(super) came: Instant,
}

/// What is held.
#[derive(Debug)]
pub(super) struct Hand {
    visibility: Duration,
    ahead: VecDeque<Item>,
    bytes: usize,
    out: HashMap<Arc<str>, Item>,
    swept: Instant,
}

impl Hand {
    pub(super) fn new(visibility: Duration, now: Instant) -> Self {
        Self { visibility, ahead: VecDeque::new(), bytes: 0, out: HashMap::new(), swept: now }
    }

    /// What was received ahead, in messages and bytes.
    pub(super) fn ahead(&self) -> (usize, usize) {
        (self.ahead.len(), self.bytes)
    }

    /// Whether more may be received.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() < OUT
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.ahead.is_empty() && self.out.is_empty()
    }

    /// These came.
    pub(super) fn put(&mut self, items: Vec<Item>) {
        self.bytes += items.iter().map(|item| item.body.len()).sum::<usize>();
        self.ahead.extend(items);
    }

    /// Gives out up to `max` of those ahead. What has lain there for half of its time is given back and not out: whoever
    /// takes it needs the rest.
    pub(super) fn take(&mut self, max: usize, now: Instant) -> (Vec<Item>, Vec<Item>) {
        self.sweep(now);
        let (mut taken, mut stale) = (Vec::new(), Vec::new());
        while taken.len() < max
            && let Some(item) = self.ahead.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(item.body.len());
            if now.saturating_duration_since(item.came) >= self.visibility / 2 {
                stale.push(item);
            } else {
                self.out.insert(Arc::clone(&item.handle), item.clone());
                taken.push(item);
            }
        }
        (taken, stale)
    }

    /// All that was received ahead, to be given back.
    pub(super) fn empty(&mut self) -> Vec<Item> {
        self.bytes = 0;
        self.ahead.drain(..).collect()
    }

    /// What was given out with this handle and is still out.
    pub(super) fn held(&self, handle: &str, now: Instant) -> Option<&Item> {
        self.out.get(handle).filter(|item| !self.is_gone(item, now))
    }

    /// This is not held any more; whether it was.
    pub(super) fn let_go(&mut self, handle: &str, now: Instant) -> bool {
        self.out.remove(handle).is_some_and(|item| !self.is_gone(&item, now))
    }

    /// Whether it has come back by itself.
    fn is_gone(&self, item: &Item, now: Instant) -> bool {
        now.saturating_duration_since(item.came) >= self.visibility
    }

    /// Forgets what has come back by itself, now and then.
    fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) >= self.visibility / 4 {
            let visibility = self.visibility;
            self.out.retain(|_, item| now.saturating_duration_since(item.came) < visibility);
            self.swept = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(handle: &str, came: Instant) -> Item {
        let (body, attributes) = (Bytes::from_static(b"body"), Vec::new());
        Item { handle: handle.into(), body, deliveries: 1, group: None, attributes, sent: None, came }
    }

    #[test]
    fn what_was_given_out_is_held_until_its_time_is_over() {
        let (now, visibility) = (Instant::now(), Duration::from_secs(8));
        let mut hand = Hand::new(visibility, now);
        hand.put(vec![item("a", now), item("b", now), item("c", now)]);
        let (taken, stale) = hand.take(2, now);
        assert_eq!((taken.len(), stale.len(), hand.ahead()), (2, 0, (1, 4)));
        assert!(hand.held("a", now).is_some() && hand.held("c", now).is_none());
        assert!(hand.let_go("a", now) && !hand.let_go("a", now));
        assert!(hand.held("b", now + visibility).is_none());
        // What lay there for too long is not given out.
        let (taken, stale) = hand.take(2, now + visibility / 2);
        assert_eq!((taken.len(), stale.len(), hand.ahead()), (0, 1, (0, 0)));
        let _nothing = hand.take(0, now + visibility);
        assert!(hand.is_empty());
    }
}
