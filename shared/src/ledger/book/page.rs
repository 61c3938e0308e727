//! One transaction's page of the book: the steps that every way to an end shares, and what is written beside the rows.

use std::borrow::Cow;

use super::{
    news::News,
    row::{BACKEND_ID, DETAIL, Row, cut, own_words},
    stops::Halt,
    usage::UsageChanges,
};
use crate::{
    domain::{Account, ChargeEffect, Code, Environment, Event, Next, Report, RouteName, State, Timestamp},
    ledger::RowRef,
};

/// What an attempt came to, as it is remembered.
#[derive(Debug)]
pub(in crate::ledger) struct Note {
    pub(in crate::ledger) at: RowRef,
    pub(in crate::ledger) attempt: u32,
    pub(in crate::ledger) late: bool,
    pub(in crate::ledger) outcome: Cow<'static, str>,
    pub(in crate::ledger) when: Timestamp,
    pub(in crate::ledger) detail: String,
    /// When it began, if it was the current one.
    pub(in crate::ledger) began: Option<Timestamp>,
    /// It was labelled as a possible duplicate.
    pub(in crate::ledger) doubtful: bool,
    /// What the backend called the message in its answer.
    pub(in crate::ledger) backend_id: Option<String>,
}

/// A time that a message was sent before it was sent again.
#[derive(Debug)]
pub(in crate::ledger) struct Earlier {
    pub(in crate::ledger) at: RowRef,
    /// Its last attempt.
    pub(in crate::ledger) attempt: u32,
    /// Over which route.
    pub(in crate::ledger) route: RouteName,
    /// What the backend called it.
    pub(in crate::ledger) backend_id: Option<String>,
}

/// What a transaction gathers while it changes rows. Usage is written last, sorted by customer.
#[derive(Debug)]
pub(in crate::ledger) struct Page {
    /// The ledger's own clock: for leases, and for what must not lie in a lease's future.
    pub(in crate::ledger) clock: Timestamp,
    pub(in crate::ledger) usage: UsageChanges,
    pub(in crate::ledger) news: News,
    /// The same word about the same attempt is kept once, so that a backend that repeats itself fills nothing.
    pub(in crate::ledger) notes: Vec<Note>,
    /// Reports that a later revision replaces.
    pub(in crate::ledger) kept: Vec<(RowRef, Report)>,
    /// Of what is sent again, how it was sent before.
    pub(in crate::ledger) earlier: Vec<Earlier>,
    /// Messages that are stopped.
    pub(in crate::ledger) halts: Vec<Halt>,
    /// Events to publish, and from when.
    pub(in crate::ledger) events: Vec<(Timestamp, Event)>,
    last_report: Option<Account>,
}

/// An end, as it is written.
pub(in crate::ledger) struct End<'a> {
    pub(in crate::ledger) state: State,
    pub(in crate::ledger) code: Code,
    pub(in crate::ledger) detail: &'a str,
    pub(in crate::ledger) backend_id: Option<&'a str>,
    /// Who settled it, if it was the current attempt's own settlement.
    pub(in crate::ledger) by: Option<i64>,
    /// What becomes of its units.
    pub(in crate::ledger) charge: ChargeEffect,
}

impl End<'_> {
    /// An end without words of its own.
    pub(in crate::ledger) const fn plain(state: State, code: Code) -> Self {
        Self { state, code, detail: "", backend_id: None, by: None, charge: code.charge() }
    }

    /// The end of a row of which no report came, paid for or not.
    pub(in crate::ledger) const fn missed(captured: bool) -> Self {
        let charge = if captured { ChargeEffect::Captured } else { ChargeEffect::Released };
        Self { charge, ..Self::plain(State::Expired, Code::NoReport) }
    }

    /// The end of a row whose time ran out.
    pub(in crate::ledger) fn out_of_time(possible_duplicate: bool) -> Self {
        match Next::out_of_time(possible_duplicate) {
            Next::Final { state, code, .. } => Self::plain(state, code),
            _ => Self::plain(State::Expired, Code::TtlExpired),
        }
    }
}

impl Page {
    pub(in crate::ledger) fn new(clock: Timestamp) -> Self {
        Self {
            clock,
            usage: UsageChanges::default(),
            news: News::default(),
            notes: Vec::new(),
            kept: Vec::new(),
            earlier: Vec::new(),
            halts: Vec::new(),
            events: Vec::new(),
            last_report: None,
        }
    }

    /// From when what happened `now` may be handed out: never later than by the clock that leases are read by.
    pub(in crate::ledger) fn from(&self, now: Timestamp) -> Timestamp {
        now.min(self.clock)
    }

