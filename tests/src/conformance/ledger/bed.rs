//! A ledger under test, and short words for what is asked of it.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use naru_shared::{
    domain::{
        Account, Clock, Code, Content, CustomerId, Day, Environment, Fingerprint, IncarnationId, IntakeToken,
        Lane, ManualClock, Message, MessageId, MessageView, Next, Period, Quota, Report, State, TimeZone,
        Timestamp, Units,
    },
    ledger::{
        Disposition, IntakeBatch, IntakeDone, IntakeEntry, IntakeVerdict, Ledger, LedgerDesk, LedgerError,
        LedgerMends, LedgerReads, OptOuts, PassedOver, Quiet, RowRef, Settled, Settlement, Shares,
        TakeRequest, Work,
    },
    outbox::Outbox,
};

/// A future of a guarantee or of an engine's start.
pub type Step<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + Send + 'a>>;

/// The faces of one engine, empty, and what must live as long as it.
pub struct Engine {
    /// The workers' face.
    pub ledger: Arc<dyn Ledger>,
    /// Ingress's face.
    pub reads: Arc<dyn LedgerReads>,
    /// The operator's face.
    pub desk: Arc<dyn LedgerDesk>,
    /// The operator's hand for what concerns many messages.
    pub mends: Arc<dyn LedgerMends>,
    /// Those who want no messages.
    pub opt_outs: Arc<dyn OptOuts>,
    /// Events to publish.
    pub outbox: Arc<dyn Outbox>,
    /// Kept until the test has ended.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// An engine and a clock that the test owns.
pub struct Bed {
    /// The faces under test.
    pub engine: Engine,
    /// Leases are counted by it.
    pub clock: Arc<ManualClock>,
    /// The incarnation that starts and takes.
    pub me: IncarnationId,
    count: AtomicU64,
}

/// How long a lease is in these tests.
pub const LEASE: Duration = Duration::from_secs(60);

impl Bed {
    /// Opens an engine, runs a guarantee against it, and audits its usage afterwards, whatever it was.
    ///
    /// # Errors
    /// If the engine does not open, the guarantee does not hold, or usage is not what is charged.
    pub async fn run(
        open: impl FnOnce(Arc<ManualClock>) -> Step<'static, Engine>,
        guarantee: impl for<'a> FnOnce(&'a Self) -> Step<'a, ()>,
    ) -> anyhow::Result<()> {
        let start: Timestamp = "2026-03-10T09:00:00Z".parse()?;
        let clock = Arc::new(ManualClock::new(start));
        let engine = open(Arc::clone(&clock)).await?;
        let bed = Self::over(engine, clock);
        tokio::time::timeout(Duration::from_secs(60), guarantee(&bed)).await.context("it hangs")??;
        let wrong = bed.engine.desk.audit_usage().await?;
        ensure!(wrong.is_empty(), "usage is not what is reserved or captured: {wrong:?}");
        Ok(())
    }

    /// A bed over an engine that is open.
    pub fn over(engine: Engine, clock: Arc<ManualClock>) -> Self {
        Self { engine, clock, me: IncarnationId::random(), count: AtomicU64::new(1) }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock.
    pub fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// A new message of a live customer on the route `r`.
    pub fn entry(&self, customer: &str, disposition: Disposition) -> anyhow::Result<IntakeEntry> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let content = Content {
            channel: "sms".parse()?,
            recipient: "+821012345678".to_owned(),
            sender: None,
            subject: None,
            body: format!("message {number}"),
            attachments: Vec::new(),
            data: serde_json::Map::new(),
            reference: Some(format!("ref-{number}")),
            send_at: None,
            ttl: None,
            simulate: None,
        };
        let message = Message {
            id: MessageId::from_bytes(u128::from(number).to_be_bytes()),
            key: None,
            fingerprint: Fingerprint::of(&content, Lane::Express),
            units: Units::ONE,
            accepted_at: self.now(),
            traceparent: None,
            again: None,
            content,
        };
        Ok(IntakeEntry {
            account: live(customer)?,
            route: "r".parse()?,
            lane: Lane::Express,
            day: Day::of(self.now(), &TimeZone::UTC),
            disposition,
            class: None,
            quiet: std::time::Duration::ZERO,
            message: Arc::new(message),
        })
    }

    /// Several of them.
    pub fn entries(
        &self,
        customer: &str,
        lane: Lane,
        disposition: &Disposition,
        count: usize,
    ) -> anyhow::Result<Vec<IntakeEntry>> {
        (0..count)
            .map(|_| self.entry(customer, disposition.clone()).map(|entry| IntakeEntry { lane, ..entry }))
            .collect()
    }

