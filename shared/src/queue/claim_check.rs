//! A queue whose large envelopes are kept as blobs: what is published is a claim check, which names the blob.
//!
//! The blob is kept before the check is published, so whoever receives the check finds it. A check is `claim.1.`, the digest
//! of the envelope, `.`, its bytes, and a line feed; an envelope begins with the number of its version, so neither is taken
//! for the other. A check is not sealed: a forged one leads, at most, to an envelope of ours, which is.
//!
//! What was acknowledged leaves its blob behind, to be removed when its time is over: the queue may deliver a pack once more
//! after it was acknowledged, and an envelope that is needed again must be there.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::{runtime::Handle, time::timeout};

use super::{Capabilities, Delivery, Depth, Outgoing, PublishError, Queue, QueueError, QueueName, Receipt};
use crate::{
    blobs::{Blob, BlobError, BlobName, Blobs, MediaType, Sha256Sum},
    domain::Envelope,
};

/// How a check begins.
const BEGIN: &str = "claim.1.";

/// Blobs that are written, or read, at once by one call.
const AT_ONCE: usize = 8;

/// How long a blob may take to be kept: less than a publish may take, so that a refusal is told as one.
const KEEP: Duration = Duration::from_secs(2);

/// After how long a pack comes again whose blob could not be had.
const AGAIN: Duration = Duration::from_secs(5);

/// See the module.
pub struct ClaimChecks {
    inner: Arc<dyn Queue>,
    blobs: Arc<dyn Blobs>,
    most: usize,
}

/// Which envelope a check stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Check {
    digest: Sha256Sum,
    bytes: u64,
}

impl Check {
    fn write(&self) -> Envelope {
        Envelope(format!("{BEGIN}{}.{}\n", self.digest, self.bytes).into_bytes().into())
    }

    /// What an envelope is: `None` if it is one, else a check, if it can be read.
    fn read(envelope: &Envelope) -> Option<Option<Self>> {
        let rest = envelope.0.strip_prefix(BEGIN.as_bytes())?;
        let parse = || {
            let (digest, bytes) = str::from_utf8(rest).ok()?.strip_suffix('\n')?.split_once('.')?;
            Some(Self { digest: digest.parse().ok()?, bytes: bytes.parse().ok()? })
        };
        Some(parse())
    }
}

/// As what a check is written that was read, if it can be: for what gives it foreign bytes.
#[cfg(any(test, feature = "foreign"))]
pub(crate) fn again(bytes: &[u8]) -> Option<Vec<u8>> {
    let check = Check::read(&Envelope(bytes.to_vec().into()))??;
    Some(check.write().0.to_vec())
}

/// Why what a check stands for was not read.
pub(super) enum Lost {
    /// It never will be: the check is set aside.
    ForEver(String),
    /// It may be later.
    ForNow(BlobError),
}

/// The envelope that this is, or that it stands for; `None` for what begins as a check and is none.
pub(super) async fn redeemed(
    blobs: Option<&dyn Blobs>,
    envelope: &Envelope,
) -> Result<Option<Envelope>, Lost> {
    match (Check::read(envelope), blobs) {
        (None, _) => Ok(Some(envelope.clone())),
        (Some(None), _) => Ok(None),
        (Some(_), None) => Err(Lost::ForEver("a claim check, and no blobs are kept".to_owned())),
        (Some(check), Some(blobs)) => {
            ClaimChecks::redeem(blobs, check).await.map(|content| Some(Envelope(content)))
        }
    }
}

/// A pack of which the envelope is there.
enum Read {
    Whole(Delivery),
    Check(Receipt, Result<(Bytes, u32), Lost>),
}

impl ClaimChecks {
    /// Around a queue that takes envelopes of up to `most` bytes.
    #[must_use]
    pub fn new(inner: Arc<dyn Queue>, blobs: Arc<dyn Blobs>, most: usize) -> Self {
        Self { inner, blobs, most }
    }

