//! A backend that inserts rows into a table, and is told by the table what became of them.
//!
//! Messages that come while a transaction is under way share the next one. What is in the table already, or was, is not inserted
//! again, so that an attempt whose commit was not answered is simply made once more.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use data_encoding::BASE64;
use naru_shared::{
    domain::{Code, Next, Outcome, State, TableBackend, Verdict},
    ledger::Work,
    table::{Draft, MessageTable, TableError, Told, Turn, UnusableTable},
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{Backend, Report, Reports, ReportsError};
use crate::courier::Attachment;

/// Rows of one transaction, and rows that may wait for the next.
const GROUP: usize = 512;
const WAITING: usize = 4_096;

/// Rows that are taken back at once from each table.
const BACK: usize = 500;

/// The whole turn, with what may have been corrected, comes so often; and takes at the most this part of the time.
const WHOLE: Duration = Duration::from_secs(20);
const PART: u32 = 20;

/// How often what is no longer told of is forgotten.
const FORGET: Duration = Duration::from_secs(3_600);

/// Bytes of files that go into a row.
const FILES: usize = 4 << 20;

struct Insertion {
    work: Work,
    draft: Draft,
    answer: oneshot::Sender<Result<(), TableError>>,
}

/// See the module.
pub(super) struct Table {
    table: Arc<MessageTable>,
    inserts: mpsc::Sender<Insertion>,
    turns: Mutex<Turns>,
    holder: String,
}

/// When which turn came last.
struct Turns {
    whole: Instant,
    forget: Instant,
}

impl Table {
    pub(super) fn new(config: &TableBackend, runtime: &Handle) -> Result<Self, UnusableTable> {
        let table = Arc::new(MessageTable::new(config)?);
        let (inserts, waiting) = mpsc::channel(WAITING);
        // It ends with the last sender.
        runtime.spawn(insert(Arc::clone(&table), waiting));
        let begun = Instant::now();
        let turns = Mutex::new(Turns { whole: begun, forget: begun });
        Ok(Self { table, inserts, turns, holder: format!("{:016x}", fastrand::u64(..)) })
    }

    async fn collect(&self) -> Result<Vec<Told>, TableError> {
        if !self.table.lease(&self.holder).await? {
            return Ok(Vec::new());
        }
        let quick = self.table.collect(Turn::Quick, BACK).await?;
        if !quick.is_empty() || self.turns.lock().whole.elapsed() < WHOLE {
            return Ok(quick);
        }
        let begun = Instant::now();
        let whole = self.table.collect(Turn::Whole, BACK).await?;
        if whole.is_empty() {
            // What takes long comes seldom.
            self.turns.lock().whole = Instant::now() + begun.elapsed() * PART;
        }
        let forgets = self.turns.lock().forget.elapsed() > FORGET;
        if forgets {
            self.table.forget().await?;
            self.turns.lock().forget = Instant::now();
        }
        Ok(whole)
    }
}

/// Inserts what waits, together, one transaction after the other.
async fn insert(table: Arc<MessageTable>, mut waiting: mpsc::Receiver<Insertion>) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.recv_many(&mut group, GROUP).await > 0 {
        let mut answers = Vec::with_capacity(group.len());
        let mut rows = Vec::with_capacity(group.len());
        for Insertion { work, draft, answer } in group.drain(..) {
            // Whoever has given up waiting begins anew.
            if !answer.is_closed() {
                rows.push((work, draft));
                answers.push(answer);
            }
        }
        let inserted = table.insert(&rows).await;
        for (answer, inserted) in answers.into_iter().zip(inserted) {
            // Nobody waits any more: the attempt's time was over, and it is made once more.
            drop(answer.send(inserted));
        }
    }
}

#[async_trait]
impl Backend for Table {
    async fn deliver(&self, work: &Work, attachments: &[Attachment]) -> Outcome {
        let draft = match files(attachments).and_then(|files| self.table.draft(work, files)) {
            Ok(draft) => draft,
            Err(why) => return Outcome::Failed { detail: why.to_owned() },
        };
        let (answer, answered) = oneshot::channel();
        let insertion = Insertion { work: work.clone(), draft, answer };
        if self.inserts.send(insertion).await.is_err() {
            let detail = "nobody inserts into the table any more".to_owned();
            return Outcome::NotTaken { detail, retry_after: None };
        }
        match answered.await {
            Ok(Ok(())) => Outcome::Sent { backend_id: None, report_in: None },
            Ok(Err(TableError::Refused { why, taken: false })) => {
                Outcome::Failed { detail: format!("the table does not take it: {why}") }
            }
            Ok(Err(TableError::Away(why) | TableError::Refused { why, taken: true })) => {
                Outcome::NotTaken { detail: why, retry_after: None }
            }
            // The same row is inserted once more: the key makes that harmless.
            Ok(Err(TableError::Unknown(detail))) => Outcome::Uncertain { detail },
            Err(_dropped) => {
                Outcome::Uncertain { detail: "the insertion ended without an answer".to_owned() }
            }
        }
    }

    /// Only what was missed is asked for: see [`Reports`].
    async fn inquire(&self, work: &Work) -> Option<Outcome> {
        match self.table.look_up(work).await {
            Ok(Some(told)) => match told.verdict {
                Verdict::Delivered => {
                    Some(Outcome::Delivered { detail: told.detail, backend_id: told.backend_id })
                }
                Verdict::Failed => Some(Outcome::Failed { detail: told.detail }),
                Verdict::Unknown => None,
            },
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(id = %work.row.id, %error, "the table cannot be asked for a report");
                None
            }
        }
    }

    async fn withdraw(&self, work: &Work) {
        if let Err(error) = self.table.withdraw(work).await {
            tracing::warn!(id = %work.row.id, %error, "a row that nobody reported was not withdrawn");
        }
    }

    fn reports(&self) -> Option<&dyn Reports> {
        Some(self)
    }
}

#[async_trait]
impl Reports for Table {
    async fn take(&self) -> Result<Vec<Report>, ReportsError> {
        let told = self.collect().await.map_err(|error| ReportsError(error.to_string()))?;
        Ok(told.into_iter().map(report).collect())
    }

    async fn kept(&self, reports: Vec<Report>) -> Result<(), ReportsError> {
        let told: Vec<Told> = reports.into_iter().map(|report| report.told).collect();
        self.table.taken(&told).await.map_err(|error| ReportsError(error.to_string()))
    }
}

fn report(told: Told) -> Report {
    let (detail, backend_id) = (told.detail.clone(), told.backend_id.clone());
    let (state, code) = match told.verdict {
        Verdict::Delivered => (State::Delivered, Code::Ok),
        Verdict::Failed => (State::Failed, Code::BackendRefused),
        Verdict::Unknown => (State::Expired, Code::NoReport),
    };
    let next = Next::Final { state, code, detail, backend_id };
    Report { row: told.row, attempt: told.attempt, next, told }
}

/// Files as the table's column holds them.
fn files(attachments: &[Attachment]) -> Result<Option<String>, &'static str> {
    if attachments.is_empty() {
        return Ok(None);
    }
    let size: usize = attachments.iter().map(|attachment| attachment.blob.content().len()).sum();
    if size > FILES {
        return Err("the attachments are too large for a row");
    }
    let files = attachments.iter().map(|attachment| {
        json!({
            "id": attachment.id.to_string(),
            "type": attachment.blob.media_type().to_string(),
            "content": BASE64.encode(attachment.blob.content()),
        })
    });
    Ok(Some(serde_json::Value::from_iter(files).to_string()))
}
