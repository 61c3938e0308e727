//! One queue in memory: groups that take turns, and loans with a deadline. Pure: the time is given.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::Hash,
    time::{Duration, Instant},
};

/// A row in somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loan {
    /// The row's number in the file.
    pub(crate) seq: i64,
    /// How often the row has been lent since the process began, this time included.
    pub(crate) time: u32,
}

/// A row that was lent: by whom it is held now, or since when it may be lent again.
#[derive(Debug)]
struct Lent<G> {
    group: G,
    time: u32,
    /// When it comes back; `None` once it has, and waits.
    until: Option<Instant>,
    /// Whether its receiver may still give it back.
    held: bool,
}

/// What waits and what is lent of one queue.
#[derive(Debug)]
pub(crate) struct Line<G> {
    waiting: HashMap<G, VecDeque<i64>>,
    /// Groups with something waiting, each once; the first is served next.
    turns: VecDeque<G>,
    lent: HashMap<i64, Lent<G>>,
    due: BTreeSet<(Instant, i64)>,
    count: usize,
}

impl<G> Default for Line<G> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            lent: HashMap::new(),
            due: BTreeSet::new(),
            count: 0,
        }
    }
}

impl<G: Clone + Eq + Hash> Line<G> {
    /// A new row waits behind the others of its group.
    pub(crate) fn put(&mut self, group: &G, seq: i64) {
        self.queue_of(group).push_back(seq);
        self.count += 1;
    }

    /// Rows that wait or are lent.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// The oldest row of the line.
    pub(crate) fn oldest(&self) -> Option<i64> {
        let waiting = self.waiting.values().flat_map(|queue| queue.front());
        waiting.chain(self.lent.keys()).min().copied()
    }

    /// Whether something could be taken now.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Lends up to `max` rows until `now + visibility`: one of each group in turn.
    pub(crate) fn take(&mut self, now: Instant, max: usize, visibility: Duration) -> Vec<Loan> {
        self.bring_back(now);
        let mut loans = Vec::new();
        while loans.len() < max
            && let Some(group) = self.turns.pop_front()
        {
            let Some(queue) = self.waiting.get_mut(&group) else { continue };
            let next = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&group);
            } else {
                self.turns.push_back(group.clone());
            }
            if let Some(seq) = next {
                loans.push(self.lend(seq, group, now + visibility));
            }
        }
        loans
    }

    /// Forgets a row wherever it is; whether it was known as lent. One that never was lent cannot be acknowledged.
    pub(crate) fn forget(&mut self, seq: i64) -> bool {
        let Some(lent) = self.lent.remove(&seq) else { return false };
        if let Some(until) = lent.until {
            self.due.remove(&(until, seq));
        } else {
            self.remove_waiting(&lent.group, seq);
        }
        self.count -= 1;
        true
    }

    /// Whether the loan still stands: neither over, nor ended.
    pub(crate) fn holds(&self, loan: Loan) -> bool {
        self.lent.get(&loan.seq).is_some_and(|lent| lent.held && lent.time == loan.time)
    }

    /// Ends a loan; the row waits again after `after`. A loan that no longer stands changes nothing.
    pub(crate) fn give_back(&mut self, now: Instant, loan: Loan, after: Duration) {
        if !self.holds(loan) {
            return;
        }
        let Some(lent) = self.lent.get_mut(&loan.seq) else { return };
        lent.held = false;
        let until = now + after;
        if let Some(old) = lent.until.replace(until) {
            self.due.remove(&(old, loan.seq));
        }
        self.due.insert((until, loan.seq));
        self.bring_back(now);
    }

    /// When the next row comes back by itself.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Rows whose time is over wait again, before the others of their group.
    fn bring_back(&mut self, now: Instant) {
        while let Some((at, seq)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            let Some(lent) = self.lent.get_mut(&seq) else { continue };
            lent.held = false;
            lent.until = None;
            let group = lent.group.clone();
            self.queue_of(&group).push_front(seq);
        }
    }

    fn lend(&mut self, seq: i64, group: G, until: Instant) -> Loan {
        let time = self.lent.get(&seq).map_or(1, |lent| lent.time.saturating_add(1));
        self.lent.insert(seq, Lent { group, time, until: Some(until), held: true });
        self.due.insert((until, seq));
        Loan { seq, time }
    }

    fn queue_of(&mut self, group: &G) -> &mut VecDeque<i64> {
        let turns = &mut self.turns;
        self.waiting.entry(group.clone()).or_insert_with(|| {
            turns.push_back(group.clone());
            VecDeque::new()
        })
    }

    /// Rows that came back stand in front: the search is short.
    fn remove_waiting(&mut self, group: &G, seq: i64) {
        let Some(queue) = self.waiting.get_mut(group) else { return };
        if let Some(at) = queue.iter().position(|waiting| *waiting == seq) {
            queue.remove(at);
        }
        if queue.is_empty() {
            self.waiting.remove(group);
            self.turns.retain(|turn| turn != group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn seqs(loans: &[Loan]) -> Vec<i64> {
        loans.iter().map(|loan| loan.seq).collect()
    }

    #[test]
    fn groups_take_turns() {
        let (mut line, now) = (Line::default(), Instant::now());
        (0..10).for_each(|seq| line.put(&"flood", seq));
        line.put(&"single", 10);
        assert_eq!(seqs(&line.take(now, 3, MINUTE)), [0, 10, 1]);
        assert_eq!(line.len(), 11);
        assert_eq!(line.oldest(), Some(0));
    }

    #[test]
    fn what_came_back_goes_first_and_an_old_loan_is_over() {
        let (mut line, now) = (Line::default(), Instant::now());
        (0..3).for_each(|seq| line.put(&"g", seq));
        let first = line.take(now, 1, MINUTE);
        assert_eq!(line.next_due(), Some(now + MINUTE));
        let later = now + MINUTE;
        let again = line.take(later, 1, MINUTE);
        assert_eq!(again, [Loan { seq: 0, time: 2 }]);
        line.give_back(later, first[0], Duration::ZERO);
        assert!(line.holds(again[0]) && !line.holds(first[0]));
        line.give_back(later, again[0], Duration::ZERO);
        assert_eq!(seqs(&line.take(later, 9, MINUTE)), [0, 1, 2]);
    }

    #[test]
    fn what_is_forgotten_is_gone_in_hand_and_waiting() {
        let (mut line, now) = (Line::default(), Instant::now());
        (0..2).for_each(|seq| line.put(&"g", seq));
        let loans = line.take(now, 1, MINUTE);
        line.give_back(now, loans[0], Duration::ZERO);
        assert!(line.forget(0) && !line.forget(0) && !line.forget(1));
        assert_eq!(seqs(&line.take(now, 9, MINUTE)), [1]);
        assert!(line.forget(1) && !line.has_waiting() && line.next_due().is_none());
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn a_delay_is_kept() {
        let (mut line, now) = (Line::default(), Instant::now());
        line.put(&"g", 0);
        let loan = line.take(now, 1, MINUTE)[0];
        line.give_back(now, loan, Duration::from_secs(5));
        assert!(line.take(now + Duration::from_millis(4_999), 1, MINUTE).is_empty());
        assert_eq!(line.take(now + Duration::from_secs(5), 1, MINUTE).len(), 1);
    }
}
