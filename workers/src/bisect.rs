//! Finding the row that a database cannot digest: halves of a batch, down to the single row.

use std::ops::Range;

/// The parts of a batch that are still to be tried, in order.
#[derive(Debug)]
pub(crate) struct Bisection {
    pending: Vec<Range<usize>>,
}

impl Bisection {
    /// The whole batch first.
    pub(crate) fn of(len: usize) -> Self {
        Self { pending: if len == 0 { Vec::new() } else { vec![Range { start: 0, end: len }] } }
    }

    /// The part to try next; it is settled unless given to [`Bisection::refused`].
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.pending.pop()
    }

    /// This part was refused: its halves are tried. The index, if it is a single row.
    pub(crate) fn refused(&mut self, part: Range<usize>) -> Option<usize> {
        if part.len() == 1 {
            return Some(part.start);
        }
        let middle = part.start + part.len() / 2;
        self.pending.push(middle..part.end);
        self.pending.push(part.start..middle);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries parts of `len` rows of which `bad` are refused: what was taken, what was found, how many tries.
    fn search(len: usize, bad: &[usize]) -> (Vec<usize>, Vec<usize>, usize) {
        let (mut taken, mut found, mut tries) = (Vec::new(), Vec::new(), 0);
        let mut search = Bisection::of(len);
        while let Some(part) = search.next() {
            tries += 1;
            if part.clone().any(|row| bad.contains(&row)) {
                found.extend(search.refused(part));
            } else {
                taken.extend(part);
            }
        }
        (taken, found, tries)
    }

    #[test]
    fn every_row_is_taken_or_found_in_order_and_nothing_is_tried_in_vain() {
        for (len, bad) in [
            (0, vec![]),
            (1, vec![]),
            (1, vec![0]),
            (7, vec![6]),
            (64, vec![0, 31, 32]),
            (5, vec![0, 1, 2, 3, 4]),
        ] {
            let (taken, found, _) = search(len, &bad);
            assert_eq!(found, bad);
            assert_eq!(taken, (0..len).filter(|row| !bad.contains(row)).collect::<Vec<_>>());
        }
        assert_eq!(search(512, &[]).2, 1);
        assert!(search(512, &[77]).2 <= 2 * 9 + 1);
    }
}
