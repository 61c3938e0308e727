//! How a row begins.

use super::{
    page::Page,
    row::{Charge, Row},
};
use crate::{
    domain::{Account, Code, Environment, Event, Fingerprint, HeldMessage, State, Timestamp, kinds},
    ledger::{Disposition, IntakeBatch, IntakeEntry, IntakeVerdict, RowRef},
};

/// How an entry begins.
#[derive(Debug, Clone, Copy)]
pub(in crate::ledger) struct Start {
    pub(in crate::ledger) state: State,
    pub(in crate::ledger) code: Option<Code>,
    pub(in crate::ledger) charge: Charge,
    /// When quiet hours end, if it waits for that.
    pub(super) until: Option<Timestamp>,
}

impl Start {
    /// Its message was cancelled before it came.
    pub(in crate::ledger) const CANCELLED: Self =
        Self { state: State::Cancelled, code: Some(Code::Cancelled), charge: Charge::None, until: None };

    /// Its customer's limits do not hold it.
    pub(in crate::ledger) const OVER_QUOTA: Self =
        Self { state: State::Rejected, code: Some(Code::QuotaExceeded), charge: Charge::None, until: None };

    /// Its recipient wants no messages.
    const OPTED_OUT: Self =
        Self { state: State::Rejected, code: Some(Code::OptedOut), charge: Charge::None, until: None };

    /// The same, unless its recipient opted out. What has ended stays ended, and what may have been sent is not told to have been
    /// refused.
    pub(in crate::ledger) fn unless(self, is_out: bool) -> Self {
        match self.state {
            State::Ready | State::Sending | State::Scheduled if is_out => Self::OPTED_OUT,
            _ if is_out && self.code == Some(Code::QuotaExceeded) => Self::OPTED_OUT,
            _ => self,
        }
    }

    /// As was decided, if every limit holds it.
    pub(in crate::ledger) fn of(entry: &IntakeEntry, fits: bool) -> Self {
        let (state, code) = match &entry.disposition {
            Disposition::Finish(state, code) => {
                return Self { state: *state, code: Some(*code), charge: Charge::None, until: None };
            }
            _ if !fits => return Self::OVER_QUOTA,
            Disposition::Ready => (State::Ready, None),
            Disposition::Start => (State::Sending, None),
            Disposition::Schedule | Disposition::Quiet(_) => (State::Scheduled, None),
            Disposition::Hold(code) => (State::Held, Some(*code)),
        };
        let live = entry.account.environment == Environment::Live;
        let until = if let Disposition::Quiet(until) = entry.disposition { Some(until) } else { None };
        Self { state, code, charge: if live { Charge::Reserved } else { Charge::None }, until }
    }

    /// When to look at the new row: when its time comes, or the moment after its time is over.
    pub(in crate::ledger) fn wake_at(self, send_at: Option<Timestamp>, expires_at: Timestamp) -> Option<i64> {
        let over = expires_at.as_millis() + 1;
        match self.state {
            State::Ready => Some(over),
            State::Scheduled => {
                let at = self.until.or(send_at).map_or(0, Timestamp::as_millis);
                Some(at.min(over))
            }
            _ => None,
        }
    }

    /// The whole row.
    pub(in crate::ledger) fn row(
        self,
        batch: &IntakeBatch,
        entry: &IntakeEntry,
        at: RowRef,
        report_at: Timestamp,
    ) -> Row {
        let sending = self.state == State::Sending;
        let ended = self.state.is_final();
        let message = &*entry.message;
        let expires_at = entry.expires_at();
        Row {
            at,
            account: entry.account.clone(),
            key: message.key.clone(),
            channel: message.content.channel.clone(),
            recipient: message.content.recipient.clone(),
            reference: message.content.reference.clone(),
            route: entry.route.clone(),
            lane: entry.lane,
            units: message.units.get(),
            day: entry.day,
            accepted_at: message.accepted_at,
            send_at: message.content.send_at,
            state: self.state,
            code: self.code,
            detail: None,
            charge: self.charge,
            attempt: u32::from(sending),
            incarnation: sending.then(|| batch.incarnation.as_i64()),
            possible_duplicate: self.is_doubtful(),
            backend_id: None,
            wake_at: self.wake_at(message.content.send_at, expires_at),
            expires_at,
            sent_at: sending.then_some(batch.now),
            final_at: ended.then_some(batch.now),
            revision: u32::from(ended),
            report_at: ended.then_some(report_at),
        }
    }

