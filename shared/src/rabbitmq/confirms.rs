//! What becomes of a published message, and who is told.
//!
//! A message that no queue takes is returned before it is confirmed, and the client library hands a returned message to
//! whichever publish of the channel is confirmed next. So a confirm alone says nothing: all confirms of a channel that
//! are there are gathered, the ids of returned messages are read out of them, and only then is anybody told. A
//! message's own return is always among what was gathered with or before its confirm.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::Confirmation;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::trouble::Trouble;

/// Why a message is not known to be kept.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Unconfirmed {
    /// Nothing of it was written, or the broker gave it back: it is certainly on no queue.
    #[error(transparent)]
    NotTaken(Trouble),
    /// It may be on its queue.
    #[error(transparent)]
    InDoubt(Trouble),
}

impl Unconfirmed {
    pub(crate) fn trouble(self) -> Trouble {
        match self {
            Self::NotTaken(trouble) | Self::InDoubt(trouble) => trouble,
        }
    }
}

/// Whether somebody was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Everything that is ready beside `first`. The set may say "not now" with something ready left, and wakes whom it said
/// it to; so it is asked again until it says so without.
pub(super) fn gather<F: Future>(pending: &mut FuturesUnordered<F>, first: F::Output) -> Vec<F::Output> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut ready = vec![first];
    loop {
        match pending.poll_next_unpin(&mut context) {
            Poll::Ready(Some(next)) => ready.push(next),
            Poll::Ready(None) => return ready,
            Poll::Pending if woken.0.swap(false, Ordering::AcqRel) => {}
            Poll::Pending => return ready,
        }
    }
}

const WAITS: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Decides, once, whether a message is written or given up: its publisher and its caller may both want to.
#[derive(Debug, Clone, Default)]
pub(super) struct Claim(Arc<AtomicU8>);

impl Claim {
    /// Whether it may be written now.
    pub(super) fn begin(&self) -> bool {
        self.turn(BEGUN)
    }

    /// Whether it was given up before it was begun.
    pub(super) fn give_up(&self) -> bool {
        self.turn(GIVEN_UP)
    }

    fn turn(&self, to: u8) -> bool {
        self.0.compare_exchange(WAITS, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Whoever waits for a message that was written. Dropped without a word, the message is in doubt.
pub(super) struct Ticket {
    /// The message's id: unique among what is in flight, or the same for the same content.
    pub(super) id: String,
    pub(super) reply: oneshot::Sender<Result<(), Unconfirmed>>,
    /// Its share of what may be in flight.
    pub(super) room: OwnedSemaphorePermit,
}

/// Ids of messages that came back and whose publish is not confirmed yet.
#[derive(Debug, Default)]
pub(super) struct Returned(HashSet<String>);

impl Returned {
    /// Tells everybody of a group what became of theirs; whether any came back. The group holds whatever was ready on
    /// the channel.
    pub(super) fn settle(&mut self, group: Vec<(Ticket, lapin::Result<Confirmation>)>) -> bool {
        let mut came_back = false;
        for confirmation in group.iter().filter_map(|(_, answer)| answer.as_ref().ok()) {
            self.note(confirmation);
        }
        for (Ticket { id, reply, room }, answer) in group {
            let result = if self.0.remove(&id) {
                came_back = true;
                Err(Unconfirmed::NotTaken(Trouble::Missing))
            } else {
                match answer {
                    Ok(Confirmation::Ack(_)) => Ok(()),
                    // A quorum queue's leader may have handed it to a follower before it failed.
                    Ok(Confirmation::Nack(_) | Confirmation::NotRequested) => {
                        Err(Unconfirmed::InDoubt(Trouble::Nacked))
                    }
                    Err(error) => Err(Unconfirmed::InDoubt(error.into())),
                }
            };
            drop(room);
            // A caller that waited no longer has said so already.
            drop(reply.send(result));
        }
        came_back
    }

    fn note(&mut self, confirmation: &Confirmation) {
        if let Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message)) = confirmation
            && let Some(id) = message.delivery.properties.message_id()
        {
            self.0.insert(id.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_or_given_up_and_never_both() {
        let claim = Claim::default();
        assert!(claim.begin());
        assert!(!claim.give_up() && !claim.begin());
        let claim = Claim::default();
        assert!(claim.give_up());
        assert!(!claim.begin());
    }
}
