//! Takes accepted messages to the queue, many at once.
//!
//! A call hands over its messages and waits for a word about each. One task gathers what is waiting, publishes it
//! together and answers; while a publish is under way the next gathers. A caller that hangs up changes nothing: what was
//! handed over is the task's.

mod group;
mod task;

use std::{sync::Arc, time::Duration};

use naru_shared::{
    domain::{Account, Key, Lane, PackEncoder},
    gate::{FirstAnswer, Gate},
    queue::Queue,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    accept::{Claim, Undo},
    room::{Places, Room},
};

/// One message on its way to the queue.
#[derive(Debug)]
pub struct Item {
    /// How soon.
    pub lane: Lane,
    /// The message as JSON, ready for a pack.
    pub fragment: Vec<u8>,
    /// What it is answered with.
    pub answer: FirstAnswer,
    /// Its key, if it has one.
    pub key: Option<Key>,
    /// What it holds of the gate.
    pub claim: Claim,
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The queue has it for sure.
    Accepted,
    /// The queue does not have it for sure.
    Refused,
    /// It cannot be known.
    Unknown,
}

/// The messages of one call.
struct Job {
    account: Account,
    items: Vec<Item>,
    reply: oneshot::Sender<Vec<Verdict>>,
    /// After this moment the publish is not begun any more.
    begin_by: Instant,
    _room: Places,
}

/// What the publisher works with.
pub struct PublisherParts {
    /// Where packs go.
    pub queue: Arc<dyn Queue>,
    /// Where keys and units in flight are settled.
    pub gate: Arc<dyn Gate>,
    /// Writes packs.
    pub encoder: PackEncoder,
    /// How long one publish may take.
    pub time_out: Duration,
}

/// Hands messages to the publishing task.
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    undo: Undo,
    room: Arc<Room>,
    time_out: Duration,
}

/// Bytes that one place stands for.
const PLACE_BYTES: usize = 4 * 1024;

/// One account fills at most half of the room.
const SHARES: usize = 2;

/// Claims that may wait to be undone.
const UNDO: usize = 8_192;

impl Publisher {
    /// Starts the task, which ends when `stop` is cancelled and all that was handed over is answered.
    pub fn start(
        runtime: &Handle,
        in_flight: usize,
        parts: PublisherParts,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let in_flight = in_flight.clamp(1, 1 << 20);
        // Each job holds a place or more, so that the channel is never full.
        let (jobs, waiting) = mpsc::channel(in_flight);
        let (undo, undone) = mpsc::channel(UNDO);
        let time_out = parts.time_out;
        let task = runtime.spawn(task::run(parts, waiting, undone, stop));
        (Self { jobs, undo, room: Room::new(in_flight, SHARES), time_out }, task)
    }

    /// Where claims go that are dropped undecided.
    pub const fn undo(&self) -> &Undo {
        &self.undo
    }

    /// Publishes the messages of one call and waits for a word about each, in order.
    ///
    /// # Errors
    /// The messages, untouched, when too many are in flight, of all or of this account.
    pub async fn publish(&self, account: &Account, items: Vec<Item>) -> Result<Vec<Verdict>, Vec<Item>> {
        let count = items.len();
        let weight: usize = items.iter().map(|item| 1 + item.fragment.len() / PLACE_BYTES).sum();
        let Some(room) = self.room.take(account, weight) else {
            return Err(items);
        };
        let (reply, answer) = oneshot::channel();
        let begin_by = Instant::now() + self.time_out;
        let job = Job { account: account.clone(), items, reply, begin_by, _room: room };
        if let Err(refused) = self.jobs.try_send(job) {
            return Err(refused.into_inner().items);
        }
        // The task answers within one time-out of waiting and one of publishing; this bound is for a task that is gone.
        let longest = self.time_out * 2 + Duration::from_secs(1);
        let verdicts = tokio::time::timeout(longest, answer).await;
        Ok(verdicts.ok().and_then(Result::ok).unwrap_or_else(|| vec![Verdict::Unknown; count]))
    }
}
