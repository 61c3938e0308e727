//! Promises broken on purpose.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use naru_shared::{
    ledger::Ledger,
    ports::{Behind, Ports},
};

use super::{ledger, outbox, queue, registry};

/// A way to break a promise.
pub(super) enum Sabotage {
    /// A pack is acknowledged when it is received, before the ledger holds its messages.
    EarlyAck,
    /// Outcomes are said again late, and applied as if they were of the current attempt.
    DroppedFence,
    /// Outcomes are said again late, with their own attempt's number. No sabotage: the fence must hold.
    KeptFence,
    /// Some events are deleted before they are published.
    LostEvent,
    /// Some charges are booked wrongly, in this file.
    WrongCharge(PathBuf, ledger::Wrong),
    /// Some messages get another's recipient.
    MixedRecipients,
    /// A credential that is known is answered so much later than one that is not.
    TellingDoor(Duration),
}

impl Sabotage {
    /// From the word in `NARU_SABOTAGE`.
    pub(super) fn named(text: &str) -> anyhow::Result<Self> {
        let (name, file) = text.split_once('=').unwrap_or((text, ""));
        Ok(match name {
            "early-ack" => Self::EarlyAck,
            "dropped-fence" => Self::DroppedFence,
            "kept-fence" => Self::KeptFence,
            "lost-event" => Self::LostEvent,
            "double-charge" => Self::WrongCharge(PathBuf::from(file), ledger::Wrong::Twice),
            "anothers-charge" => Self::WrongCharge(PathBuf::from(file), ledger::Wrong::Another),
            "mixed-recipients" => Self::MixedRecipients,
            "telling-door" => Self::TellingDoor(Duration::from_nanos(file.parse()?)),
            _ => return Err(anyhow::anyhow!("there is no sabotage `{text}`")),
        })
    }

    /// Lays itself around the ports.
    pub(super) fn around(self, mut ports: Ports) -> Ports {
        if let Self::EarlyAck = self {
            ports.queue = Arc::new(queue::EarlyAck { inner: ports.queue });
            return ports;
        }
        if let Self::TellingDoor(later) = self {
            ports.registry = Arc::new(registry::Telling { inner: ports.registry, later });
            return ports;
        }
        ports.behind = ports.behind.map(|behind| self.around_ledger(behind));
        ports
    }

    fn around_ledger(self, mut behind: Behind) -> Behind {
        match self {
            Self::EarlyAck | Self::TellingDoor(_) => {}
            Self::DroppedFence => behind.ledger = twisted(behind.ledger, ledger::Replaying::new(false)),
            Self::KeptFence => behind.ledger = twisted(behind.ledger, ledger::Replaying::new(true)),
            Self::LostEvent => behind.outbox = Arc::new(outbox::Lossy { inner: behind.outbox }),
            Self::WrongCharge(file, wrong) => {
                behind.ledger = twisted(behind.ledger, misbooking(&file, wrong));
            }
            Self::MixedRecipients => behind.ledger = twisted(behind.ledger, ledger::Mixing),
        }
        behind
    }
}

fn twisted(inner: Arc<dyn Ledger>, twist: impl ledger::Twist) -> Arc<dyn Ledger> {
    Arc::new(ledger::Twisted { inner, twist })
}

#[expect(clippy::expect_used, reason = "a sabotage that cannot be done must not pass for one that was")]
fn misbooking(file: &Path, wrong: ledger::Wrong) -> ledger::Misbooking {
    ledger::Misbooking::new(file, wrong).expect("the ledger's file can be opened")
}
