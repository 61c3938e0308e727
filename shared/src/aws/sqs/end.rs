//! One queue as the adapters of the ports use it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    address::Address,
    flow::Flow,
    hand::{Hand, Item},
    letter::{self, Letter},
    over,
    receiving::{Shared, State},
    rhythm::{Rhythm, Watch},
    trouble::SqsTrouble,
};
use crate::doorbell::{Doorbell, Heard, NoDoorbell};

/// How a queue is received from.
#[derive(Clone)]
pub(crate) struct Receiving {
    /// How long what was received stays in hand.
    pub(crate) visibility: Duration,
    /// Requests at once, at the most.
    pub(crate) receivers: usize,
    /// When it is asked.
    pub(crate) rhythm: Rhythm,
    /// Whether its rests are shifted against those of another.
    pub(crate) apart: bool,
    /// What wakes it.
    pub(crate) bell: Arc<dyn Doorbell>,
}

/// One queue: what is received from it is held here until it is forgotten, given back, or its time is over.
pub(crate) struct End {
    shared: Arc<Shared>,
    bell: watch::Receiver<Heard>,
    /// Requests on their way; they end with this.
    jobs: Mutex<JoinSet<()>>,
}

impl End {
    /// A queue that is received from while somebody asks. Who waits at several ends at once gives them one `arrived`.
    pub(crate) fn new(address: Address, how: Receiving, arrived: &Arc<Notify>) -> Self {
        let bell = how.bell.listen(address.name());
        let watch = Watch::with_bell(how.rhythm, how.apart, Instant::now());
        Self::with(address, how, arrived, watch, bell)
    }

    /// A queue on which something lies hardly ever, and never in haste: it has no bell, and is asked seldom.
    pub(crate) fn seldom(address: Address, how: Receiving, arrived: &Arc<Notify>) -> Self {
        let watch = Watch::seldom(how.rhythm, how.apart, Instant::now());
        let bell = NoDoorbell.listen(address.name());
        let how = Receiving { bell: Arc::new(NoDoorbell), ..how };
        Self::with(address, how, arrived, watch, bell)
    }

    fn with(
        address: Address,
        how: Receiving,
        arrived: &Arc<Notify>,
        watch: Watch,
        bell: watch::Receiver<Heard>,
    ) -> Self {
        let hand = Hand::new(how.visibility, Instant::now());
        let shared = Arc::new(Shared {
            address,
            visibility: how.visibility,
            state: Mutex::new(State::new(hand, Flow::new(how.receivers), watch)),
            arrived: Arc::clone(arrived),
            bell: how.bell,
        });
        Self { shared, bell, jobs: Mutex::default() }
    }

    /// The queue itself.
    pub(crate) fn address(&self) -> &Address {
        &self.shared.address
    }

    /// Sends these; one result for each, in order.
    pub(crate) async fn send(&self, letters: Vec<Letter>) -> Vec<Result<(), SqsTrouble>> {
        letter::send(&self.shared.address, letters).await
    }

    /// Takes up to `max` of what has come, and asks for more if it is time to; and when to look again.
    fn take(&self, max: usize) -> (Vec<Item>, Option<Instant>) {
        let now = Instant::now();
        let (taken, stale, jobs, next) = {
            let mut state = self.shared.state.lock();
            state.left = false;
            let (taken, stale) = state.hand.take(max, now);
            let heard = *self.bell.borrow();
            let (jobs, next) = if max == 0 { (Vec::new(), None) } else { state.plan(max, heard, now) };
            (taken, stale, jobs, next)
        };
        let mut under_way = self.jobs.lock();
        while under_way.try_join_next().is_some() {}
        for job in jobs {
            under_way.spawn(Arc::clone(&self.shared).run(job));
        }
        if !stale.is_empty() {
            let shared = Arc::clone(&self.shared);
            under_way.spawn(async move { shared.give_back(stale).await });
        }
        (taken, next)
    }

    /// How many questions failed, and how the last did.
    fn trouble(&self) -> (u64, Option<SqsTrouble>) {
        let state = self.shared.state.lock();
        (state.failures, state.trouble.clone())
    }

    /// What was given out with this handle, as long as it is held.
    pub(crate) fn held(&self, handle: &str) -> Option<Item> {
        self.shared.state.lock().hand.held(handle, Instant::now()).cloned()
    }

