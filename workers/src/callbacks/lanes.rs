//! Who may be called how often at once, so that a target that is slow or dead delays nobody else.
//!
//! A webhook is *well* while its last call was taken, and quickly. Each that is well has several calls at once; each that is not, or
//! of which nothing is known yet, has one, and all of those together have half of all calls: the other half is always left to
//! those that are well.

use std::{collections::HashMap, time::Duration};

use naru_shared::{callbacks::Among, domain::WebhookId};

/// A call that took longer is slow.
const SLOW: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Standing {
    under_way: usize,
    well: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lanes {
    all: usize,
    each: usize,
    under_way: usize,
    /// Of those, calls of who was not well when they began.
    weak: usize,
    of: HashMap<WebhookId, Standing>,
    /// The last of those not known to be well that had its turn.
    after: Option<WebhookId>,
}

/// The right to have one call of a webhook under way.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) webhook: WebhookId,
    weak: bool,
}

/// What may be claimed: among which webhooks, and how many.
pub(super) type Ask = (Among, usize);

impl Lanes {
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self { all, each, under_way: 0, weak: 0, of: HashMap::new(), after: None }
    }

    pub(super) const fn under_way(&self) -> usize {
        self.under_way
    }

    /// What may be claimed of those that are well.
    pub(super) fn well(&self) -> Option<Ask> {
        let room = |(id, s): (&WebhookId, &Standing)| {
            (s.well && s.under_way < self.each).then(|| (id.clone(), self.each - s.under_way))
        };
        let mut open: Vec<(WebhookId, usize)> = self.of.iter().filter_map(room).collect();
        fastrand::shuffle(&mut open);
        let max = self.all - self.under_way;
        (max > 0 && !open.is_empty()).then_some((Among::Only(open), max))
    }

    /// What may be claimed of the others.
    pub(super) fn others(&self) -> Option<Ask> {
        let most = (self.all / 2).max(1);
        let max = most.saturating_sub(self.weak).min(self.all - self.under_way);
        let closed = self.of.iter().filter(|(_, s)| s.well || s.under_way > 0);
        let except = closed.map(|(id, _)| id.clone()).collect();
        (max > 0).then(|| (Among::Others { except, each: 1, after: self.after.clone() }, max))
    }

    /// A call begins.
    pub(super) fn begin(&mut self, webhook: &WebhookId) -> Lane {
        let standing = self.of.entry(webhook.clone()).or_default();
        standing.under_way += 1;
        self.under_way += 1;
        let weak = !standing.well;
        if weak {
            self.weak += 1;
            self.after = Some(webhook.clone());
        }
        Lane { webhook: webhook.clone(), weak }
    }

    /// A call has ended, and what came of it is written.
    pub(super) fn end(&mut self, lane: Lane, taken: bool, took: Duration) {
        self.under_way -= 1;
        self.weak -= usize::from(lane.weak);
        if let Some(standing) = self.of.get_mut(&lane.webhook) {
            standing.under_way -= 1;
            standing.well = taken && took < SLOW;
            if !standing.well && standing.under_way == 0 {
                // What is not known is not well either.
                self.of.remove(&lane.webhook);
            }
        }
    }

    /// Forgets who is not called any more and has no call under way.
    pub(super) fn keep(&mut self, is_called: impl Fn(&WebhookId) -> bool) {
        self.of.retain(|id, standing| standing.under_way > 0 || is_called(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(5);

    fn id(number: usize) -> WebhookId {
        format!("c{number}/main").parse().unwrap()
    }

    fn rooms(lanes: &Lanes) -> usize {
        lanes.well().map_or(0, |(_, max)| max)
    }

    #[test]
    fn who_is_not_known_has_one_call_and_who_is_well_has_several() {
        let mut lanes = Lanes::new(8, 3);
        assert!(lanes.well().is_none());
        let first = lanes.begin(&id(1));
        let Some((Among::Others { except, each, .. }, max)) = lanes.others() else { panic!() };
        assert_eq!((except, each, max), (vec![id(1)], 1, 3));
        lanes.end(first, true, QUICK);
        let Some((Among::Only(open), 8)) = lanes.well() else { panic!() };
        assert_eq!(open, [(id(1), 3)]);
    }

    #[test]
    fn the_dead_and_the_slow_never_have_more_than_half() {
        let mut lanes = Lanes::new(8, 3);
        let well = lanes.begin(&id(0));
        lanes.end(well, true, QUICK);
        let mut stuck: Vec<Lane> = (1..5).map(|number| lanes.begin(&id(number))).collect();
        assert!(lanes.others().is_none(), "half of them are in use by who is not well");
        assert_eq!(rooms(&lanes), 4, "the other half is left");
        lanes.end(stuck.pop().unwrap(), true, SLOW);
        assert!(lanes.others().is_some_and(|(_, max)| max == 1));
        let Some((Among::Only(open), _)) = lanes.well() else { panic!() };
        assert_eq!(open, [(id(0), 3)], "who is slow is not well");
    }

    #[test]
    fn one_failure_ends_the_privilege_and_calls_under_way_stay_counted() {
        let mut lanes = Lanes::new(8, 2);
        let first = lanes.begin(&id(1));
        lanes.end(first, true, QUICK);
        let (a, b) = (lanes.begin(&id(1)), lanes.begin(&id(1)));
        assert!(lanes.well().is_none(), "no room is left");
        lanes.end(a, false, QUICK);
        assert!(lanes.well().is_none(), "it is not well any more");
        assert_eq!(lanes.under_way(), 1);
        lanes.end(b, false, QUICK);
        assert_eq!((lanes.under_way(), lanes.of.len()), (0, 0));
    }
}
