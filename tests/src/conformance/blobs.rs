//! What a store of blobs guarantees.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use naru_shared::{
    blobs::{AttachmentKeys, Blob, BlobError, BlobName, Blobs, MOST, MediaType},
    domain::{Account, Clock, Environment, SystemClock},
    keys::Secret,
};

/// Clocks of two machines, and the seconds that a store's moments may be rounded to.
const CLOCKS: Duration = Duration::from_secs(5);

/// A store with nothing in it.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn blobs(&self) -> Arc<dyn Blobs>;

    /// As after a crash of every process of ours.
    fn restart(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Puts another content in the place of a blob's, of the same length, by the store's own means.
    fn damage(&self, name: &BlobName) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Takes the store away, whole, until the fixture is dropped.
    fn away(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! blobs_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::blobs,
            $fixture,
            [
                what_was_put_is_read_as_it_was,
                what_was_put_is_there_after_a_restart,
                what_is_not_there_is_gone_and_not_away,
                blobs_of_others_are_others,
                putting_again_replaces_and_renews,
                a_head_tells_what_it_is_without_its_content,
                an_empty_blob_and_one_of_every_byte_and_a_large_one_are_kept,
                what_is_too_large_is_refused,
                what_was_changed_in_its_place_is_damaged_and_never_handed_out,
                what_is_damaged_is_mended_by_putting_it_again,
                many_at_once_are_all_kept,
                a_store_that_is_away_is_away_and_nothing_is_gone,
            ]
        );
    };
}

fn blob(media_type: MediaType, content: impl Into<Vec<u8>>) -> (BlobName, Blob) {
    let blob = Blob::new(media_type, Bytes::from(content.into()));
    (BlobName::pack(blob.digest()), blob)
}

async fn read(blobs: &dyn Blobs, name: &BlobName) -> Result<Blob, BlobError> {
    blobs.open(name).await?.read().await
}

/// Every byte and what it is.
pub async fn what_was_put_is_read_as_it_was(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (blobs, (name, put)) = (fixture.blobs(), blob(MediaType::Png, "content"));
    blobs.put(&name, &put).await?;
    assert_eq!(read(&*blobs, &name).await?, put);
    Ok(())
}

/// `Ok` is durable.
pub async fn what_was_put_is_there_after_a_restart(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (name, put) = blob(MediaType::Pdf, "content");
    fixture.blobs().put(&name, &put).await?;
    fixture.restart().await?;
    assert_eq!(read(&*fixture.blobs(), &name).await?, put);
    Ok(())
}

/// By every call.
pub async fn what_is_not_there_is_gone_and_not_away(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (blobs, (name, put)) = (fixture.blobs(), blob(MediaType::Png, "never put"));
    let (other, there) = blob(MediaType::Png, "put");
    // An empty store may have no place yet.
    blobs.put(&other, &there).await?;
    assert!(matches!(blobs.head(&name).await, Err(BlobError::Gone)));
    assert!(matches!(blobs.open(&name).await, Err(BlobError::Gone)));
    blobs.put(&name, &put).await?;
    assert_eq!(read(&*blobs, &name).await?, put);
    Ok(())
}

/// The same content of two customers lies twice.
pub async fn blobs_of_others_are_others(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let blobs = fixture.blobs();
    let (_, put) = blob(MediaType::Gif, "the same");
    let keys = AttachmentKeys::new(&Secret::random());
    let name = |customer: &str, environment| -> anyhow::Result<BlobName> {
        let owner = Account { customer: customer.parse()?, environment };
        Ok(BlobName::attachment(&owner, keys.derive(&owner, put.digest(), put.media_type())))
    };
    let mine = name("acme", Environment::Live)?;
    blobs.put(&mine, &put).await?;
    assert_eq!(read(&*blobs, &mine).await?, put);
    for other in [name("acme", Environment::Sandbox)?, name("other", Environment::Live)?] {
        assert!(matches!(blobs.head(&other).await, Err(BlobError::Gone)));
    }
    Ok(())
}

