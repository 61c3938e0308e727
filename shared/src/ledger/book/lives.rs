//! What happens to a row between its beginning and its end.

use super::{
    page::{End, Note, Page},
    row::{BACKEND_ID, DETAIL, Row, cut},
};
use crate::{
    domain::{Code, Event, HeldMessage, IncarnationId, Message, Next, RouteName, State, Timestamp},
    ledger::{Cancelled, Quiet, Resolution, Settled, Settlement},
};

/// What became of a row that was looked at because its time had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Woke {
    Ready,
    Expired,
}

impl Page {
    /// A settlement: what it did, and whether the row itself changed.
    pub(in crate::ledger) fn settle(
        &mut self,
        row: &mut Row,
        settlement: &Settlement,
        now: Timestamp,
        emit: bool,
    ) -> (Settled, bool) {
        let mine = row.attempt == settlement.attempt;
        if mine && matches!(row.state, State::Sending | State::Sent) {
            self.apply(row, settlement, now, emit);
            return (Settled::Applied, true);
        }
        // A row that this attempt's own settlement brought where it is keeps its incarnation.
        if mine && row.incarnation.is_some() && already(row, &settlement.next) {
            return (Settled::Applied, false);
        }
        self.late(row, settlement, now, emit)
    }

    /// The settlement of the current attempt.
    fn apply(&mut self, row: &mut Row, settlement: &Settlement, now: Timestamp, emit: bool) {
        let next = &settlement.next;
        let clean = settlement.attempt == 1
            && matches!(next, Next::Final { .. } | Next::Sent { .. } | Next::Missed { .. });
        if !clean {
            self.note(row, settlement.attempt, next, false, now);
        }
        match next {
            Next::Final { state, code, detail, backend_id } => {
                let backend_id = backend_id.as_deref();
                let end = End { by: row.incarnation, detail, backend_id, ..End::plain(*state, *code) };
                self.end(row, &end, now, emit);
            }
            Next::Missed { captured } => {
                let end = End { by: row.incarnation, ..End::missed(*captured) };
                self.end(row, &end, now, emit);
            }
            Next::Sent { backend_id, look_at } => {
                row.state = State::Sent;
                row.wake_at = Some(look_at.as_millis());
                self.news.due(look_at.as_millis());
                if let Some(id) = backend_id {
                    row.backend_id = Some(cut(id, BACKEND_ID).to_owned());
                }
            }
            Next::Retry { at, possible_duplicate, detail } => {
                let wake_at = at.as_millis().min(row.expires_at.as_millis() + 1);
                row.wake_at = Some(wake_at);
                self.news.due(wake_at);
                row.possible_duplicate |= *possible_duplicate;
                waits(row, State::Retrying, None, detail);
                self.joins(row);
            }
            Next::Held { detail } => {
                row.wake_at = None;
                row.possible_duplicate = true;
                waits(row, State::Held, Some(Code::Uncertain), detail);
                if emit {
                    self.event(held(row, now), now);
                }
            }
        }
    }

    /// A word about an attempt after the message has moved on. Only `delivered` changes anything, and it never
    /// interrupts a newer attempt: that one goes on, and its own outcome comes late in its turn. Where it is only known that no
    /// report of an attempt came, a report of that attempt says more, whatever it says.
    fn late(
        &mut self,
        row: &mut Row,
        settlement: &Settlement,
        now: Timestamp,
        emit: bool,
    ) -> (Settled, bool) {
        self.note(row, settlement.attempt, &settlement.next, true, now);
        let Next::Final { state, code, detail, backend_id } = &settlement.next else {
            return (Settled::Evidence, false);
        };
        let mine = row.attempt == settlement.attempt;
        let missed = mine && row.state == State::Expired && row.code == Some(Code::NoReport);
        let news = match state {
            State::Delivered => row.state != State::Delivered,
            State::Failed => missed && *code == Code::BackendRefused,
            _ => false,
        };
        if !news {
            return (Settled::Evidence, false);
        }
        // What the backend calls the newest attempt is not forgotten for what it called an older one.
        let backend_id = backend_id.as_deref().filter(|_| mine || row.backend_id.is_none());
        let end = End { detail, backend_id, ..End::plain(*state, *code) };
        self.end(row, &end, now, emit);
        (Settled::Corrected, true)
    }

    /// A ready row begins its next attempt.
    pub(in crate::ledger) fn begin_attempt(&mut self, row: &mut Row, by: IncarnationId, now: Timestamp) {
        self.leaves(row);
        row.state = State::Sending;
        row.attempt = row.attempt.saturating_add(1);
        row.incarnation = Some(by.as_i64());
        row.sent_at = Some(now);
        row.wake_at = None;
    }

    /// A row whose time had come: ready, or over.
    pub(in crate::ledger) fn wake(&mut self, row: &mut Row, now: Timestamp, emit: bool) -> Woke {
        if now > row.expires_at {
            self.end(row, &End::out_of_time(row.possible_duplicate), now, emit);
            return Woke::Expired;
        }
        self.make_ready(row);
        Woke::Ready
    }

    /// A row whose attempt was taken and never begun; whether it changed.
    pub(in crate::ledger) fn give_back(&mut self, row: &mut Row, attempt: u32, is_out: bool) -> bool {
        if row.state != State::Sending || row.attempt != attempt {
            return false;
        }
        row.attempt = row.attempt.saturating_sub(1);
        if row.attempt == 0 {
            row.sent_at = None;
        }
        if is_out {
            // It is ended when it is looked at, which is at once.
            self.retries_at_once(row);
        } else {
            self.make_ready(row);
        }
        self.joins(row);
        true
    }

