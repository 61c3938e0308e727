//! What providers tell, on its way to the queue: who may tell it, how much at once, and the envelope of each call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use naru_shared::{
    domain::{CustomerId, EnvelopeKeys, Lane, NOTICE_GROUP, NoticePack, Reporting, Route, RouteName},
    keys::random_bytes,
    metrics as names,
    notices::{Callback, NewProof},
    queue::{Outgoing, PublishError, Queue, QueueName},
    sealing::Sealer,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use crate::problem::{Code, Problem};

/// Calls of providers whose body is read before they have proved anything, at once.
const UNPROVED: usize = 128;

/// Calls of providers under way at once beside those.
const UNDER_WAY: usize = 512;

/// Calls that a route's provider may make in a second, and how many of them at once.
const PER_SECOND: f64 = 1_000.0;
const BURST: f64 = 2_000.0;

/// What the front works with when providers call.
pub struct NoticeParts {
    /// Where notices go.
    pub queue: Arc<dyn Queue>,
    /// Seals envelopes.
    pub keys: EnvelopeKeys,
    /// Opens the secrets of routes.
    pub sealer: Sealer,
    /// Where publishing runs.
    pub runtime: Handle,
    /// How long one publish may take.
    pub time_out: Duration,
}

/// See the module.
pub struct Notices {
    parts: NoticeParts,
    group: CustomerId,
    unproved: Arc<Semaphore>,
    under_way: Arc<Semaphore>,
    /// What calls to no route are held against, so that they take as long as others.
    nobody: (RouteName, Callback),
    paces: Mutex<HashMap<RouteName, (Instant, f64)>>,
}

impl Notices {
    /// `None` if what stands for nobody cannot be made.
    pub fn new(parts: NoticeParts) -> Option<Self> {
        let name: RouteName = format!("nobody-{:016x}", u64::from_be_bytes(random_bytes())).parse().ok()?;
        let (nobody, _) = Callback::plain(NewProof::Basic, None, &name, &parts.sealer).ok()?;
        Some(Self {
            parts,
            group: NOTICE_GROUP.parse().ok()?,
            unproved: Arc::new(Semaphore::new(UNPROVED)),
            under_way: Arc::new(Semaphore::new(UNDER_WAY)),
            nobody: (name, nobody),
            paces: Mutex::default(),
        })
    }

    /// What opens the secrets of routes.
    pub const fn sealer(&self) -> &Sealer {
        &self.parts.sealer
    }

    /// A place for a call; `proved` before its body is read.
    pub fn place(&self, proved: bool) -> Result<OwnedSemaphorePermit, Problem> {
        let room = if proved { &self.under_way } else { &self.unproved };
        Arc::clone(room).try_acquire_owned().map_err(|_| Code::Overloaded.into())
    }

    /// How a route's provider calls; what nobody proves, if it does not, or if this release cannot read how.
    pub fn callback(&self, route: Option<&Route>) -> (RouteName, Callback, bool) {
        let of = |Route { name, reports: Reporting { callback, .. }, .. }: &Route| {
            let callback = Callback::of(callback.as_ref()?);
            let read = callback.map_err(|error| {
                tracing::warn!(route = %name, %error, "a provider's calls cannot be let in");
            });
            read.ok().map(|callback| (name.clone(), callback, true))
        };
        let (name, nobody) = &self.nobody;
        route.and_then(of).unwrap_or_else(|| (name.clone(), nobody.clone(), false))
    }

    /// Counts a call of a route's provider; whether it calls faster than it may.
    pub fn is_too_fast(&self, route: &RouteName, now: Instant) -> bool {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left) = paces.entry(route.clone()).or_insert((now, BURST));
        *left = (*left + now.duration_since(*last).as_secs_f64() * PER_SECOND).min(BURST);
        *last = now;
        let over = *left < 1.0;
        if !over {
            *left -= 1.0;
        }
        over
    }

    /// Publishes what one call told; `Ok` once the queue has confirmed it. A provider that hangs up cancels nothing.
    pub async fn publish(&self, pack: NoticePack, place: OwnedSemaphorePermit) -> Result<(), Problem> {
        let sealed = self.parts.keys.seal_notices(&pack).map_err(|error| {
            tracing::error!(%error, "reports could not be written as JSON");
            Code::Internal
        })?;
        let queue = QueueName { route: pack.route, lane: Lane::Express };
        let outgoing = Outgoing { queue, group: self.group.clone(), envelope: sealed };
        let (to, time_out) = (Arc::clone(&self.parts.queue), self.parts.time_out);
        let publishing = self.parts.runtime.spawn(async move {
            let results = timeout(time_out, to.publish(vec![outgoing])).await;
            drop(place);
            results.ok().and_then(|results| results.into_iter().next())
        });
        match publishing.await.ok().flatten() {
            Some(Ok(())) => Ok(()),
            Some(Err(PublishError::Refused(error))) => {
                Err(failed(&error.to_string(), Code::QueueUnavailable))
            }
            Some(Err(PublishError::Unknown(error))) => Err(failed(&error.to_string(), Code::ReportUnknown)),
            None => Err(failed("it did not confirm in time", Code::ReportUnknown)),
        }
    }
}

fn failed(error: &str, code: Code) -> Problem {
    names::ENGINE_ERRORS.of(&[("port", "queue")]).increment(1);
    tracing::warn!(error, "the queue did not take what a provider told: it is asked to say it again");
    code.into()
}
