//! The ledger and the model side by side: each step is done to both, and both must agree.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use naru_shared::{
    domain::{Code, Day, Environment, Period, Quota, State, TimeZone, Timestamp, Units},
    ledger::{
        Cancelled, Disposition, IntakeBatch, IntakeEntry, IntakeVerdict, PassedOver, Quiet, Resolution,
        RowRef, Settlement, Shares, TakeRequest,
    },
};
use naru_tests::conformance::ledger::{Bed, LEASE, live, quota};

use super::{
    life::Life,
    ops::{Begin, End, Op, next},
};

const CUSTOMERS: [&str; 3] = ["a", "b", "c"];

/// The prepaid limit of the first customer.
const LIMIT: u64 = 12;

/// The ledger and the model side by side.
pub(super) struct Twins<'a> {
    bed: &'a Bed,
    limit: Arc<Quota>,
    lives: Vec<Life>,
    events: usize,
}

impl<'a> Twins<'a> {
    pub(super) fn new(bed: &'a Bed) -> anyhow::Result<Self> {
        let limit = Arc::new(quota(CUSTOMERS[0], None, Period::Prepaid, LIMIT)?);
        Ok(Self { bed, limit, lives: Vec::new(), events: 0 })
    }

    fn pick(&self, which: usize) -> Option<usize> {
        (!self.lives.is_empty()).then(|| which % self.lives.len())
    }

    fn used(&self, customer: &str) -> u64 {
        self.lives
            .iter()
            .filter(|life| life.entry.account.customer.as_str() == customer)
            .map(Life::units)
            .sum()
    }

    pub(super) async fn step(&mut self, op: Op) -> anyhow::Result<()> {
        let now = self.bed.now();
        match op {
            Op::Intake { .. } => self.intake(op).await?,
            Op::Again(which) => self.again(which).await?,
            Op::Replay(which) => self.replay(which).await?,
            Op::Take(max) => self.take(max).await?,
            Op::Settle { which, back, end } => self.settle(which, back, end).await?,
            Op::GiveBack(which) => self.give_back(which).await?,
            Op::Cancel(which) => self.cancel(which).await?,
            Op::Resolve(which, how) => self.resolve(which, how).await?,
            Op::Acknowledge(which, revision) => self.acknowledge(which, revision).await?,
            Op::Wake => self.wake(now).await?,
            Op::Pass(seconds) => self.bed.pass(Duration::from_secs(seconds)),
        }
        Ok(())
    }

    fn batch(&self, entries: Vec<IntakeEntry>) -> IntakeBatch {
        IntakeBatch { emit: true, quotas: vec![Arc::clone(&self.limit)], ..self.bed.batch(entries) }
    }

    async fn intake(&mut self, op: Op) -> anyhow::Result<()> {
        let Op::Intake { customer, begin, units, sandbox, cancelled_before } = op else { return Ok(()) };
        let now = self.bed.now();
        let disposition = match begin {
            Begin::Ready => Disposition::Ready,
            Begin::Start => Disposition::Start,
            Begin::Schedule => Disposition::Schedule,
            Begin::Hold => Disposition::Hold(Code::Restored),
            Begin::Refuse => Disposition::Finish(State::Rejected, Code::Suspended),
        };
        let mut entry = self.bed.entry(CUSTOMERS[customer], disposition)?;
        if sandbox {
            entry.account.environment = Environment::Sandbox;
        }
        let message = Arc::make_mut(&mut entry.message);
        message.units = Units::new(units).unwrap_or(Units::ONE);
        let due = now.plus(Duration::from_secs(30));
        message.content.send_at = (begin == Begin::Schedule).then_some(due);
        let expires = message.expires_at(entry.lane);
        if cancelled_before {
            let told = self.bed.engine.reads.cancel(&entry.account, entry.message.id, now, true).await?;
            assert_eq!(told, Cancelled::Tombstone);
        }
        let fits = sandbox || customer != 0 || self.used(CUSTOMERS[0]) + u64::from(units) <= LIMIT;
        let batch = self.batch(vec![entry.clone()]);
        let token = batch.token;
        let done = self.bed.engine.ledger.intake(batch).await?;
        let state = match begin {
            _ if cancelled_before => State::Cancelled,
            Begin::Refuse => State::Rejected,
            _ if !fits => State::Rejected,
            Begin::Ready => State::Ready,
            Begin::Start => State::Sending,
            Begin::Schedule => State::Scheduled,
            Begin::Hold => State::Held,
        };
        let at = match done.verdicts[0] {
            IntakeVerdict::Recorded(at, told) if told == state && !cancelled_before => at,
            // A tombstone's row is not told, since nothing is left to settle.
            IntakeVerdict::Cancelled if cancelled_before => RowRef { row: -1, id: entry.message.id },
            other => anyhow::bail!("{other:?} instead of {state:?}"),
        };
        self.lives.push(Life {
            at,
            token,
            state,
            attempt: u32::from(state == State::Sending),
            doubt: state == State::Held,
            charged: !sandbox && !state.is_final(),
            revision: u32::from(state.is_final()),
            read: 0,
            held: u32::from(state == State::Held),
            due,
            expires,
            settled: None,
            entry,
        });
        Ok(())
    }