    /// A batch of these, with a token of its own.
    pub fn batch(&self, entries: Vec<IntakeEntry>) -> IntakeBatch {
        IntakeBatch {
            token: IntakeToken::random(),
            incarnation: self.me,
            now: self.now(),
            emit: false,
            entries,
            quotas: Vec::new(),
        }
    }

    /// Records them.
    pub async fn intake(&self, entries: Vec<IntakeEntry>) -> Result<IntakeDone, LedgerError> {
        self.engine.ledger.intake(self.batch(entries)).await
    }

    /// Records one new message.
    pub async fn record(&self, entry: IntakeEntry) -> anyhow::Result<RowRef> {
        let done = self.intake(vec![entry]).await?;
        match done.verdicts.as_slice() {
            [IntakeVerdict::Recorded(row, _)] => Ok(*row),
            other => anyhow::bail!("not recorded: {other:?}"),
        }
    }

    /// Records a message whose first attempt begins at once.
    pub async fn start(&self, customer: &str) -> anyhow::Result<RowRef> {
        self.record(self.entry(customer, Disposition::Start)?).await
    }

    /// Takes from the route `r`.
    pub async fn take(&self, max: usize) -> anyhow::Result<Vec<Work>> {
        self.take_weighted(max, |_| 1).await
    }

    /// Takes from the route `r`, of nobody in this set; and whether there was more.
    pub async fn take_without(
        &self,
        max: usize,
        passed_over: &PassedOver,
    ) -> anyhow::Result<(Vec<Work>, bool)> {
        let passed_over = Arc::clone(passed_over);
        let request = TakeRequest { passed_over, ..self.request(max, |_| 1)? };
        let taken = self.engine.ledger.take(request).await?;
        Ok((taken.work, taken.more))
    }

    /// Takes from the route `r`, with these weights.
    pub async fn take_weighted(
        &self,
        max: usize,
        weight: impl Fn(&CustomerId) -> u32 + Send + Sync + 'static,
    ) -> anyhow::Result<Vec<Work>> {
        Ok(self.engine.ledger.take(self.request(max, weight)?).await?.work)
    }

    /// What takes from the route `r` with these weights.
    pub fn request(
        &self,
        max: usize,
        weight: impl Fn(&CustomerId) -> u32 + Send + Sync + 'static,
    ) -> anyhow::Result<TakeRequest> {
        Ok(TakeRequest {
            route: "r".parse()?,
            incarnation: self.me,
            max,
            now: self.now(),
            emit: false,
            weights: Arc::new(weight),
            passed_over: PassedOver::default(),
            shares: Shares::default(),
            quiet: Quiet::default(),
        })
    }

    /// Settles one attempt, without events.
    pub async fn settle(&self, row: RowRef, attempt: u32, next: Next) -> anyhow::Result<Settled> {
        let batch = vec![Settlement { row, attempt, next }];
        let settled = self.engine.ledger.settle(batch, self.now(), false).await?;
        settled.first().copied().context("no answer for a settlement")
    }

    /// How a message stands.
    pub async fn view(&self, customer: &str, row: RowRef) -> anyhow::Result<MessageView> {
        self.engine.reads.view(&live(customer)?, row.id).await?.context("it is not there")
    }

    /// In which state it is.
    pub async fn state(&self, customer: &str, row: RowRef) -> anyhow::Result<State> {
        Ok(self.view(customer, row).await?.status)
    }

    /// The unread reports of a customer that are not under lease; now they are.
    pub async fn unread(&self, customer: &str) -> anyhow::Result<Vec<Report>> {
        Ok(self.engine.reads.reports(&live(customer)?, 1_000, Duration::ZERO, LEASE).await?.0)
    }

    /// Units used in this month.
    pub async fn used(&self, customer: &str) -> anyhow::Result<u64> {
        let quota = quota(customer, None, Period::Month, 0)?;
        Ok(self.engine.reads.used(&quota, Day::of(self.now(), &TimeZone::UTC)).await?)
    }
}

/// A live account.
pub fn live(customer: &str) -> anyhow::Result<Account> {
    Ok(Account { customer: customer.parse()?, environment: Environment::Live })
}

/// A limit.
pub fn quota(customer: &str, channel: Option<&str>, period: Period, limit: u64) -> anyhow::Result<Quota> {
    let channel = channel.map(str::parse).transpose()?;
    Ok(Quota { version: 1, ..Quota::new(customer.parse()?, channel, period, limit) })
}

/// It arrived.
pub fn delivered() -> Next {
    Next::end(State::Delivered, Code::Ok, "")
}

/// It was refused.
pub fn failed() -> Next {
    Next::end(State::Failed, Code::BackendRefused, "no such number")
}

/// Another attempt after that long.
pub fn retry(bed: &Bed, after: Duration, possible_duplicate: bool) -> Next {
    Next::Retry { at: bed.now().plus(after), possible_duplicate, detail: "busy".to_owned() }
}
