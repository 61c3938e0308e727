//! How many requests ask a queue at once: more while they come back full, fewer while they do not. Pure.

/// Messages in an answer, at the most.
pub(super) const ANSWER: usize = 10;

/// Bytes received ahead, at the most, as far as the size of what comes next can be told.
const AHEAD_BYTES: usize = 32 << 20;

/// What a message is taken to have in bytes until some were seen.
const SIZE: f64 = 16.0 * 1024.0;

/// The requests of one queue.
#[derive(Debug)]
pub(super) struct Flow {
    most: usize,
    level: usize,
    /// Whether the one that waits long is out.
    lead: bool,
    extra: usize,
    size: f64,
}

/// Which requests are to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Launch {
    /// The one that waits long.
    pub(super) lead: bool,
    /// Those that hardly wait.
    pub(super) extra: usize,
}

impl Flow {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), level: 1, lead: false, extra: 0, size: SIZE }
    }

    /// The requests to make for somebody who takes up to `max` at once while so much lies ahead; they count as made.
    pub(super) fn launch(&mut self, max: usize, ahead: usize, bytes: usize) -> Launch {
        let mut launch = Launch::default();
        loop {
            let out = self.extra + usize::from(self.lead);
            if out >= self.level || !self.has_room(out, max, ahead, bytes) {
                return launch;
            }
            if self.lead {
                self.extra += 1;
                launch.extra += 1;
            } else {
                self.lead = true;
                launch.lead = true;
            }
        }
    }

    fn has_room(&self, out: usize, max: usize, ahead: usize, bytes: usize) -> bool {
        if out == 0 && ahead == 0 {
            return true;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let coming = (out + 1) as f64 * ANSWER as f64 * self.size;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let fits = bytes as f64 + coming <= AHEAD_BYTES as f64;
        fits && ahead + (out + 1) * ANSWER <= (2 * max).max(ANSWER)
    }

    /// A request brought so many, of so many bytes.
    pub(super) fn brought(&mut self, got: usize, bytes: usize) {
        if got == ANSWER {
            self.level = (self.level * 2).min(self.most);
        } else if got * 2 < ANSWER {
            self.level = (self.level - 1).max(1);
        }
        if got > 0 {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            let size = bytes as f64 / got as f64;
            self.size = self.size.mul_add(0.75, size * 0.25);
        }
    }

    /// A request is over, however it ended.
    pub(super) const fn ended(&mut self, lead: bool) {
        if lead {
            self.lead = false;
        } else {
            self.extra = self.extra.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes what may be made, and answers all of it with so many.
    fn turn(flow: &mut Flow, got: usize, bytes: usize) -> usize {
        let launch = flow.launch(256, 0, 0);
        (0..launch.extra).for_each(|_| flow.ended(false));
        if launch.lead {
            flow.ended(true);
        }
        let out = launch.extra + usize::from(launch.lead);
        (0..out).for_each(|_| flow.brought(got, bytes));
        out
    }

    #[test]
    fn full_answers_bring_more_requests_and_short_ones_fewer() {
        let mut flow = Flow::new(16);
        let grown: Vec<usize> = (0..5).map(|_| turn(&mut flow, 10, 10_000)).collect();
        assert_eq!(grown, [1, 2, 8, 16, 16]);
        assert_eq!(turn(&mut flow, 5, 5_000), 16, "half full is well used");
        assert_eq!([turn(&mut flow, 1, 1_000), turn(&mut flow, 0, 0)], [16, 1]);
    }

    #[test]
    fn what_lies_ahead_is_bounded_in_messages_and_bytes() {
        let mut flow = Flow::new(64);
        assert!((0..8).all(|_| turn(&mut flow, 10, 10_000) > 0));
        let launch = flow.launch(20, 10, 10_000);
        assert_eq!(launch, Launch { lead: true, extra: 2 });
        assert_eq!(flow.launch(20, 10, 10_000), Launch::default());
        let mut large = Flow::new(64);
        assert!((0..40).all(|_| turn(&mut large, 10, 10 << 20) > 0));
        assert_eq!(large.launch(256, 1, 1 << 20), Launch { lead: true, extra: 2 });
        large.ended(true);
        assert_eq!(Flow::new(1).launch(1, 0, 64 << 20), Launch { lead: true, extra: 0 }, "never none");
    }
}