    async fn again(&mut self, which: usize) -> anyhow::Result<()> {
        let Some(index) = self.pick(which) else { return Ok(()) };
        let batch = self.batch(vec![self.lives[index].entry.clone()]);
        let done = self.bed.engine.ledger.intake(batch).await?;
        assert_eq!(done.verdicts, [IntakeVerdict::Duplicate]);
        Ok(())
    }

    async fn replay(&mut self, which: usize) -> anyhow::Result<()> {
        let Some(index) = self.pick(which) else { return Ok(()) };
        let life = &self.lives[index];
        let batch = IntakeBatch { token: life.token, ..self.batch(vec![life.entry.clone()]) };
        let done = self.bed.engine.ledger.intake(batch).await?;
        let IntakeVerdict::Recorded(at, state) = done.verdicts[0] else { anyhow::bail!("{done:?}") };
        assert_eq!((at.id, state), (life.at.id, life.state));
        Ok(())
    }

    async fn take(&mut self, max: usize) -> anyhow::Result<()> {
        let now = self.bed.now();
        // What has expired is ended first, so that what a take finds is what the model says.
        self.wake(now).await?;
        let ready = self.lives.iter().filter(|life| life.state == State::Ready).count();
        let request = TakeRequest {
            route: "r".parse()?,
            incarnation: self.bed.me,
            max,
            now,
            emit: true,
            weights: Arc::new(|_| 1),
            passed_over: PassedOver::default(),
            shares: Shares::default(),
            quiet: Quiet::default(),
        };
        let taken = self.bed.engine.ledger.take(request).await?;
        assert_eq!((taken.work.len(), taken.expired, taken.more), (ready.min(max), 0, ready > max));
        for work in taken.work {
            let life = self.lives.iter_mut().find(|life| life.at.id == work.row.id).context("unknown")?;
            assert_eq!(life.state, State::Ready);
            life.at = work.row;
            life.state = State::Sending;
            life.attempt += 1;
            life.settled = None;
            assert_eq!((work.attempt, work.possible_duplicate), (life.attempt, life.doubt));
            assert_eq!(work.message, life.entry.message);
        }
        Ok(())
    }

    async fn settle(&mut self, which: usize, back: u32, end: End) -> anyhow::Result<()> {
        let Some(index) = self.pick(which) else { return Ok(()) };
        let now = self.bed.now();
        let life = &mut self.lives[index];
        let attempt = life.attempt.saturating_sub(back);
        if attempt == 0 || life.at.row < 0 {
            return Ok(());
        }
        let batch = vec![Settlement { row: life.at, attempt, next: next(end, now) }];
        let told = self.bed.engine.ledger.settle(batch, now, true).await?;
        // A failure and an uncertain end are one state with two codes: only the same code is the same settlement.
        assert_eq!(told, [life.settle(attempt, end, now)], "attempt {attempt}, {end:?}, {life:?}");
        Ok(())
    }

    async fn give_back(&mut self, which: usize) -> anyhow::Result<()> {
        let Some(index) = self.pick(which) else { return Ok(()) };
        let life = &mut self.lives[index];
        self.bed.engine.ledger.give_back(vec![(life.at, life.attempt)]).await?;
        if life.state == State::Sending {
            life.state = State::Ready;
            life.attempt -= 1;
            life.settled = None;
        }
        Ok(())
    }

    async fn cancel(&mut self, which: usize) -> anyhow::Result<()> {
        let Some(index) = self.pick(which) else { return Ok(()) };
        let now = self.bed.now();
        let life = &mut self.lives[index];
        let told = self.bed.engine.reads.cancel(&life.entry.account, life.at.id, now, true).await?;
        let possible = life.state.is_waiting() && !life.doubt;
        if possible {
            life.end(State::Cancelled);
        }
        let done = possible || life.state == State::Cancelled;
        assert_eq!(matches!(told, Cancelled::Done(_)), done, "{told:?}");
        assert_eq!(matches!(told, Cancelled::TooLate(_)), !done, "{told:?}");
        Ok(())
    }

