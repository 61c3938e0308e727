//! Attachments on their way in: kept under an id of their customer's, and looked up when a message names them.
//!
//! A look-up asks the store what is there, not for the content; what was there is remembered for a while, and whoever asks
//! for the same at the same time shares one question.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use moka::sync::Cache;
use naru_shared::{
    blobs::{AttachmentId, AttachmentKeys, Blob, BlobError, BlobName, Blobs, NAMEABLE},
    domain::{Account, Timestamp},
    keys::Secret,
    metrics,
};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use crate::problem::{Code, Problem};

/// The most attachments of a message.
pub const MOST: usize = 10;

/// The most bytes of a message's attachments together.
pub const TOGETHER: u64 = 20 << 20;

/// How long an accept waits for the store's answers about all its attachments.
const LOOK_UP: Duration = Duration::from_secs(2);

/// How long the store may take to keep an upload.
const KEEP: Duration = Duration::from_secs(15);

/// Answers that are remembered, and for how long.
const KNOWN: u64 = 20_000;
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// Questions to the store at once.
const AT_ONCE: usize = 32;

/// Seconds after which the store may be there again.
const AGAIN: u64 = 2;

/// What the store says of an attachment.
#[derive(Debug, Clone, Copy)]
enum Standing {
    There { put_at: Timestamp, bytes: u64 },
    Gone,
    Damaged,
    Away,
}

/// See the module.
pub struct Attachments {
    blobs: Arc<dyn Blobs>,
    keys: AttachmentKeys,
    /// Ids are of one customer each, so they need no other name here.
    known: Cache<AttachmentId, Arc<OnceCell<Standing>>>,
    turns: Semaphore,
}

impl Attachments {
    /// Kept there, with ids under that secret.
    pub fn new(blobs: Arc<dyn Blobs>, ids: &Secret) -> Self {
        let known = Cache::builder().max_capacity(KNOWN).time_to_live(KNOWN_FOR).build();
        Self { blobs, keys: AttachmentKeys::new(ids), known, turns: Semaphore::new(AT_ONCE) }
    }

    /// Keeps an upload; its id, once it would survive a crash.
    pub async fn keep(&self, owner: &Account, blob: &Blob, now: Timestamp) -> Result<AttachmentId, Problem> {
        let id = self.keys.derive(owner, blob.digest(), blob.media_type());
        let put = timeout(KEEP, self.blobs.put(&BlobName::attachment(owner, id), blob)).await;
        match put {
            Ok(Ok(())) => {}
            Ok(Err(BlobError::Full)) => return Err(Problem::from(Code::LowDisk).retry_after(30)),
            Ok(Err(error)) => return Err(away(&error)),
            Err(late) => return Err(away(&late)),
        }
        let there = Standing::There { put_at: now, bytes: blob.content().len() as u64 };
        self.known.insert(id, Arc::new(OnceCell::new_with(Some(there))));
        Ok(id)
    }

    /// Whether a message of this customer may name these, each by its form already: all are its own, there, and young enough to
    /// be there still when the message is sent.
    pub async fn may_name(&self, owner: &Account, names: &[String], now: Timestamp) -> Result<(), Problem> {
        if names.is_empty() {
            return Ok(());
        }
        let mut ids = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let id = name.parse().ok().filter(|id| self.keys.is_of(owner, *id));
            ids.push(id.ok_or_else(|| unknown(index))?);
        }
        let asked = ids.iter().map(|id| self.standing(owner, *id));
        let standings = timeout(LOOK_UP, join_all(asked)).await.map_err(|late| away(&late))?;
        let mut together = 0;
        for (index, standing) in standings.into_iter().enumerate() {
            together += match standing {
                Standing::There { put_at, bytes } if now.since(put_at) <= NAMEABLE => bytes,
                Standing::There { .. } => {
                    if let Some(id) = ids.get(index) {
                        // It may have been uploaded again at another process.
                        self.known.invalidate(id);
                    }
                    return Err(Problem::new(
                        Code::AttachmentTooOld,
                        told(index, "is too old to be named: upload it again"),
                    ));
                }
                Standing::Gone => return Err(unknown(index)),
                Standing::Damaged => {
                    return Err(Problem::new(
                        Code::UnknownAttachment,
                        told(index, "is damaged: upload it again"),
                    ));
                }
                Standing::Away => return Err(Problem::from(Code::AttachmentsUnavailable).retry_after(AGAIN)),
            };
        }
        if together > TOGETHER {
            let sentence =
                format!("The attachments have {together} bytes together; at most {TOGETHER} are sent.");
            return Err(Problem::new(Code::InvalidAttachments, sentence));
        }
        Ok(())
    }

    async fn standing(&self, owner: &Account, id: AttachmentId) -> Standing {
        let cell = self.known.get_with(id, Arc::default);
        let standing = *cell.get_or_init(|| self.look_up(owner, id)).await;
        if !matches!(standing, Standing::There { .. }) {
            // Whoever asked at the same time has the same answer; the next one asks anew.
            self.known.invalidate(&id);
        }
        standing
    }

    async fn look_up(&self, owner: &Account, id: AttachmentId) -> Standing {
        let Ok(_turn) = self.turns.acquire().await else { return Standing::Away };
        match self.blobs.head(&BlobName::attachment(owner, id)).await {
            Ok(head) if self.keys.verify(owner, id, &head.digest, head.media_type).is_err() => {
                Standing::Damaged
            }
            Ok(head) => Standing::There { put_at: head.put_at, bytes: head.bytes },
            Err(BlobError::Gone) => Standing::Gone,
            Err(BlobError::Damaged(_)) => Standing::Damaged,
            Err(error @ (BlobError::Away(_) | BlobError::Full)) => {
                drop(away(&error));
                Standing::Away
            }
        }
    }
}