    /// Puts what is too large among the blobs; what is published in its place.
    async fn check_in(&self, pack: Outgoing) -> Result<Outgoing, PublishError> {
        if pack.envelope.0.len() <= self.most {
            return Ok(pack);
        }
        let blob = Blob::new(MediaType::Pack, pack.envelope.0);
        let check = Check { digest: *blob.digest(), bytes: blob.content().len() as u64 };
        // Whatever became of the blob, nothing is on the queue.
        let kept = timeout(KEEP, self.blobs.put(&BlobName::pack(blob.digest()), &blob)).await;
        match kept {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(PublishError::Refused(Box::new(error))),
            Err(late) => return Err(PublishError::Refused(Box::new(late))),
        }
        Ok(Outgoing { envelope: check.write(), ..pack })
    }

    async fn redeem(blobs: &dyn Blobs, check: Option<Check>) -> Result<Bytes, Lost> {
        let Some(check) = check else {
            return Err(Lost::ForEver("a claim check that cannot be read".to_owned()));
        };
        let read = async {
            let open = blobs.open(&BlobName::pack(&check.digest)).await?;
            if open.head().bytes != check.bytes {
                return Err(BlobError::Damaged("it has another length"));
            }
            let blob = open.read().await?;
            match *blob.digest() == check.digest {
                true => Ok(blob.content().clone()),
                false => Err(BlobError::Damaged("it is another than the claim check names")),
            }
        };
        read.await.map_err(|error| match error {
            BlobError::Gone => Lost::ForEver("its claim check names a blob that is gone".to_owned()),
            BlobError::Damaged(how) => {
                Lost::ForEver(format!("the blob of its claim check is damaged: {how}"))
            }
            passing => Lost::ForNow(passing),
        })
    }

    async fn read(&self, delivery: Delivery) -> Read {
        match Check::read(&delivery.envelope) {
            None => Read::Whole(delivery),
            Some(check) => {
                let Delivery { receipt, deliveries, .. } = delivery;
                let content = Self::redeem(self.blobs.as_ref(), check).await;
                Read::Check(receipt, content.map(|content| (content, deliveries)))
            }
        }
    }

    /// What is handed out; what is not, is set aside or comes again.
    async fn sort(&self, queue: &QueueName, read: Read) -> Option<Delivery> {
        let (receipt, lost) = match read {
            Read::Whole(delivery) => return Some(delivery),
            Read::Check(receipt, Ok((content, deliveries))) => {
                return Some(Delivery { receipt, envelope: Envelope(content), deliveries });
            }
            Read::Check(receipt, Err(lost)) => (receipt, lost),
        };
        let put = match lost {
            Lost::ForEver(reason) => {
                tracing::error!(route = %queue.route, lane = queue.lane.as_str(), %reason, "a pack is set aside");
                let labels = [("route", queue.route.as_str()), ("lane", queue.lane.as_str())];
                crate::metrics::QUARANTINED.of(&labels).increment(1);
                self.inner.quarantine(queue, receipt, &reason).await
            }
            Lost::ForNow(error) => {
                tracing::warn!(route = %queue.route, lane = queue.lane.as_str(), %error, "a pack waits for its blob");
                self.inner.release(queue, receipt, AGAIN).await
            }
        };
        if let Err(error) = put {
            tracing::warn!(route = %queue.route, %error, "a pack without its blob could not be put away: it comes again by itself");
        }
        None
    }
}

/// Gives back what is in hand if its receiver gives up meanwhile.
struct InHand {
    inner: Arc<dyn Queue>,
    queue: QueueName,
    receipts: Vec<Receipt>,
    runtime: Handle,
}

impl Drop for InHand {
    fn drop(&mut self) {
        if self.receipts.is_empty() {
            return;
        }
        let (inner, queue) = (Arc::clone(&self.inner), self.queue.clone());
        let receipts = std::mem::take(&mut self.receipts);
        // Bounded by the adapter's own time-outs; what fails comes back by itself.
        self.runtime.spawn(async move {
            for receipt in receipts {
                if let Err(error) = inner.release(&queue, receipt, Duration::ZERO).await {
                    tracing::debug!(%error, "a pack that nobody waited for comes back by itself");
                }
            }
        });
    }
}

