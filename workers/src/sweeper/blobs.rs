//! Lets the store of blobs remove what was kept long enough, one step at a time. A store with a rule of its own does nothing.

use std::time::Duration;

use naru_shared::{blobs::LIFE, metrics::BLOBS_EXPIRED};

use crate::crew::Crew;

/// How long a step may take.
const STEP: Duration = Duration::from_secs(30);

/// Whether there is more to do now.
pub(super) async fn expire(crew: &Crew) -> bool {
    let Some(blobs) = &crew.deps.blobs else { return false };
    let result = match tokio::time::timeout(STEP, blobs.expire(crew.now().minus(LIFE))).await {
        Ok(Ok(more)) => {
            BLOBS_EXPIRED.of(&[("result", "done")]).increment(1);
            return more;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_late) => "it did not answer in time".to_owned(),
    };
    BLOBS_EXPIRED.of(&[("result", "failed")]).increment(1);
    tracing::warn!(error = result, "old blobs could not be removed; it is tried again");
    false
}