    /// Forgets these for ever; one result for each, in order. One that is gone already is forgotten.
    pub(crate) async fn delete(&self, handles: Vec<Arc<str>>) -> Vec<Result<(), SqsTrouble>> {
        let results = over::delete(&self.shared.address, handles.clone()).await;
        let (mut state, now) = (self.shared.state.lock(), Instant::now());
        for (handle, result) in handles.iter().zip(&results) {
            if result.is_ok() {
                state.hand.let_go(handle, now);
            }
        }
        drop(state);
        results
    }

    /// Lets one be received again after this time, if it is still held: what has gone back may be in another's hands.
    pub(crate) async fn release(&self, handle: &str, after: Duration) -> Result<(), SqsTrouble> {
        if !self.shared.state.lock().hand.let_go(handle, Instant::now()) {
            return Ok(());
        }
        over::release(&self.shared.address, vec![(handle.into(), after)]).await.into_iter().collect()
    }

    /// Sets one aside: puts it where a person finds it, with the reason, and forgets it here. One that has gone back is left to
    /// its next receiver.
    pub(crate) async fn set_aside(&self, to: &Address, handle: &str, reason: &str) -> Result<(), SqsTrouble> {
        /// The reason is cut here, in characters.
        const REASON: usize = 200;
        let Some(item) = self.held(handle) else { return Ok(()) };
        let allowed = |c: char| if c.is_control() { ' ' } else { c };
        let reason: String = reason.chars().take(REASON).map(allowed).collect();
        let names = ["naru-customer", "naru-route", "naru-lane", "naru-version"];
        let kept = item.attributes.iter().filter_map(|(name, text)| {
            let name = names.into_iter().find(|known| known == name)?;
            (!text.is_empty()).then(|| (name, text.clone()))
        });
        let mut attributes: Vec<(&'static str, String)> = kept.collect();
        attributes.push(("naru-reason", if reason.is_empty() { "none".to_owned() } else { reason }));
        let body = String::from_utf8_lossy(&item.body).into_owned();
        let letter = Letter { body, group: item.group, attributes };
        letter::send(to, vec![letter]).await.into_iter().collect::<Result<(), _>>()?;
        self.delete(vec![item.handle]).await.into_iter().collect()
    }

    /// Whether nothing lies there, as far as can be told without asking.
    pub(crate) fn is_known_to_be_empty(&self) -> bool {
        let mut state = self.shared.state.lock();
        state.watch.hear(*self.bell.borrow(), Instant::now());
        state.watch.is_known_to_be_empty() && state.hand.is_empty()
    }

    /// What lies there, in this process's hands too; nothing is asked while it is known to be empty.
    pub(crate) async fn count(&self) -> Result<u64, SqsTrouble> {
        if self.is_known_to_be_empty() { Ok(0) } else { self.shared.address.count().await }
    }

    /// Nobody receives here any more for now: what was received ahead goes back, and so does what is still on its way.
    pub(crate) async fn leave(&self) {
        let back = {
            let mut state = self.shared.state.lock();
            state.left = true;
            state.hand.empty()
        };
        self.shared.give_back(back).await;
    }
}

/// Receives up to `max` at these ends, with the number of its end, waiting up to `wait` for the first. Only the failures of
/// the first end are told: the others hold what hardly ever comes, and are asked again.
pub(crate) async fn receive(
    ends: &[&End],
    max: usize,
    wait: Duration,
) -> Result<Vec<(usize, Item)>, SqsTrouble> {
    let until = Instant::now() + wait;
    let Some(first) = ends.first() else { return Ok(Vec::new()) };
    let mut bell = first.bell.clone();
    let (failures, _) = first.trouble();
    loop {
        let mut arrived = std::pin::pin!(first.shared.arrived.notified());
        arrived.as_mut().enable();
        bell.borrow_and_update();
        let (mut taken, mut look) = (Vec::new(), until);
        for (number, end) in ends.iter().enumerate() {
            let (items, next) = end.take(max - taken.len());
            taken.extend(items.into_iter().map(|item| (number, item)));
            look = next.map_or(look, |next| next.min(look));
        }
        if !taken.is_empty() {
            return Ok(taken);
        }
        match first.trouble() {
            (count, Some(trouble)) if count != failures => return Err(trouble),
            _ => {}
        }
        tokio::select! {
            () = arrived => {}
            () = rung(&mut bell) => {}
            () = sleep_until(look) => {
                if Instant::now() >= until {
                    return Ok(Vec::new());
                }
            }
        }
    }
}

/// Returns when something else is known of a bell.
async fn rung(bell: &mut watch::Receiver<Heard>) {
    if bell.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