/// The same content, and its moment is the last one's.
pub async fn putting_again_replaces_and_renews(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (blobs, (name, put)) = (fixture.blobs(), blob(MediaType::Png, "twice"));
    blobs.put(&name, &put).await?;
    let first = blobs.head(&name).await?;
    // Stores tell moments in whole seconds.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    blobs.put(&name, &put).await?;
    let second = blobs.head(&name).await?;
    assert!(second.put_at > first.put_at, "{first:?} {second:?}");
    assert_eq!(read(&*blobs, &name).await?, put);
    Ok(())
}

/// Length, kind, digest, and about when.
pub async fn a_head_tells_what_it_is_without_its_content(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (blobs, (name, put)) = (fixture.blobs(), blob(MediaType::Vcard, "BEGIN:VCARD"));
    let before = SystemClock.now().minus(CLOCKS);
    blobs.put(&name, &put).await?;
    let after = SystemClock.now().plus(CLOCKS);
    for head in [blobs.head(&name).await?, *blobs.open(&name).await?.head()] {
        assert_eq!((head.media_type, head.bytes, head.digest), (MediaType::Vcard, 11, *put.digest()));
        assert!(before <= head.put_at && head.put_at <= after, "{head:?}");
    }
    Ok(())
}

/// Nothing is cut, added or changed by a store's own ways to write.
pub async fn an_empty_blob_and_one_of_every_byte_and_a_large_one_are_kept(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let blobs = fixture.blobs();
    let large: Vec<u8> = (0..10_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for content in [Vec::new(), (0..=255).collect(), b"\r\n\0\n\r".to_vec(), large] {
        let (name, put) = blob(MediaType::Jpeg, content);
        blobs.put(&name, &put).await?;
        assert!(read(&*blobs, &name).await? == put, "{} bytes", put.content().len());
    }
    Ok(())
}

/// Beyond what any reader takes.
pub async fn what_is_too_large_is_refused(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (name, put) = blob(MediaType::Jpeg, vec![7; usize::try_from(MOST)? + 1]);
    assert!(matches!(fixture.blobs().put(&name, &put).await, Err(BlobError::Full)));
    Ok(())
}

/// The digest is looked at by whoever reads.
pub async fn what_was_changed_in_its_place_is_damaged_and_never_handed_out(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (blobs, (name, put)) = (fixture.blobs(), blob(MediaType::Png, "what was paid for"));
    blobs.put(&name, &put).await?;
    fixture.damage(&name).await?;
    let found = read(&*blobs, &name).await;
    assert!(matches!(found, Err(BlobError::Damaged(_))), "{found:?}");
    Ok(())
}

/// So that a second upload heals the first.
pub async fn what_is_damaged_is_mended_by_putting_it_again(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (blobs, (name, put)) = (fixture.blobs(), blob(MediaType::Png, "what was paid for"));
    blobs.put(&name, &put).await?;
    fixture.damage(&name).await?;
    blobs.put(&name, &put).await?;
    assert_eq!(read(&*blobs, &name).await?, put);
    Ok(())
}

/// Some of them the same.
pub async fn many_at_once_are_all_kept(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let blobs = fixture.blobs();
    let all: Vec<_> = (0..64).map(|i| blob(MediaType::Gif, format!("{}", i % 48))).collect();
    let put = all.iter().map(|(name, blob)| blobs.put(name, blob));
    for done in futures_util::future::join_all(put).await {
        done?;
    }
    for (name, blob) in &all {
        assert_eq!(read(&*blobs, name).await?, *blob);
    }
    Ok(())
}

/// What is only away is never told as gone: a message would end for it.
pub async fn a_store_that_is_away_is_away_and_nothing_is_gone(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (name, put) = blob(MediaType::Png, "content");
    fixture.blobs().put(&name, &put).await?;
    fixture.away().await?;
    let blobs = fixture.blobs();
    for found in
        [blobs.put(&name, &put).await.err(), blobs.head(&name).await.err(), read(&*blobs, &name).await.err()]
    {
        assert!(matches!(found, Some(BlobError::Away(_))), "{found:?}");
    }
    Ok(())
}