    /// Ends a row, or ends it anew: charge, report, event.
    pub(in crate::ledger) fn end(&mut self, row: &mut Row, end: &End<'_>, now: Timestamp, emit: bool) {
        if row.state.is_final()
            && let Some(report) = row.clone().view().into_report()
        {
            self.kept.push((row.at, report));
        }
        self.leaves(row);
        row.charge = self.usage.end(row, end.charge, now);
        row.state = end.state;
        row.code = Some(end.code);
        row.detail = own_words(end.code, end.detail).map(str::to_owned);
        row.backend_id = end.backend_id.map(|id| cut(id, BACKEND_ID).to_owned()).or(row.backend_id.take());
        row.incarnation = end.by;
        row.wake_at = None;
        row.final_at = Some(now);
        row.revision = row.revision.saturating_add(1);
        row.report_at = Some(self.from(now));
        self.news.ended(&row.route, &row.account, row.state);
        self.reported(row, emit);
    }

    /// A report came to be: tells who waits for it, and writes its event if one is wanted.
    pub(in crate::ledger) fn reported(&mut self, row: &Row, emit: bool) {
        if emit && let Some(report) = row.clone().view().into_report() {
            self.event(Event::of_report(&row.account, &report), report.final_at);
        }
        self.tell_report(&row.account);
    }

    /// Somebody may wait for a report of this account.
    pub(in crate::ledger) fn tell_report(&mut self, account: &Account) {
        if !self.has_told(account.customer.as_str(), account.environment) {
            self.news.reports.insert(account.clone());
            self.last_report = Some(account.clone());
        }
    }

    /// Whether the last report told of was of this account: rows of one account come together.
    pub(in crate::ledger) fn has_told(&self, customer: &str, environment: Environment) -> bool {
        let same = |last: &Account| last.environment == environment && last.customer.as_str() == customer;
        self.last_report.as_ref().is_some_and(same)
    }

    /// Writes an event to publish.
    pub(in crate::ledger) fn event(&mut self, event: Event, now: Timestamp) {
        self.events.push((self.from(now), event));
        self.news.events = true;
    }

    /// Makes a row ready; it expires the moment after `expires_at`.
    pub(in crate::ledger) fn make_ready(&mut self, row: &mut Row) {
        row.state = State::Ready;
        let over = row.expires_at.as_millis() + 1;
        row.wake_at = Some(over);
        self.news.due(over);
        row.incarnation = None;
        row.code = None;
        row.detail = None;
        self.news.is_ready(&row.route);
    }

    /// Makes a row wait for a moment ahead.
    pub(in crate::ledger) fn schedule(&mut self, row: &mut Row, at: Timestamp) {
        row.state = State::Scheduled;
        let look = at.as_millis().min(row.expires_at.as_millis() + 1);
        row.wake_at = Some(look);
        self.news.due(look);
        row.incarnation = None;
        row.code = None;
        row.detail = None;
    }

    /// If a row waited, it does not any more.
    pub(in crate::ledger) fn leaves(&mut self, row: &Row) {
        if row.state.is_waiting() {
            self.news.waits(&row.route, row.lane, &row.account, -1);
        }
    }

    /// A row begins to wait.
    pub(in crate::ledger) fn joins(&mut self, row: &Row) {
        self.news.waits(&row.route, row.lane, &row.account, 1);
    }

    /// Remembers what an attempt came to.
    pub(super) fn note(&mut self, row: &Row, attempt: u32, next: &Next, late: bool, when: Timestamp) {
        let (outcome, detail) = match next {
            Next::Final { code, detail, .. } => (code.as_str(), detail.as_str()),
            Next::Sent { .. } => ("sent", ""),
            Next::Retry { possible_duplicate: true, detail, .. } => ("uncertain", detail.as_str()),
            Next::Retry { possible_duplicate: false, detail, .. } => ("not-taken", detail.as_str()),
            Next::Held { detail } => ("held", detail.as_str()),
            Next::Missed { .. } => (Code::NoReport.as_str(), ""),
        };
        let detail = cut(detail, DETAIL).to_owned();
        let backend_id = match next {
            Next::Final { backend_id, .. } | Next::Sent { backend_id, .. } => backend_id.as_deref(),
            Next::Retry { .. } | Next::Held { .. } | Next::Missed { .. } => None,
        };
        self.notes.push(Note {
            at: row.at,
            attempt,
            late,
            outcome: outcome.into(),
            when,
            detail,
            began: row.sent_at.filter(|_| !late),
            doubtful: !late && row.possible_duplicate,
            backend_id: backend_id.map(|id| cut(id, BACKEND_ID).to_owned()),
        });
    }
}
