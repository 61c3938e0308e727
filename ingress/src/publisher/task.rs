//! The task that gathers, publishes and answers.

use std::sync::Arc;

use futures_util::future::join_all;
use metrics::{Counter, Histogram};
use naru_shared::{
    domain::{PACK_MESSAGES, PackHead},
    gate::{AFTER, GateError, patiently},
    metrics as names,
    pace::Pace,
    queue::{Outgoing, PublishError, QueueName},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Job, PublisherParts, Verdict, group::group};
use crate::accept::Held;

/// Publishes under way at once: one that the store works on, and one that waits so that the store never does.
const UNDER_WAY: usize = 2;

/// Jobs in one publish.
const GATHER: usize = 2_048;

/// What every publish shares.
struct Shared {
    parts: PublisherParts,
    publish_seconds: Histogram,
    pack_messages: Histogram,
    queue_errors: Counter,
    gate_errors: Counter,
}

/// Runs until `stop` is cancelled and nothing is waiting any more.
pub async fn run(
    parts: PublisherParts,
    mut jobs: mpsc::Receiver<Job>,
    mut undone: mpsc::Receiver<Box<Held>>,
    stop: CancellationToken,
) {
    let errors = |port| names::ENGINE_ERRORS.of(&[("port", port)]);
    let shared = Arc::new(Shared {
        parts,
        publish_seconds: names::PUBLISH_SECONDS.of(&[]),
        pack_messages: names::PACK_MESSAGES.of(&[]),
        queue_errors: errors("queue"),
        gate_errors: errors("gate"),
    });
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    let mut publishes = JoinSet::new();
    let mut pace = Pace::new(shared.parts.queue.capabilities().pace);
    loop {
        let first = tokio::select! {
            biased;
            Some(held) = undone.recv() => {
                shared.told(held.undo(shared.parts.gate.as_ref()).await);
                continue;
            }
            job = jobs.recv() => job,
            Some(ended) = publishes.join_next() => {
                look(ended);
                continue;
            }
            () = stop.cancelled(), if !jobs.is_closed() => {
                jobs.close();
                continue;
            }
        };
        let Some(first) = first else { break };
        // What comes while both slots are taken, or before its time under load, is gathered; a full pack waits for nobody.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
        if jobs.len() < PACK_MESSAGES {
            pace.ready().await;
        }
        let mut gathered = vec![first];
        while gathered.len() < GATHER
            && let Ok(job) = jobs.try_recv()
        {
            gathered.push(job);
        }
        pace.begin(gathered.len());
        publishes.spawn(publish(Arc::clone(&shared), gathered, slot));
    }
    while let Some(ended) = publishes.join_next().await {
        look(ended);
    }
}

/// The callers of a publish that panicked are answered that it cannot be known.
fn look(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a publish ended abnormally; its calls were answered accept-unknown");
    }
}

async fn publish(shared: Arc<Shared>, jobs: Vec<Job>, slot: OwnedSemaphorePermit) {
    let now = Instant::now();
    let (jobs, late): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.begin_by >= now);
    let outcome = if jobs.is_empty() { Vec::new() } else { shared.send(&jobs).await };
    drop(slot);
    let mut verdicts = outcome.into_iter();
    let mut decided: Vec<(Job, Vec<Verdict>)> = Vec::with_capacity(jobs.len() + late.len());
    for job in jobs {
        let of_job = verdicts.by_ref().take(job.items.len()).collect();
        decided.push((job, of_job));
    }
    for job in late {
        let refused = vec![Verdict::Refused; job.items.len()];
        decided.push((job, refused));
    }
    // At the same time: no call waits for the gate's answers about another.
    join_all(decided.into_iter().map(|(job, verdicts)| shared.settle(job, verdicts))).await;
}

impl Shared {
    /// Packs, seals and publishes; one verdict for each message of each job, in order.
    async fn send(&self, jobs: &[Job]) -> Vec<Verdict> {
        let items: Vec<_> =
            jobs.iter().flat_map(|job| job.items.iter().map(move |item| (&job.account, item))).collect();
        let groups =
            group(items.iter().map(|(account, i)| ((*account, &i.answer.route, i.lane), i.fragment.len())));
        let mut packs = Vec::with_capacity(groups.len());
        for group in &groups {
            let (account, route, lane) = group.destination;
            let of_group = group.members.iter().filter_map(|member| items.get(*member));
            let fragments: Vec<&[u8]> = of_group.map(|(_, item)| item.fragment.as_slice()).collect();
            self.pack_messages.record(group.members.len() as f64);
            packs.push(Outgoing {
                queue: QueueName { route: route.clone(), lane },
                group: account.customer.clone(),
                envelope: self.parts.encoder.seal(PackHead { account, route, lane }, &fragments),
            });
        }
        let began = Instant::now();
        let results = timeout(self.parts.time_out, self.parts.queue.publish(packs)).await;
        self.publish_seconds.record(began.elapsed().as_secs_f64());
        let mut verdicts = vec![Verdict::Unknown; items.len()];
        match results {
            Ok(results) => {
                for (group, result) in groups.iter().zip(results) {
                    let verdict = self.verdict(result);
                    group.members.iter().for_each(|member| verdicts[*member] = verdict);
                }
            }
            Err(_) => {
                self.queue_errors.increment(1);
                tracing::warn!("the queue did not confirm a publish in time");
            }
        }
        verdicts
    }

    fn verdict(&self, result: Result<(), PublishError>) -> Verdict {
        let Err(error) = result else { return Verdict::Accepted };
        self.queue_errors.increment(1);
        match error {
            PublishError::Refused(source) => {
                tracing::warn!(error = %source, "the queue did not take a pack");
                Verdict::Refused
            }
            PublishError::Unknown(source) => {
                tracing::warn!(error = %source, "the queue did not confirm a pack");
                Verdict::Unknown
            }
        }
    }

    /// Settles what each message held, then answers: a call that is answered can be sent again at once.
    async fn settle(&self, job: Job, verdicts: Vec<Verdict>) {
        let gate = self.parts.gate.as_ref();
        let settled = job.items.into_iter().zip(&verdicts).map(async |(item, verdict)| match verdict {
            Verdict::Accepted => item.claim.keep(gate).await,
            Verdict::Refused => item.claim.undo(gate).await,
            Verdict::Unknown => item.claim.doubt(gate).await,
        });
        for result in patiently(AFTER, join_all(settled)).await {
            self.told(result);
        }
        if job.reply.send(verdicts).is_err() {
            tracing::debug!("a caller hung up before its answer; what it sent was settled all the same");
        }
    }

    fn told(&self, result: Result<(), GateError>) {
        if let Err(error) = result {
            self.gate_errors.increment(1);
            tracing::debug!(error = %error.0, "the gate did not take the end of a call");
        }
    }
}