fn told(index: usize, what: &str) -> String {
    format!("attachments[{index}] {what}.")
}

fn unknown(index: usize) -> Problem {
    Problem::new(Code::UnknownAttachment, told(index, "is not the id of an attachment of this customer"))
}

/// The store did not answer: counted and told.
fn away(error: &dyn std::error::Error) -> Problem {
    metrics::ENGINE_ERRORS.of(&[("port", "blobs")]).increment(1);
    tracing::warn!(error = %Chain(error), "the blobs did not answer");
    Problem::from(Code::AttachmentsUnavailable).retry_after(AGAIN)
}

/// An error with what is behind it.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self.0, f)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use async_trait::async_trait;
    use bytes::Bytes;
    use naru_shared::{
        blobs::{BlobHead, MediaType, OpenBlob},
        domain::Environment,
    };

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_763_802_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    /// A store that answers everything alike, and counts what it is asked.
    struct Alike {
        answer: Mutex<Option<BlobHead>>,
        slow: bool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Blobs for Alike {
        async fn put(&self, _: &BlobName, _: &Blob) -> Result<(), BlobError> {
            Ok(())
        }

        async fn head(&self, _: &BlobName) -> Result<BlobHead, BlobError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(if self.slow { LOOK_UP * 2 } else { Duration::from_millis(20) }).await;
            (*self.answer.lock().unwrap()).ok_or(BlobError::Gone)
        }

        async fn open(&self, _: &BlobName) -> Result<OpenBlob, BlobError> {
            Err(BlobError::Gone)
        }

        async fn expire(&self, _: Timestamp) -> Result<bool, BlobError> {
            Ok(false)
        }
    }

    struct Site {
        store: Arc<Alike>,
        attachments: Arc<Attachments>,
        owner: Account,
        id: String,
        head: BlobHead,
    }

    fn site(slow: bool) -> Site {
        let store = Arc::new(Alike { answer: Mutex::new(None), slow, asked: AtomicUsize::new(0) });
        let secret = Secret::random();
        let behind: Arc<dyn Blobs> = Arc::<Alike>::clone(&store);
        let attachments = Arc::new(Attachments::new(behind, &secret));
        let owner = Account { customer: "acme".parse().unwrap(), environment: Environment::Live };
        let blob = Blob::new(MediaType::Png, Bytes::from_static(b"x"));
        let id = attachments.keys.derive(&owner, blob.digest(), MediaType::Png).to_string();
        let head = BlobHead { media_type: MediaType::Png, bytes: 1, digest: *blob.digest(), put_at: NOW };
        Site { store, attachments, owner, id, head }
    }

    impl Site {
        async fn asks(&self, now: Timestamp) -> Result<(), Code> {
            let names = [self.id.clone()];
            self.attachments.may_name(&self.owner, &names, now).await.map_err(|problem| problem.code)
        }
    }

    #[tokio::test]
    async fn a_thousand_that_name_one_at_the_same_time_are_one_question() {
        let site = site(false);
        *site.store.answer.lock().unwrap() = Some(site.head);
        let all = join_all((0..1_000).map(|_| site.asks(NOW))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(site.asks(NOW).await, Ok(()));
        assert_eq!(site.store.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_was_not_there_is_asked_for_again_and_those_who_asked_together_share_the_answer() {
        let site = site(false);
        let all = join_all((0..100).map(|_| site.asks(NOW))).await;
        assert!(all.iter().all(|answer| *answer == Err(Code::UnknownAttachment)));
        assert_eq!(site.store.asked.load(Ordering::SeqCst), 1);
        *site.store.answer.lock().unwrap() = Some(site.head);
        assert_eq!(site.asks(NOW).await, Ok(()));
    }

    #[tokio::test]
    async fn an_attachment_may_be_named_for_seven_days_and_again_after_a_new_upload() {
        let site = site(false);
        *site.store.answer.lock().unwrap() = Some(site.head);
        assert_eq!(site.asks(NOW.plus(DAY * 7)).await, Ok(()));
        let late = NOW.plus(DAY * 7).plus(Duration::from_millis(1));
        assert_eq!(site.asks(late).await, Err(Code::AttachmentTooOld));
        *site.store.answer.lock().unwrap() = Some(BlobHead { put_at: late, ..site.head });
        assert_eq!(site.asks(late).await, Ok(()), "what was too old is not remembered");
    }

    #[tokio::test]
    async fn another_content_under_the_id_is_damage_and_too_much_together_is_refused() {
        let site = site(false);
        *site.store.answer.lock().unwrap() = Some(BlobHead { media_type: MediaType::Gif, ..site.head });
        assert_eq!(site.asks(NOW).await, Err(Code::UnknownAttachment));
        *site.store.answer.lock().unwrap() = Some(BlobHead { bytes: TOGETHER + 1, ..site.head });
        assert_eq!(site.asks(NOW).await, Err(Code::InvalidAttachments));
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_in_time_is_told_as_away() {
        let site = site(true);
        *site.store.answer.lock().unwrap() = Some(site.head);
        assert_eq!(site.asks(NOW).await, Err(Code::AttachmentsUnavailable));
    }
}
