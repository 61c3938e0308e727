//! Waiting, with an end.

use std::time::{Duration, Instant};

/// How long what must come may take.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// Asks again until the answer is `Some`, for at most [`SOON`].
pub(super) async fn until<T, F: Future<Output = anyhow::Result<Option<T>>>>(
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if let Some(value) = ask().await? {
            return Ok(value);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("it did not happen within {SOON:?}")
}