    /// A row whose recipient opted out ends; whether it may have been sent already, which is said.
    pub(in crate::ledger) fn opted_out(&mut self, row: &mut Row, now: Timestamp, emit: bool) -> bool {
        let doubtful = row.possible_duplicate;
        let end = if doubtful {
            let detail = "the recipient opted out; whether an earlier attempt was taken cannot be known";
            End { detail, ..End::plain(State::Failed, Code::Uncertain) }
        } else {
            End::plain(State::Rejected, Code::OptedOut)
        };
        self.end(row, &end, now, emit);
        doubtful
    }

    /// A row that is to be looked at before anything begins.
    fn retries_at_once(&mut self, row: &mut Row) {
        waits(row, State::Retrying, None, "");
        row.detail = None;
        row.incarnation = None;
        row.wake_at = Some(self.clock.as_millis());
        self.news.due(self.clock.as_millis());
    }

    /// A ready row that would begin in quiet hours waits until they end, and the time until then does not count. Whether it does.
    pub(in crate::ledger) fn hush(
        &mut self,
        row: &mut Row,
        message: Option<&Message>,
        quiet: &Quiet,
        now: Timestamp,
    ) -> bool {
        let Some(rules) = quiet.get(row.account.customer.as_str()) else { return false };
        let Some(until) = rules.until(&row.channel, row.lane, now) else { return false };
        if let Some(message) = message {
            let ttl = message.time_to_live(row.lane);
            let quiet = rules.within(&row.channel, row.lane, message.opens_at(), ttl);
            row.expires_at = row.expires_at.max(message.expires_at(row.lane).plus(quiet));
        }
        self.schedule(row, until);
        true
    }

    /// A ready row goes on to another route.
    pub(in crate::ledger) fn reroute(&mut self, row: &mut Row, to: &RouteName, now: Timestamp) {
        self.leaves(row);
        let detail = format!("from {} to {to}", row.route);
        let outcome = format!("rerouted to {to}").into();
        self.notes.push(Note {
            at: row.at,
            attempt: row.attempt,
            late: false,
            outcome,
            when: now,
            detail,
            began: None,
            doubtful: false,
            backend_id: None,
        });
        row.route = to.clone();
        self.joins(row);
        self.news.is_ready(to);
    }

    /// Cancels what was certainly not taken; whether the row changed.
    pub(in crate::ledger) fn cancel(
        &mut self,
        mut row: Row,
        now: Timestamp,
        emit: bool,
    ) -> (Cancelled, Option<Row>) {
        match row.state {
            State::Ready | State::Scheduled | State::Retrying | State::Stopped if !row.possible_duplicate => {
                self.end(&mut row, &End::plain(State::Cancelled, Code::Cancelled), now, emit);
                (Cancelled::Done(row.clone().boxed()), Some(row))
            }
            State::Cancelled => (Cancelled::Done(row.boxed()), None),
            _ => (Cancelled::TooLate(row.boxed()), None),
        }
    }

    /// A person's decision about a held row. That it waits again is told by the engine: it may count elsewhere.
    pub(in crate::ledger) fn resolve(
        &mut self,
        row: &mut Row,
        resolution: Resolution,
        now: Timestamp,
        emit: bool,
    ) {
        match resolution {
            Resolution::Delivered => self.end(row, &End::plain(State::Delivered, Code::Ok), now, emit),
            Resolution::Failed => self.end(row, &End::plain(State::Failed, Code::Uncertain), now, emit),
            Resolution::Retry => {
                row.possible_duplicate = true;
                // A person asks for another attempt: the wait for that decision does not use up its time.
                let ttl = std::time::Duration::from_secs(u64::from(row.lane.default_ttl_seconds()));
                row.expires_at = row.expires_at.max(now.plus(ttl));
                // What a copy brought back may not have been due yet: it still is not sent before its time.
                match row.send_at.filter(|at| *at > now) {
                    Some(at) => self.schedule(row, at),
                    None => self.make_ready(row),
                }
            }
        }
    }
}

fn held(row: &Row, now: Timestamp) -> Event {
    let held = HeldMessage {
        id: row.at.id,
        route: &row.route,
        channel: &row.channel,
        attempt: row.attempt,
        code: row.code,
        detail: row.detail.as_deref().unwrap_or_default(),
    };
    Event::of_held(&row.account, &held, now)
}

fn waits(row: &mut Row, state: State, code: Option<Code>, detail: &str) {
    row.state = state;
    row.code = code;
    row.detail = Some(cut(detail, DETAIL).to_owned());
}

/// Whether a settlement is in force already: its answer was lost, and it came again.
fn already(row: &Row, next: &Next) -> bool {
    match next {
        Next::Final { state, code, .. } => row.state == *state && row.code == Some(*code),
        // What would have been tried again may have been stopped.
        Next::Retry { .. } => matches!(row.state, State::Retrying | State::Stopped),
        Next::Held { .. } => row.state == State::Held,
        Next::Sent { .. } => row.state == State::Sent,
        Next::Missed { .. } => row.state == State::Expired && row.code == Some(Code::NoReport),
    }
}
