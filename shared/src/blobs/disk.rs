//! Blobs as files below the data directory, of one process.
//!
//! A file is one line of JSON, which says what it holds, and the content. It is written beside its place, synced, and put in
//! its place by a rename, so that after a crash it is there whole or not at all. What lies there is bounded, and removed when
//! its time is over, a folder at a time.

mod copying;
mod expiry;
mod file;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
pub use copying::{Copied, copy, inspect};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};

use self::file::{Found, Head};
use super::{Blob, BlobError, BlobHead, BlobName, Blobs, MOST, OpenBlob};
use crate::domain::{Clock, SystemClock, Timestamp};

/// The folder of files that are not in their places yet; whatever lies there at the start is of a former life.
const UNFINISHED: &str = "unfinished";

/// How long one call may take, its turn included.
const CALL: Duration = Duration::from_secs(10);

/// Calls that use the disk at once; the rest wait their turn.
const AT_ONCE: usize = 8;

/// See the module.
pub struct DiskBlobs {
    place: Arc<Place>,
    turns: Arc<Semaphore>,
    runtime: Handle,
}

/// Where the files are.
struct Place {
    root: PathBuf,
    most: u64,
    used: AtomicU64,
    /// Held while a file is put in its place or removed: what was just renewed is not removed for its age.
    placing: Mutex<()>,
    folders: Mutex<Vec<PathBuf>>,
    clock: Arc<dyn Clock>,
}

impl DiskBlobs {
    /// Opens or makes the folder, in which at most `most` bytes are kept.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn open(root: &Path, most: u64, runtime: &Handle) -> io::Result<Self> {
        Self::with_clock(root, most, runtime, Arc::new(SystemClock))
    }

    /// Reads beside the process that owns the folder; nothing is kept here.
    #[must_use]
    pub fn beside(root: &Path, runtime: &Handle) -> Self {
        Self::at(root, 0, 0, runtime, Arc::new(SystemClock))
    }

    /// The same by another clock.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn with_clock(root: &Path, most: u64, runtime: &Handle, clock: Arc<dyn Clock>) -> io::Result<Self> {
        file::make_folders(root, Path::new(UNFINISHED))?;
        for entry in root.join(UNFINISHED).read_dir()? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self::at(root, most, expiry::used(root)?, runtime, clock))
    }

    fn at(root: &Path, most: u64, used: u64, runtime: &Handle, clock: Arc<dyn Clock>) -> Self {
        let (placing, folders) = (Mutex::new(()), Mutex::default());
        let place =
            Place { root: root.to_owned(), most, used: AtomicU64::new(used), placing, folders, clock };
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { place: Arc::new(place), turns, runtime: runtime.clone() }
    }

    /// Runs what blocks on a thread that may, when it is its turn.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let (place, turns) = (Arc::clone(&self.place), Arc::clone(&self.turns));
        let work = move || {
            let done = work(&place);
            // A folder that was taken away whole holds no answer: what lies in it comes back with it.
            if matches!(done, Err(BlobError::Gone)) && !place.root.join(UNFINISHED).is_dir() {
                return Err(BlobError::Away("the folder of blobs is gone".into()));
            }
            done
        };
        blocking(&self.runtime, turns, work).await
    }
}

/// A turn lasts until the work is done, whether somebody still waits for it or not.
async fn blocking<T: Send + 'static>(
    runtime: &Handle,
    turns: Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    let whole = async {
        let turn = turns.acquire_owned().await.map_err(away)?;
        let done = runtime.spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(away)?
    };
    timeout(CALL, whole).await.map_err(away)?
}

fn away(error: impl std::error::Error + Send + Sync + 'static) -> BlobError {
    BlobError::Away(Box::new(error))
}

/// What the system's refusal means to who asked.
fn refused(error: io::Error) -> BlobError {
    match error.kind() {
        io::ErrorKind::NotFound => BlobError::Gone,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobError::Full,
        _ => away(error),
    }
}

impl Place {
    fn put(&self, name: &BlobName, blob: &Blob) -> Result<(), BlobError> {
        let path = self.root.join(name.as_str());
        let head = Head::of(blob, self.clock.now());
        let length = head.length();
        let room = |used: u64| used.checked_add(length).filter(|all| *all <= self.most);
        if self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_err() {
            return Err(BlobError::Full);
        }
        match self.place(name, &head, blob.content()) {
            Ok(former) => {
                self.used.fetch_sub(former, Ordering::AcqRel);
                file::sync(path.parent().unwrap_or(&self.root)).map_err(refused)
            }
            Err(error) => {
                self.used.fetch_sub(length, Ordering::AcqRel);
                Err(refused(error))
            }
        }
    }

    /// Writes a file and puts it in its place; the bytes of what lay there before.
    fn place(&self, name: &BlobName, head: &Head, content: &[u8]) -> io::Result<u64> {
        // Not made anew: where it is gone, something is wrong that is not mended by beginning again.
        self.root.join(UNFINISHED).metadata()?;
        let path = self.root.join(name.as_str());
        file::make_folders(&self.root, Path::new(name.as_str()).parent().unwrap_or(Path::new("")))?;
        let unfinished = file::write(&self.root.join(UNFINISHED), head, content)?;
        let _placing = self.placing.lock();
        let former = path.metadata().map_or(0, |former| former.len());
        let placed = std::fs::rename(&unfinished, &path);
        if placed.is_err() {
            drop(std::fs::remove_file(&unfinished));
        }
        placed.map(|()| former)
    }
}

