//! The actor of one lane of one route, and its loop.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::FutureExt;
use naru_shared::{
    causes::Causes,
    domain::{PACK_MESSAGES, Timestamp},
    metrics,
    pace::Pace,
    queue::{Delivery, QueueName, Receipt},
};
use parking_lot::Mutex;

use super::{
    group::{self, Opened},
    notices,
    record::{self, Stopped},
};
use crate::{
    crew::Crew,
    patience::{self, Backoff},
    shell::{Progress, Routine},
};

/// The longest wait of an idle intake for a pack.
const WAIT: Duration = Duration::from_secs(20);

/// What an engine may take beyond the wait it was asked for, and for its other answers.
const ANSWER: Duration = Duration::from_secs(10);

/// How long packs of a life that failed wait: they may be why it failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The most packs received at once.
const PACKS: usize = 256;

/// Receipts in hand; outside the loop, so that what a failed life held comes back at once.
type InHand = Arc<Mutex<HashSet<Receipt>>>;

/// The actor of this queue.
pub(crate) fn routine(crew: &Arc<Crew>, queue: QueueName) -> Routine {
    let receiving = Arc::clone(crew);
    let of = format!("{}/{}", queue.route, queue.lane.as_str());
    let in_hand = InHand::default();
    Routine {
        name: "intake",
        of,
        run: Box::new(move |progress| {
            let intake = Intake {
                crew: Arc::clone(&receiving),
                queue: queue.clone(),
                in_hand: Arc::clone(&in_hand),
                progress,
                // Until some were seen, as many as there can be: the first take of a long queue shall hold nobody up.
                pack_size: PACK_MESSAGES as f64,
                pace: Pace::new(receiving.deps.ledger.capabilities().pace),
            };
            intake.run().boxed()
        }),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.stop.clone(),
    }
}

struct Intake {
    crew: Arc<Crew>,
    queue: QueueName,
    in_hand: InHand,
    progress: Progress,
    /// Messages in a pack, as seen lately.
    pack_size: f64,
    /// Between transactions under load.
    pace: Pace,
}

impl Intake {
    async fn run(mut self) {
        let crew = Arc::clone(&self.crew);
        self.give_back_leftovers().await;
        let Some(restored_before) = self.prepare().await else { return };
        let mut backoff = Backoff::default();
        while !crew.stop.is_cancelled() {
            self.progress.mark();
            self.pace.ready().await;
            match self.receive().await {
                Ok(deliveries) => {
                    backoff.reset();
                    if self.take_in(deliveries, restored_before).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    metrics::ENGINE_ERRORS.of(&[("port", "queue")]).increment(1);
                    if backoff.is_news() {
                        tracing::warn!(queue = ?self.queue, error = %Causes(&error), "nothing can be received");
                    }
                    backoff.pause(&crew.stop).await;
                }
            }
        }
        self.give_back_leftovers().await;
    }

    /// What the loop must know before it begins: that this process's name is known, and what was restored.
    async fn prepare(&self) -> Option<Option<Timestamp>> {
        let crew = &self.crew;
        let mut backoff = Backoff::default();
        while !crew.stop.is_cancelled() {
            self.progress.mark();
            let alive = tokio::time::timeout(ANSWER, crew.incarnations.alive());
            tokio::select! {
                () = crew.stop.cancelled() => return None,
                heard = alive => if heard.is_err() { continue },
            }
            match patience::ledger(crew.deps.ledger.restored_before()).await {
                Ok(restored_before) => return Some(restored_before),
                Err(error) if backoff.is_news() => tracing::warn!(%error, "intake waits for the ledger"),
                Err(_) => {}
            }
            backoff.pause(&crew.stop).await;
        }
        None
    }

    async fn receive(&self) -> Result<Vec<Delivery>, naru_shared::queue::QueueError> {
        let wanted = self.crew.config.intake_group as f64 / self.pack_size;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=256")]
        let max = wanted.clamp(1.0, PACKS as f64) as usize;
        let receiving =
            self.crew.deps.queue.receive(&self.queue, max, WAIT.min(self.crew.config.stuck() / 4));
        let deliveries = tokio::select! {
            () = self.crew.stop.cancelled() => return Ok(Vec::new()),
            received = tokio::time::timeout(WAIT + ANSWER, receiving) => {
                received.map_err(|elapsed| naru_shared::queue::QueueError(Box::new(elapsed)))??
            }
        };
        self.in_hand.lock().extend(deliveries.iter().map(|delivery| delivery.receipt.clone()));
        Ok(deliveries)
    }