    async fn resolve(&mut self, which: usize, how: u8) -> anyhow::Result<()> {
        let Some(index) = self.pick(which) else { return Ok(()) };
        let now = self.bed.now();
        let resolution = [Resolution::Delivered, Resolution::Failed, Resolution::Retry][usize::from(how % 3)];
        let life = &mut self.lives[index];
        let told = self.bed.engine.desk.resolve(vec![life.at.id], resolution, now, true).await?;
        assert_eq!(!told.is_empty(), life.state == State::Held);
        if life.state == State::Held {
            match resolution {
                Resolution::Delivered => life.end(State::Delivered),
                Resolution::Failed => life.end(State::Failed),
                Resolution::Retry => {
                    life.state = State::Ready;
                    life.settled = None;
                    life.expires = life.expires.max(now.plus(Duration::from_secs(600)));
                }
            }
            self.wake(now).await?;
        }
        Ok(())
    }

    async fn acknowledge(&mut self, which: usize, revision: u32) -> anyhow::Result<()> {
        let Some(index) = self.pick(which) else { return Ok(()) };
        let life = &mut self.lives[index];
        let told =
            self.bed.engine.reads.acknowledge(&life.entry.account, vec![(life.at.id, revision)]).await?;
        let unread = revision == life.revision && life.read < revision;
        assert_eq!(told, usize::from(unread));
        if unread {
            life.read = revision;
        }
        Ok(())
    }

    async fn wake(&mut self, now: Timestamp) -> anyhow::Result<()> {
        self.bed.engine.ledger.wake(now, 1_000, true).await?;
        self.lives.iter_mut().for_each(|life| life.wake(now));
        Ok(())
    }

    /// What must hold after every step.
    pub(super) async fn check(&mut self) -> anyhow::Result<()> {
        let reads = &self.bed.engine.reads;
        for life in &self.lives {
            let view = reads.view(&life.entry.account, life.at.id).await?.context("not there")?;
            assert_eq!((view.status, view.attempts), (life.state, life.attempt), "{life:?}");
            assert_eq!(view.revision, life.revision, "{life:?}");
            let paid = life.state == State::Delivered && life.live();
            assert_eq!(view.charged, paid, "{life:?}");
        }
        let day = Day::of(self.bed.now(), &TimeZone::UTC);
        for customer in CUSTOMERS {
            let prepaid = quota(customer, None, Period::Prepaid, 0)?;
            assert_eq!(reads.used(&prepaid, day).await?, self.used(customer), "{customer}");
        }
        assert!(self.used(CUSTOMERS[0]) <= LIMIT + self.corrected());
        let mut waiting: HashMap<_, u64> = HashMap::new();
        for life in self.lives.iter().filter(|life| life.state.is_waiting()) {
            *waiting.entry(life.entry.account.clone()).or_default() += 1;
        }
        let told = self.bed.engine.ledger.waiting().await?;
        let told: HashMap<_, u64> = told.into_iter().map(|one| (one.account, one.messages)).collect();
        assert_eq!(told, waiting);
        Ok(())
    }

    /// Units that corrections may have added beyond the limit: what was delivered is paid for.
    fn corrected(&self) -> u64 {
        let corrected = self.lives.iter().filter(|life| life.revision > 1);
        corrected.map(Life::units).sum()
    }

    /// What must hold in the end: one unread report for each message, one event for each revision and each wait for a person.
    pub(super) async fn finish(&mut self) -> anyhow::Result<()> {
        let mut expected: Vec<_> = self.lives.iter().filter(|life| life.read < life.revision).collect();
        expected.sort_by_key(|life| life.at.id);
        let mut unread = Vec::new();
        for customer in CUSTOMERS {
            for environment in [Environment::Live, Environment::Sandbox] {
                let account = naru_shared::domain::Account { environment, ..live(customer)? };
                unread.extend(self.bed.engine.reads.reports(&account, 1_000, Duration::ZERO, LEASE).await?.0);
            }
        }
        unread.sort_by_key(|report| report.id);
        let unread: Vec<_> =
            unread.iter().map(|report| (report.id, report.revision, report.status)).collect();
        let expected: Vec<_> = expected.iter().map(|life| (life.at.id, life.revision, life.state)).collect();
        assert_eq!(unread, expected);
        self.events = self.bed.engine.outbox.claim(100_000, LEASE).await?.len();
        assert_eq!(
            self.events,
            self.lives.iter().map(|life| (life.revision + life.held) as usize).sum::<usize>()
        );
        Ok(())
    }
}