#[async_trait]
impl Blobs for DiskBlobs {
    async fn put(&self, name: &BlobName, blob: &Blob) -> Result<(), BlobError> {
        if blob.content().len() as u64 > MOST {
            return Err(BlobError::Full);
        }
        let (name, blob) = (name.clone(), blob.clone());
        self.call(move |place| place.put(&name, &blob)).await
    }

    async fn head(&self, name: &BlobName) -> Result<BlobHead, BlobError> {
        let name = name.clone();
        self.call(move |place| Ok(Found::open(&place.root.join(name.as_str()))?.head)).await
    }

    async fn open(&self, name: &BlobName) -> Result<OpenBlob, BlobError> {
        let name = name.clone();
        let found = self.call(move |place| Found::open(&place.root.join(name.as_str()))).await?;
        let (runtime, turns, head) = (self.runtime.clone(), Arc::clone(&self.turns), found.head);
        Ok(OpenBlob::new(head, async move { blocking(&runtime, turns, move || found.content()).await }))
    }

    async fn expire(&self, before: Timestamp) -> Result<bool, BlobError> {
        self.call(move |place| expiry::step(place, before).map_err(away)).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        blobs::{MediaType, Sha256Sum},
        domain::ManualClock,
    };

    const BEGIN: Timestamp = Timestamp::from_millis(1_763_802_000_000);

    fn blob(text: &str) -> (BlobName, Blob) {
        let blob = Blob::new(MediaType::Pdf, Bytes::copy_from_slice(text.as_bytes()));
        (BlobName::pack(blob.digest()), blob)
    }

    fn open(root: &Path, most: u64) -> (DiskBlobs, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(BEGIN));
        let by = Arc::<ManualClock>::clone(&clock);
        (DiskBlobs::with_clock(&root.join("blobs"), most, &Handle::current(), by).unwrap(), clock)
    }

    async fn expire_all(blobs: &DiskBlobs, before: Timestamp) {
        while blobs.expire(before).await.unwrap() {}
    }

    #[tokio::test]
    async fn what_is_old_is_removed_and_what_was_put_again_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (blobs, clock) = open(dir.path(), 1 << 20);
        let ((old, first), (renewed, second)) = (blob("first"), blob("second"));
        blobs.put(&old, &first).await.unwrap();
        blobs.put(&renewed, &second).await.unwrap();
        clock.advance(Duration::from_secs(60));
        blobs.put(&renewed, &second).await.unwrap();
        expire_all(&blobs, BEGIN).await;
        assert!(blobs.head(&old).await.is_ok(), "as old as asked for is not older");
        expire_all(&blobs, BEGIN.plus(Duration::from_secs(1))).await;
        assert!(matches!(blobs.head(&old).await, Err(BlobError::Gone)));
        assert_eq!(blobs.head(&renewed).await.unwrap().put_at, BEGIN.plus(Duration::from_secs(60)));
        assert_eq!(blobs.open(&renewed).await.unwrap().read().await.unwrap(), second);
    }

    #[tokio::test]
    async fn the_room_is_bounded_counted_anew_at_the_start_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let (blobs, _) = open(dir.path(), 700);
        let (name, small) = blob(&"a".repeat(300));
        blobs.put(&name, &small).await.unwrap();
        let (other, large) = blob(&"b".repeat(300));
        assert!(matches!(blobs.put(&other, &large).await, Err(BlobError::Full)));
        drop(blobs);
        let (blobs, _) = open(dir.path(), 700);
        assert!(matches!(blobs.put(&other, &large).await, Err(BlobError::Full)));
        expire_all(&blobs, Timestamp::MAX).await;
        blobs.put(&other, &large).await.unwrap();
        assert_eq!(blobs.head(&other).await.unwrap().digest, Sha256Sum::of(large.content()));
    }

    #[tokio::test]
    async fn damage_of_any_byte_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (blobs, _) = open(dir.path(), 1 << 20);
        let (name, sound) = blob("content");
        blobs.put(&name, &sound).await.unwrap();
        let path = dir.path().join("blobs").join(name.as_str());
        let bytes = std::fs::read(&path).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            std::fs::write(&path, changed).unwrap();
            let read = match blobs.open(&name).await {
                Ok(open) => open.read().await.map(|read| (read == sound).then_some(())),
                Err(error) => Err(error),
            };
            // The moment stands beside the content and is not covered by its digest.
            assert!(matches!(read, Err(BlobError::Damaged(_)) | Ok(Some(()))), "byte {index}: {read:?}");
        }
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let short = blobs.open(&name).await;
        assert!(matches!(short, Err(BlobError::Damaged(_))), "{short:?}");
        let inspected = inspect(&dir.path().join("blobs")).unwrap();
        assert!(inspected.len() == 1 && inspected[0].contains(name.as_str()), "{inspected:?}");
        blobs.put(&name, &sound).await.unwrap();
        assert_eq!(inspect(&dir.path().join("blobs")).unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_a_former_life_left_unfinished_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), 1 << 20));
        let left = dir.path().join("blobs").join(UNFINISHED).join("x");
        std::fs::write(&left, "half").unwrap();
        drop(open(dir.path(), 1 << 20));
        assert!(!left.exists());
    }
}
