//! What a message carries, read before its attempt begins.
//!
//! Nothing reaches a backend that is not what was uploaded: ids are derived from contents, so whoever reads sees it. What is
//! read takes room until the attempt has ended; what was read lately is remembered, since many messages carry the same.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::{join_all, try_join_all};
use moka::sync::Cache;
use naru_shared::{
    blobs::{AttachmentId, AttachmentKeys, Blob, BlobError, BlobName, Blobs, OpenBlob},
    domain::{Account, Outcome},
    keys::Secret,
    ledger::Work,
    metrics::{ATTACHMENTS_READ, ENGINE_ERRORS},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Kibibytes of attachments that were read for attempts under way, at the most.
const ROOM: u32 = 64 << 10;

/// Bytes of attachments that are remembered, and for how long.
const KNOWN: u64 = 32 << 20;
const KNOWN_FOR: Duration = Duration::from_secs(300);

/// The longest that reading may take, its turn included; and no more than this part of the attempt's own time.
const READ: Duration = Duration::from_secs(5);
const PART: u32 = 3;

/// A file that a message carries.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Its id.
    pub id: AttachmentId,
    /// What it is.
    pub blob: Blob,
}

/// What a message carries, and the room that it takes.
#[derive(Default)]
pub(super) struct Carried {
    pub(super) attachments: Vec<Attachment>,
    _room: Option<OwnedSemaphorePermit>,
}

/// See the module.
pub(crate) struct Attachments {
    blobs: Option<Arc<dyn Blobs>>,
    keys: AttachmentKeys,
    room: Arc<Semaphore>,
    known: Cache<AttachmentId, Blob>,
}

/// Why an attachment was not read.
enum Unread {
    /// It never will be.
    Lost(String),
    /// It may be later.
    Away(String),
}

impl Unread {
    fn of(id: AttachmentId, error: BlobError) -> Self {
        match error {
            BlobError::Gone => Self::Lost(format!("{id} is gone")),
            BlobError::Damaged(how) => Self::Lost(format!("{id} is damaged: {how}")),
            BlobError::Away(_) | BlobError::Full => {
                ENGINE_ERRORS.of(&[("port", "blobs")]).increment(1);
                tracing::warn!(%id, %error, "an attachment could not be read: its message is tried again");
                Self::away()
            }
        }
    }

    fn away() -> Self {
        Self::Away("the attachments are not available".to_owned())
    }
}

impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachments").field("kept", &self.blobs.is_some()).finish_non_exhaustive()
    }
}

/// One that is remembered, or that is there to be read.
enum Found {
    Known(Blob),
    Open(OpenBlob),
}

impl Found {
    const fn bytes(&self) -> u64 {
        match self {
            Self::Known(_) => 0,
            Self::Open(open) => open.head().bytes,
        }
    }
}

impl Attachments {
    pub(crate) fn new(blobs: Option<Arc<dyn Blobs>>, ids: &Secret) -> Self {
        let weigh = |_: &AttachmentId, blob: &Blob| u32::try_from(blob.content().len()).unwrap_or(u32::MAX);
        let known = Cache::builder().weigher(weigh).max_capacity(KNOWN).time_to_live(KNOWN_FOR).build();
        Self { blobs, keys: AttachmentKeys::new(ids), room: Arc::new(Semaphore::new(ROOM as usize)), known }
    }

    /// What a message carries; or what its attempt came to without a byte written to its backend. `whole` is the time of the
    /// attempt.
    pub(super) async fn of(&self, work: &Work, whole: Duration) -> Result<Carried, Outcome> {
        let names = &work.message.content.attachments;
        if names.is_empty() {
            return Ok(Carried::default());
        }
        let read = timeout(READ.min(whole / PART), self.read(&work.account, names)).await;
        let (result, outcome) = match read {
            Ok(Ok(carried)) => return Ok(carried),
            Ok(Err(Unread::Lost(detail))) => ("lost", Outcome::Lost { detail }),
            Ok(Err(Unread::Away(detail))) => ("away", Outcome::NotTaken { detail, retry_after: None }),
            Err(_late) => {
                let detail = "the attachments did not come in time".to_owned();
                ("away", Outcome::NotTaken { detail, retry_after: None })
            }
        };
        ATTACHMENTS_READ.of(&[("result", result)]).increment(1);
        Err(outcome)
    }

    async fn read(&self, owner: &Account, names: &[String]) -> Result<Carried, Unread> {
        let ids = names.iter().map(|name| name.parse().map_err(|_| Unread::Lost(format!("{name} is no id"))));
        let ids: Vec<AttachmentId> = ids.collect::<Result<_, _>>()?;
        let found = join_all(ids.iter().map(|id| self.find(owner, *id))).await;
        let found: Vec<Found> = found.into_iter().collect::<Result<_, _>>()?;
        // Room for all of them at once: two messages that each held a part would wait for each other.
        let bytes: u64 = found.iter().map(Found::bytes).sum();
        let places = u32::try_from(bytes.div_ceil(1_024)).unwrap_or(ROOM).min(ROOM);
        let room = Arc::clone(&self.room).acquire_many_owned(places).await.map_err(|_| Unread::away())?;
        let contents = ids.iter().zip(found).map(|(id, found)| self.content(owner, *id, found));
        let attachments = try_join_all(contents).await?;
        Ok(Carried { attachments, _room: Some(room) })
    }

    async fn find(&self, owner: &Account, id: AttachmentId) -> Result<Found, Unread> {
        match self.known.get(&id) {
            Some(blob) => Ok(Found::Known(blob)),
            None => self.open(owner, id).await.map(Found::Open),
        }
    }

    async fn open(&self, owner: &Account, id: AttachmentId) -> Result<OpenBlob, Unread> {
        // Somebody will give this process a place for them, or the message ends when its time does.
        let blobs = self.blobs.as_ref().ok_or_else(Unread::away)?;
        blobs.open(&BlobName::attachment(owner, id)).await.map_err(|error| Unread::of(id, error))
    }

    async fn content(&self, owner: &Account, id: AttachmentId, found: Found) -> Result<Attachment, Unread> {
        let open = match found {
            Found::Known(blob) => {
                ATTACHMENTS_READ.of(&[("result", "remembered")]).increment(1);
                return Ok(Attachment { id, blob });
            }
            Found::Open(open) => open,
        };
        let bytes = open.head().bytes;
        let blob = match open.read().await {
            // What was damaged on its way comes whole the second time.
            Err(BlobError::Damaged(_)) => {
                let again = self.open(owner, id).await?;
                if again.head().bytes > bytes {
                    return Err(Unread::Lost(format!("{id} is damaged: it has another length")));
                }
                again.read().await
            }
            read => read,
        };
        let blob = blob.map_err(|error| Unread::of(id, error))?;
        if self.keys.verify(owner, id, blob.digest(), blob.media_type()).is_err() {
            return Err(Unread::Lost(format!("{id} is damaged: it is another file than was uploaded")));
        }
        ATTACHMENTS_READ.of(&[("result", "read")]).increment(1);
        self.known.insert(id, blob.clone());
        Ok(Attachment { id, blob })
    }
}
