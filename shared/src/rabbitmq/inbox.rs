//! One queue of the broker as a receiver sees it: what was delivered is taken from memory, and a consumer fills it for as
//! long as somebody receives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::{
    hand::{Hand, Item, Mark, Standing},
    topology::Plan,
    trouble::Trouble,
};

/// Orders that wait for a consumer, at the most.
pub(super) const ORDERS: usize = 256;

/// What a consumer's task is told to do.
pub(super) enum Order {
    /// Acknowledge these; one result for each.
    Ack(Vec<Mark>, oneshot::Sender<Vec<Result<(), Trouble>>>),
    /// Count what is on the queue and in this process's hands; `None` if it does not consume.
    Depth(oneshot::Sender<Option<u64>>),
}

/// What receivers and the consumer's task share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    /// The least that is said about deliveries.
    pub(super) floor: u32,
    pub(super) hand: Mutex<Hand>,
    /// Why nothing comes, while nothing can.
    pub(super) trouble: Mutex<Option<Trouble>>,
    /// Who receives now.
    pub(super) receivers: AtomicUsize,
    /// Whether somebody has begun to receive since a consumer was last tried: it may be told at once that nothing can
    /// come, and be gone before the task looks.
    pub(super) asked: AtomicBool,
    pub(super) consuming: AtomicBool,
    /// Wakes the task: somebody receives, or does no more, or something is due at another time.
    pub(super) changed: Notify,
    /// Wakes receivers: something came, or cannot.
    pub(super) arrived: Arc<Notify>,
}

/// See the module.
pub(crate) struct Inbox {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    patience: Duration,
}

impl Inbox {
    pub(super) const fn new(shared: Arc<Shared>, orders: mpsc::Sender<Order>, patience: Duration) -> Self {
        Self { shared, orders, patience }
    }

    /// Begins to receive: from now on the broker is asked to deliver, until the answer is dropped.
    pub(crate) fn receive(&self) -> Receiving<'_> {
        self.shared.receivers.fetch_add(1, Ordering::AcqRel);
        self.shared.asked.store(true, Ordering::Release);
        self.shared.changed.notify_one();
        Receiving(self)
    }

    /// Whether a consumer stands at the queue now, so that the queue is certainly there.
    pub(crate) fn is_consuming(&self) -> bool {
        self.shared.consuming.load(Ordering::Acquire)
    }

    /// The name of its queue.
    pub(crate) fn queue(&self) -> &str {
        self.shared.plan.queue()
    }

    /// Acknowledges deliveries. `Ok`: the broker has read it, or it was acknowledged before.
    pub(crate) async fn ack(&self, marks: Vec<Mark>) -> Vec<Result<(), Trouble>> {
        let count = marks.len();
        let (reply, answer) = oneshot::channel();
        self.order(Order::Ack(marks, reply), answer)
            .await
            .unwrap_or_else(|trouble| (0..count).map(|_| Err(trouble.clone())).collect())
    }

    /// What a receiver holds under this mark.
    pub(crate) fn held(&self, mark: Mark) -> Option<Item> {
        self.shared.hand.lock().held(mark)
    }

    /// What has become of a delivery.
    pub(crate) fn standing(&self, mark: Mark) -> Standing {
        self.shared.hand.lock().standing(mark)
    }

    /// Gives a delivery back after a while; one that is no longer held stays as it is.
    pub(crate) fn release(&self, mark: Mark, after: Duration) {
        self.shared.hand.lock().rest(mark, Instant::now() + after);
        self.shared.changed.notify_one();
    }

    /// Messages in this process's hands.
    pub(crate) fn in_hand(&self) -> u64 {
        self.shared.hand.lock().len() as u64
    }

    /// Messages on the queue and in this process's hands; `None` if no consumer stands at it.
    pub(crate) async fn depth(&self) -> Result<Option<u64>, Trouble> {
        if !self.is_consuming() {
            return Ok(None);
        }
        let (reply, answer) = oneshot::channel();
        self.order(Order::Depth(reply), answer).await
    }

    async fn order<T>(&self, order: Order, answer: oneshot::Receiver<T>) -> Result<T, Trouble> {
        let told = async {
            self.orders.send(order).await.map_err(|_gone| Trouble::Ended)?;
            answer.await.map_err(|_gone| Trouble::Ended)
        };
        // The task's own calls end before this.
        let patience = self.patience * 2;
        tokio::time::timeout(patience, told).await.map_err(|_elapsed| Trouble::Silent(patience))?
    }
}

/// Somebody who receives.
pub(crate) struct Receiving<'a>(&'a Inbox);

impl Receiving<'_> {
    /// Takes what is there, each until `until` if that is a time.
    pub(crate) fn take(&self, max: usize, until: Option<Instant>) -> Vec<(Mark, Item)> {
        let shared = &self.0.shared;
        let taken = shared.hand.lock().take(max, until);
        if until.is_some() && !taken.is_empty() {
            shared.changed.notify_one();
        }
        taken
    }

    /// Why nothing can come.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.0.shared.trouble.lock().clone()
    }
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.0.shared.receivers.fetch_sub(1, Ordering::AcqRel);
        self.0.shared.changed.notify_one();
    }
}
