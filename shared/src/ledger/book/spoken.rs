//! Of which attempt a provider speaks: a word about what was sent before a message was sent again is a late one.

use crate::{
    domain::{Again, State},
    ledger::{RowRef, SpokenOf},
};

/// By what a notice names its message.
#[derive(Debug, Clone, Copy)]
pub(in crate::ledger) enum By {
    /// What the backend calls it now.
    BackendId,
    /// Our id, and which time gave the key.
    OurKey(u32),
    /// How it was known before it was sent again, or where it went then; that time's last attempt.
    Earlier(u32),
}

/// The attempt that a notice speaks of. `again` is needed only if more than one attempt was begun and the notice names our id; of a text that
/// is gone it is not known, and then the message has ended long ago.
pub(in crate::ledger) fn spoken_of(
    row: RowRef,
    attempt: u32,
    state: State,
    again: Option<Again>,
    by: By,
) -> SpokenOf {
    let present = |first: u32| {
        // A provider does not say of which attempt of one time it speaks. While a later one is under way it may speak of an earlier
        // one: then it is a late word, which interrupts nothing.
        if state == State::Sending && attempt > first { attempt - 1 } else { attempt }
    };
    let attempt = match (by, again) {
        (By::Earlier(last), _) => last.min(attempt),
        // Before this time nothing was sent under another key: there is no other time that could be meant.
        (By::OurKey(key), Some(again)) if again.key != key && again.after > 0 => again.after.min(attempt),
        // The key is as new as this time is: it can be about no attempt before.
        (By::OurKey(_), Some(again)) if again.key == again.number => present(again.after.saturating_add(1)),
        (By::OurKey(_) | By::BackendId, _) => present(1),
    };
    SpokenOf { row, attempt, state }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MessageId, Timestamp};

    fn attempt(attempt: u32, state: State, again: Option<Again>, by: By) -> u32 {
        let row = RowRef { row: 1, id: MessageId::from_bytes([1; 16]) };
        spoken_of(row, attempt, state, again, by).attempt
    }

    fn again(number: u32, key: u32, after: u32) -> Option<Again> {
        Some(Again { number, key, after, at: Timestamp::from_millis(0) })
    }

    #[test]
    fn what_was_sent_once_is_spoken_of_by_every_name() {
        for by in [By::BackendId, By::OurKey(0)] {
            assert_eq!(attempt(1, State::Sending, None, by), 1);
            assert_eq!(attempt(3, State::Sent, None, by), 3);
            assert_eq!(attempt(3, State::Sending, None, by), 2, "it may be about the second");
        }
    }

    #[test]
    fn after_a_known_failure_only_the_new_key_speaks_of_what_was_sent_again() {
        let twice = again(1, 1, 2);
        for (key, state, of) in [
            (0, State::Sent, 2),
            (0, State::Sending, 2),
            (1, State::Sending, 3),
            (1, State::Sent, 3),
            (7, State::Sent, 2),
        ] {
            assert_eq!(attempt(3, state, twice, By::OurKey(key)), of, "{key} {state:?}");
        }
        assert_eq!(attempt(4, State::Sending, twice, By::OurKey(1)), 3, "it may be about the third");
        assert_eq!(attempt(3, State::Sent, twice, By::Earlier(2)), 2);
        assert_eq!(attempt(3, State::Sent, twice, By::BackendId), 3);
    }

    #[test]
    fn under_a_key_that_stayed_either_time_may_be_meant() {
        let doubted = again(2, 1, 2);
        assert_eq!(attempt(3, State::Sent, doubted, By::OurKey(1)), 3);
        assert_eq!(attempt(3, State::Sending, doubted, By::OurKey(1)), 2);
        assert_eq!(attempt(3, State::Sent, doubted, By::OurKey(0)), 2);
    }

    #[test]
    fn of_what_was_never_sent_before_any_name_speaks_of_the_present() {
        let expired = again(1, 1, 0);
        for key in [0, 1] {
            assert_eq!(attempt(1, State::Sending, expired, By::OurKey(key)), 1);
            assert_eq!(attempt(2, State::Sent, expired, By::OurKey(key)), 2);
        }
    }
}