    /// What a copy brought back may have been sent already, whatever is decided about it.
    pub(in crate::ledger) fn is_doubtful(self) -> bool {
        self.state == State::Held
    }
}

impl Page {
    /// What a new row brings with it: a charge, a place among what waits, a report.
    pub(in crate::ledger) fn begun(
        &mut self,
        batch: &IntakeBatch,
        entry: &IntakeEntry,
        start: Start,
        at: RowRef,
    ) {
        if start.charge == Charge::Reserved {
            let message = &entry.message;
            self.usage.charge(
                &entry.account.customer,
                entry.day,
                &message.content.channel,
                message.units.get(),
            );
        }
        self.news.came(&entry.route, &entry.account);
        if start.state.is_final() {
            self.news.ended(&entry.route, &entry.account, start.state);
        }
        if start.state.is_waiting() {
            self.news.waits(&entry.route, entry.lane, &entry.account, 1);
        }
        if start.state == State::Ready {
            self.news.is_ready(&entry.route);
        }
        if start.state == State::Held && batch.emit {
            let message = &entry.message;
            let held = HeldMessage {
                id: message.id,
                route: &entry.route,
                channel: &message.content.channel,
                attempt: 0,
                code: start.code,
                detail: "",
            };
            self.event(Event::of_held(&entry.account, &held, batch.now), batch.now);
        }
        if start.state.is_final() {
            if batch.emit {
                self.reported(&start.row(batch, entry, at, self.from(batch.now)), true);
            } else {
                self.tell_report(&entry.account);
            }
        }
    }
}

/// What is known of an id, whether a message or a tombstone.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Known {
    pub(in crate::ledger) at: RowRef,
    pub(in crate::ledger) account: Account,
    pub(in crate::ledger) state: State,
    pub(in crate::ledger) token: i64,
    /// `None` in a tombstone: cancelled before it came, nothing else is known of it.
    pub(in crate::ledger) fingerprint: Option<Fingerprint>,
}

/// What an id that the ledger has already means for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Judged {
    /// It was cancelled before it came: it takes the tombstone's place.
    Tombstone,
    /// Nothing changes. A conflict is told.
    As(IntakeVerdict),
}

impl Known {
    pub(in crate::ledger) const fn is_tombstone(&self) -> bool {
        self.fingerprint.is_none()
    }

    /// An id that the ledger has already: mine, a duplicate, another content, or cancelled before it came.
    pub(in crate::ledger) fn judge(&self, batch: &IntakeBatch, index: usize) -> Judged {
        let entry = &batch.entries[index];
        let same_account = self.account == entry.account;
        if self.is_tombstone() && same_account {
            return Judged::Tombstone;
        }
        let first_here =
            || batch.entries[..index].iter().all(|earlier| earlier.message.id != entry.message.id);
        if self.token == batch.token.as_i64() && first_here() {
            return Judged::As(IntakeVerdict::Recorded(self.at, self.state));
        }
        if same_account && self.fingerprint == Some(entry.message.fingerprint) {
            return Judged::As(IntakeVerdict::Duplicate);
        }
        Judged::As(IntakeVerdict::Conflict)
    }
}

/// The event of an idempotency conflict; stable for the same id and content, however often it comes.
pub(in crate::ledger) fn conflict(entry: &IntakeEntry, now: Timestamp) -> Event {
    let message = &entry.message;
    let data = serde_json::json!({
        "customer": entry.account.customer,
        "environment": entry.account.environment,
        "id": message.id,
        "key": message.key,
        "fingerprint": message.fingerprint,
    });
    let mut event = Event::about(&message.id.to_string(), 0, kinds::CONFLICT, now, data);
    event.id = format!("{}.conflict.{}", message.id, data_encoding::HEXLOWER.encode(&message.fingerprint.0));
    event
}
