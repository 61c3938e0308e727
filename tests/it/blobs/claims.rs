//! Claim checks whose blob is away, gone or damaged.

use std::{path::Path, sync::Arc, time::Duration};

use naru_shared::{
    blobs::{BlobName, DiskBlobs, Sha256Sum},
    domain::{Envelope, Lane},
    queue::{ClaimChecks, Outgoing, PublishError, Queue, QueueName, SqliteQueue},
};
use tokio::runtime::Handle;

use crate::stage::beside_others;

const VISIBILITY: Duration = Duration::from_millis(400);
const SOON: Duration = Duration::from_secs(10);

struct Site {
    dir: tempfile::TempDir,
    plain: Arc<SqliteQueue>,
    checked: ClaimChecks,
    at: QueueName,
}

impl Site {
    fn new(most: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let plain = Arc::new(SqliteQueue::open(&dir.path().join("queue.db"), VISIBILITY).unwrap());
        let blobs = DiskBlobs::open(&dir.path().join("blobs"), 1 << 30, &Handle::current()).unwrap();
        let inner: Arc<dyn Queue> = Arc::<SqliteQueue>::clone(&plain);
        let checked = ClaimChecks::new(inner, Arc::new(blobs), most);
        let at = QueueName { route: "r".parse().unwrap(), lane: Lane::Express };
        Self { dir, plain, checked, at }
    }

    async fn publish(&self, texts: &[&str]) -> Vec<Result<(), PublishError>> {
        let pack = |text: &&str| Outgoing {
            queue: self.at.clone(),
            group: "acme".parse().unwrap(),
            envelope: Envelope(text.as_bytes().to_vec().into()),
        };
        self.checked.publish(texts.iter().map(pack).collect()).await
    }

    fn blob(&self, text: &str) -> std::path::PathBuf {
        let name = BlobName::pack(&Sha256Sum::of(text.as_bytes()));
        self.dir.path().join("blobs").join(Path::new(name.as_str()))
    }

    async fn received(&self, wait: Duration) -> Vec<String> {
        let got = self.checked.receive(&self.at, 10, wait).await.unwrap();
        got.iter().map(|one| String::from_utf8_lossy(&one.envelope.0).into_owned()).collect()
    }

    async fn quarantined(&self) -> u64 {
        self.plain.depth(&self.at).await.unwrap().quarantined
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_too_large_is_kept_as_a_blob_and_both_come_out_as_they_went_in() {
    let _beside = beside_others();
    let site = Site::new(10);
    assert!(site.publish(&["short", "longer than ten"]).await.iter().all(Result::is_ok));
    assert!(site.blob("longer than ten").exists() && !site.blob("short").exists());
    let plain = site.plain.receive(&site.at, 10, SOON).await.unwrap();
    assert!(plain.iter().any(|one| one.envelope.0.starts_with(b"claim.1.")), "a check is what is published");
    tokio::time::sleep(VISIBILITY * 2).await;
    let mut received = site.received(SOON).await;
    received.sort();
    assert_eq!(received, ["longer than ten", "short"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_or_damaged_or_no_check_is_set_aside_and_the_rest_goes_on() {
    let _beside = beside_others();
    let site = Site::new(0);
    assert!(site.publish(&["gone", "damaged", "sound"]).await.iter().all(Result::is_ok));
    std::fs::remove_file(site.blob("gone")).unwrap();
    let path = site.blob("damaged");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(path, bytes).unwrap();
    let forged = Envelope(b"claim.1.forged\n".to_vec().into());
    let forged = Outgoing { queue: site.at.clone(), group: "acme".parse().unwrap(), envelope: forged };
    assert!(site.plain.publish(vec![forged]).await[0].is_ok());
    assert_eq!(site.received(SOON).await, ["sound"]);
    assert_eq!(site.quarantined().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_blobs_are_away_nothing_is_published_and_what_was_comes_again() {
    let _beside = beside_others();
    let site = Site::new(0);
    assert!(site.publish(&["waits"]).await[0].is_ok());
    let (blobs, elsewhere) = (site.dir.path().join("blobs"), site.dir.path().join("elsewhere"));
    std::fs::rename(&blobs, &elsewhere).unwrap();
    assert!(matches!(site.publish(&["refused"]).await[0], Err(PublishError::Refused(_))));
    assert!(site.received(Duration::from_millis(200)).await.is_empty());
    std::fs::rename(&elsewhere, &blobs).unwrap();
    assert_eq!(site.quarantined().await, 0);
    assert_eq!(site.received(SOON).await, ["waits"], "and what was refused is not there");
}