/// Runs these, several at once, and gives what they came to, in order.
async fn several<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    stream::iter(all).buffered(AT_ONCE).collect().await
}

#[async_trait]
impl Queue for ClaimChecks {
    fn capabilities(&self) -> Capabilities {
        Capabilities { max_bytes: None, ..self.inner.capabilities() }
    }

    fn failures(&self) -> u64 {
        self.inner.failures()
    }

    async fn publish(&self, packs: Vec<Outgoing>) -> Vec<Result<(), PublishError>> {
        let checked = several(packs.into_iter().map(|pack| self.check_in(pack))).await;
        let mut publish = Vec::with_capacity(checked.len());
        let mut results: Vec<Option<PublishError>> = Vec::with_capacity(checked.len());
        for pack in checked {
            match pack {
                Ok(pack) => {
                    publish.push(pack);
                    results.push(None);
                }
                Err(error) => results.push(Some(error)),
            }
        }
        let published = if publish.is_empty() { Vec::new() } else { self.inner.publish(publish).await };
        let mut published = published.into_iter();
        let missing = || Err(PublishError::Unknown("the queue said nothing of the pack".into()));
        let result = |refused: Option<PublishError>| match refused {
            Some(error) => Err(error),
            None => published.next().unwrap_or_else(missing),
        };
        results.into_iter().map(result).collect()
    }

    async fn receive(
        &self,
        queue: &QueueName,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let received = self.inner.receive(queue, max, wait).await?;
        if received.iter().all(|delivery| Check::read(&delivery.envelope).is_none()) {
            return Ok(received);
        }
        let receipts = received.iter().map(|delivery| delivery.receipt.clone()).collect();
        let (inner, runtime) = (Arc::clone(&self.inner), Handle::current());
        let mut in_hand = InHand { inner, queue: queue.clone(), receipts, runtime };
        let read = several(received.into_iter().map(|delivery| self.read(delivery))).await;
        let sorted = several(read.into_iter().map(|read| self.sort(queue, read))).await;
        in_hand.receipts.clear();
        Ok(sorted.into_iter().flatten().collect())
    }

    async fn ack(&self, queue: &QueueName, receipts: Vec<Receipt>) -> Vec<Result<(), QueueError>> {
        self.inner.ack(queue, receipts).await
    }

    async fn release(&self, queue: &QueueName, receipt: Receipt, after: Duration) -> Result<(), QueueError> {
        self.inner.release(queue, receipt, after).await
    }

    async fn quarantine(&self, queue: &QueueName, receipt: Receipt, reason: &str) -> Result<(), QueueError> {
        self.inner.quarantine(queue, receipt, reason).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, QueueError> {
        self.inner.depth(queue).await
    }

    async fn leave(&self, queue: &QueueName) {
        self.inner.leave(queue).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EnvelopeKeys;

    #[test]
    fn a_check_is_told_from_an_envelope_and_reads_back() {
        let check = Check { digest: Sha256Sum::of(b"x"), bytes: 300_000 };
        let written = check.write();
        assert_eq!(Check::read(&written), Some(Some(check)));
        let keys = EnvelopeKeys::new(("a", &crate::keys::Secret::random()), &[]);
        assert!(keys.open(&written).is_err(), "whoever knows no claim checks does not take one for a pack");
        assert_eq!(Check::read(&Envelope(Bytes::from_static(b"1.a.mac\n{}"))), None);
        for bad in [&b"claim.1."[..], b"claim.1.x.5\n", b"claim.1.\n", b"claim.1.00.1"] {
            assert_eq!(Check::read(&Envelope(Bytes::from_static(bad))), Some(None));
        }
    }
}
