//! Where a process can be killed between two steps of a message's way.

use std::{
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
};

use anyhow::{Context, bail};
use rustix::process::{Signal, getpid, kill_process};

/// A step that is done and the next that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// The queue has confirmed; the client has no answer.
    ConfirmToAnswer,
    /// The ledger holds the messages; the queue still does.
    CommitToAck,
    /// The ledger says `sending`; nothing was sent.
    IntakeToAttempt,
    /// The backend has answered; the ledger does not know.
    AttemptToOutcome,
    /// The outcome is committed; its event is not published.
    OutcomeToRelay,
    /// The event is published; the outbox still holds it.
    PublishToDelete,
}

impl Window {
    /// All windows, in the order of a message's way.
    pub const ALL: [Self; 6] = [
        Self::ConfirmToAnswer,
        Self::CommitToAck,
        Self::IntakeToAttempt,
        Self::AttemptToOutcome,
        Self::OutcomeToRelay,
        Self::PublishToDelete,
    ];

    /// The word in `NARU_FAULT`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfirmToAnswer => "confirm-answer",
            Self::CommitToAck => "commit-ack",
            Self::IntakeToAttempt => "intake-attempt",
            Self::AttemptToOutcome => "attempt-outcome",
            Self::OutcomeToRelay => "outcome-relay",
            Self::PublishToDelete => "publish-delete",
        }
    }
}

/// Kills the process at the n-th passage of a window.
#[derive(Debug)]
pub struct Fuse {
    window: Window,
    left: AtomicI64,
}

impl FromStr for Fuse {
    type Err = anyhow::Error;

    /// `WINDOW:N`
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, count) = text.split_once(':').context("a fault is WINDOW:N")?;
        let Some(window) = Window::ALL.into_iter().find(|window| window.as_str() == name) else {
            bail!("there is no window `{name}`");
        };
        Ok(Self { window, left: AtomicI64::new(count.parse()?) })
    }
}

impl Fuse {
    /// Passes a window; does not return from the fatal passage.
    pub fn pass(&self, window: Window) {
        if window != self.window || self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return;
        }
        while kill_process(getpid(), Signal::KILL).is_ok() {
            // The signal is on its way; nothing more may be done meanwhile.
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fuse_counts_only_its_own_window() {
        let fuse: Fuse = "commit-ack:2".parse().unwrap();
        fuse.pass(Window::OutcomeToRelay);
        fuse.pass(Window::CommitToAck);
        assert_eq!(fuse.left.load(Ordering::SeqCst), 1);
        assert!("commit-ack".parse::<Fuse>().is_err() && "x:1".parse::<Fuse>().is_err());
    }
}
