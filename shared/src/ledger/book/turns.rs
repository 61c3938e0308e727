//! Whose turn it is: weighted turns among customers of a lane, and `express` before `bulk` without starving it.

use crate::domain::Lane;

/// Of so many in a row at least one is `bulk`, while both wait.
const ROUND: u32 = 8;

/// Where the turns of a lane stand.
#[derive(Debug, Clone, Default)]
pub(in crate::ledger) struct LaneTurns {
    /// Who has the turn, or had it last; customers follow one another in the order of their names.
    pub(in crate::ledger) customer: String,
    /// How many more it may give before the turn moves on.
    pub(in crate::ledger) left: u32,
}

/// Where the turns of a route stand. Only a hint: what is lost with the process is one turn.
#[derive(Debug, Clone, Default)]
pub(in crate::ledger) struct RouteTurns {
    express: LaneTurns,
    bulk: LaneTurns,
    /// `express` given since the last `bulk`.
    run: u32,
}

impl RouteTurns {
    pub(in crate::ledger) const fn lane(&mut self, lane: Lane) -> &mut LaneTurns {
        match lane {
            Lane::Express => &mut self.express,
            Lane::Bulk => &mut self.bulk,
        }
    }

    /// How many of the next `max` belong to `bulk`, if both lanes have enough.
    pub(in crate::ledger) const fn bulk_of(&self, max: usize) -> usize {
        let run = if self.run > ROUND - 1 { ROUND - 1 } else { self.run };
        (max + run as usize) / ROUND as usize
    }

    /// One order of start for both lanes.
    pub(in crate::ledger) fn merge<T>(&mut self, express: Vec<T>, bulk: Vec<T>) -> Vec<T> {
        let mut out = Vec::with_capacity(express.len() + bulk.len());
        let (mut express, mut bulk) = (express.into_iter().peekable(), bulk.into_iter().peekable());
        while express.peek().is_some() || bulk.peek().is_some() {
            let bulk_turn = self.run >= ROUND - 1 && bulk.peek().is_some();
            if bulk_turn || express.peek().is_none() {
                out.extend(bulk.next());
                self.run = 0;
            } else {
                out.extend(express.next());
                self.run = self.run.saturating_add(1);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_eight_is_bulk_over_any_sequence_of_takes() {
        for max in 1..=20 {
            let mut turns = RouteTurns::default();
            let mut given = Vec::new();
            while given.len() < 400 {
                let bulk = turns.bulk_of(max);
                given.extend(turns.merge(vec!['e'; max - bulk], vec!['b'; bulk]));
            }
            let longest = given.split(|lane| *lane == 'b').map(<[char]>::len).max();
            assert_eq!(longest, Some(7), "max {max}");
        }
    }

    #[test]
    fn a_lane_alone_gives_all_it_has() {
        let mut turns = RouteTurns::default();
        assert_eq!(turns.merge(vec![], vec![1, 2, 3]), [1, 2, 3]);
        assert_eq!(turns.merge(vec![1, 2, 3], vec![]), [1, 2, 3]);
    }
}