    /// Takes in what was received, group by group.
    async fn take_in(
        &mut self,
        deliveries: Vec<Delivery>,
        restored_before: Option<Timestamp>,
    ) -> Result<(), Stopped> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let received: Vec<Receipt> = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
        let (opened, told) = group::open(&self.crew, &self.queue, deliveries).await;
        let packs: HashSet<&Receipt> =
            opened.iter().map(|one| &one.receipt).chain(told.iter().map(|(receipt, _)| receipt)).collect();
        self.let_go(received.iter().filter(|receipt| !packs.contains(receipt)));
        let messages: usize = opened.iter().map(|one| one.messages.len()).sum();
        // One that is as large as may be was not waited for.
        let is_full = messages >= self.crew.config.intake_group;
        self.pace.begin(if is_full { 0 } else { messages });
        if !opened.is_empty() {
            let mean = messages as f64 / opened.len() as f64;
            self.pack_size = (self.pack_size * 0.5 + mean * 0.5).max(1.0);
        }
        if !told.is_empty() {
            let (receipts, packs) = told.into_iter().unzip();
            notices::take_in(&self.crew, packs, &self.progress).await?;
            self.acknowledge(receipts).await;
        }
        for packs in group::split(opened, self.crew.config.intake_group.max(1)) {
            self.progress.mark();
            self.take_in_group(&packs, restored_before).await?;
        }
        Ok(())
    }

    async fn take_in_group(
        &self,
        packs: &[Opened],
        restored_before: Option<Timestamp>,
    ) -> Result<(), Stopped> {
        let crew = &self.crew;
        let desk = crew.desk(&self.queue.route);
        let group = loop {
            match group::classify_all(crew, desk.as_ref(), packs, restored_before).await {
                Ok(group) => break group,
                Err(error) => {
                    tracing::warn!(%error, "intake waits for the registry");
                    self.progress.mark();
                    patience::rest(Duration::from_secs(1), &crew.stop).await;
                    if crew.stop.is_cancelled() {
                        return Err(Stopped);
                    }
                }
            }
        };
        let in_transit = crew.transit.begin();
        let recorded = record::record(crew, &group, &self.progress).await?;
        let undigested = recorded.verdicts.iter().any(Option::is_none);
        let receipts = record::follow(crew, desk.as_ref(), group, &recorded).await;
        drop(in_transit);
        if undigested {
            self.set_aside(packs, &recorded.verdicts, receipts).await;
        } else {
            self.acknowledge(receipts).await;
        }
        Ok(())
    }

    /// Packs with a message of which not even the fact could be stored are kept for a person; the others are done.
    async fn set_aside(
        &self,
        packs: &[Opened],
        verdicts: &[Option<naru_shared::ledger::IntakeVerdict>],
        receipts: Vec<Receipt>,
    ) {
        let mut done = Vec::new();
        let mut first = 0;
        for (one, receipt) in packs.iter().zip(receipts) {
            let end = first + one.messages.len();
            if verdicts[first..end].iter().all(Option::is_some) {
                done.push(receipt);
            } else {
                let why = "the ledger cannot digest it";
                let put = group::set_aside(&self.crew, &self.queue, receipt.clone(), why).await;
                match put {
                    Ok(()) => self.let_go([&receipt]),
                    Err(error) => tracing::warn!(%error, "a pack could not be set aside; it comes back"),
                }
            }
            first = end;
        }
        self.acknowledge(done).await;
    }

    async fn acknowledge(&self, receipts: Vec<Receipt>) {
        let acking = self.crew.deps.queue.ack(&self.queue, receipts.clone());
        match tokio::time::timeout(ANSWER, acking).await {
            Ok(results) => {
                for error in results.iter().filter_map(|result| result.as_ref().err()) {
                    tracing::warn!(queue = ?self.queue, %error, "a pack was not acknowledged; it comes back as duplicates");
                }
            }
            Err(_elapsed) => {
                tracing::warn!(queue = ?self.queue, "packs were not acknowledged in time; they come back as duplicates")
            }
        }
        self.let_go(&receipts);
    }

    fn let_go<'a>(&self, receipts: impl IntoIterator<Item = &'a Receipt>) {
        let mut in_hand = self.in_hand.lock();
        for receipt in receipts {
            in_hand.remove(receipt);
        }
    }

    /// Gives back what is in hand: at the end, or what a life before this one held when it failed.
    async fn give_back_leftovers(&self) {
        let leaving = self.crew.deps.queue.leave(&self.queue);
        if tokio::time::timeout(ANSWER, leaving).await.is_err() {
            tracing::warn!(queue = ?self.queue, "what was received ahead was not given back in time; it comes back by itself");
        }
        let left = std::mem::take(&mut *self.in_hand.lock());
        if left.is_empty() {
            return;
        }
        // Rows that life had started and told nobody of.
        self.crew.suspect();
        let after = if self.crew.stop.is_cancelled() { Duration::ZERO } else { AFTER_FAILURE };
        for receipt in left {
            let releasing = self.crew.deps.queue.release(&self.queue, receipt, after);
            match tokio::time::timeout(ANSWER, releasing).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a pack was not given back; it comes back by itself")
                }
                Err(_elapsed) => tracing::warn!("a pack was not given back in time; it comes back by itself"),
            }
        }
    }
}
