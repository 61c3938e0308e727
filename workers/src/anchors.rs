//! Anchors the heads of the records of acts where who may write to the tables cannot: in the log, in a file, on the topic. Once a
//! minute, and only what has changed.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use naru_shared::{
    audit::{Anchor, AnchorKind, Audit, AuditError, Head},
    domain::{Event, kinds},
};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{
    crew::Crew,
    patience::{self, rest},
    shell::{Progress, Routine},
};

/// How often the heads are looked at.
const MINUTE: Duration = Duration::from_secs(60);

/// How long a chain may take to say its head, and a file to take a line.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this process anchored last, of each chain.
#[derive(Default)]
pub(crate) struct Anchored(Mutex<Vec<(usize, Head)>>);

impl Anchored {
    fn last(&self, chain: usize) -> Option<Head> {
        self.0.lock().iter().find(|(of, _)| *of == chain).map(|(_, head)| head.clone())
    }

    fn put(&self, chain: usize, head: Head) {
        let mut all = self.0.lock();
        all.retain(|(of, _)| *of != chain);
        all.push((chain, head));
    }
}

/// The actor that anchors.
pub(crate) fn routine(crew: &Arc<Crew>) -> Routine {
    let anchoring = Arc::clone(crew);
    Routine {
        name: "anchors",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&anchoring), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    let mut last = Instant::now();
    // Well below the time after which a loop without a sign of life is replaced.
    let step = (MINUTE / 4).min(crew.config.stuck() / 4);
    while !crew.end.is_cancelled() {
        progress.mark();
        if last.elapsed() >= MINUTE {
            last = Instant::now();
            anchor(&crew).await;
        }
        rest(step, &crew.end).await;
    }
}

/// Anchors what has changed at the end of work.
pub(crate) async fn flush(crew: &Crew) {
    anchor(crew).await;
}

async fn anchor(crew: &Crew) {
    for (number, audit) in crew.deps.audits.iter().enumerate() {
        if let Err(error) = one(crew, number, audit.as_ref()).await {
            tracing::warn!(chain = %audit.chain(), %error, "a record of acts is not anchored: tried again in a minute");
        }
    }
}

async fn one(crew: &Crew, number: usize, audit: &dyn Audit) -> Result<(), AuditError> {
    let silent = |_| AuditError::Unavailable("no answer".into());
    let head = timeout(PATIENCE, audit.head()).await.map_err(silent)??;
    let (before, chain) = (crew.anchored.last(number), audit.chain());
    let come = head.as_ref().map_or(0, |head| head.sequence);
    if let Some(before) = &before
        && come < before.sequence
    {
        tracing::error!(%chain, row = come, anchored = before.sequence, "a record of acts is shorter than it was: naru audit verify");
    }
    let Some(head) = head.filter(|head| before.as_ref() != Some(head)) else { return Ok(()) };
    let anchor = Anchor::new(&crew.deps.keyring.audit(), AnchorKind::Head, chain, head.clone(), crew.now());
    tracing::info!(%chain, row = anchor.sequence, anchor = anchor.line(), "a record of acts is anchored");
    write(crew, anchor.clone()).await?;
    tell(crew, anchor).await?;
    crew.anchored.put(number, head);
    Ok(())
}

async fn write(crew: &Crew, anchor: Anchor) -> Result<(), AuditError> {
    let Some(file) = crew.deps.anchors.clone() else { return Ok(()) };
    let failed = |error: std::io::Error| AuditError::Unavailable(Box::new(error));
    let writing = tokio::task::spawn_blocking(move || file.append(&[anchor]));
    let written =
        timeout(PATIENCE, writing).await.map_err(|_| AuditError::Unavailable("no answer".into()))?;
    written.map_err(|error| AuditError::Unavailable(Box::new(error)))?.map_err(failed)
}

/// Every process of workers tells what it saw: the head says how far the chain had come, the moment when that was.
async fn tell(crew: &Crew, anchor: Anchor) -> Result<(), AuditError> {
    if !crew.emit() {
        return Ok(());
    }
    let subject = format!("audit/{}", anchor.chain);
    let id = format!("{subject}.{}.{}", anchor.sequence, anchor.at.as_millis());
    let (at, data) = (anchor.at, serde_json::to_value(anchor).unwrap_or_default());
    let event = Event::uncounted(id, &subject, kinds::ANCHORED, at, data);
    let put = patience::ledger(crew.deps.outbox.put(vec![event])).await;
    put.map_err(|error| AuditError::Unavailable(Box::new(error)))
}
