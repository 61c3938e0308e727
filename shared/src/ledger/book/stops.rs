//! What is stopped, and how it goes on.

use super::{
    begin::Start,
    page::{End, Page},
    row::Row,
};
use crate::{
    domain::{Code, MessageId, State, Timestamp},
    ledger::{IntakeEntry, StopFilter},
};

/// How a message came to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum How {
    /// It waited.
    Swept = 1,
    /// It arrived.
    Arrived = 2,
    /// An attempt was under way, or a person had it.
    CameBack = 3,
    /// Another rule let it go.
    TakenOver = 4,
}

/// What became of a message that was stopped. The first, "stopped still", is the stores' default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Fate {
    Undone = 1,
    Cancelled = 2,
    Otherwise = 3,
}

/// What is remembered of a message that is stopped.
#[derive(Debug, Clone, Copy)]
pub(in crate::ledger) struct Halt {
    pub(in crate::ledger) rule: i64,
    pub(in crate::ledger) id: MessageId,
    pub(in crate::ledger) how: How,
    /// What it was: `ready`, `scheduled` or `retrying`.
    pub(in crate::ledger) was: State,
    /// When it was to be looked at, in UTC milliseconds.
    pub(in crate::ledger) wake_at: Option<i64>,
    pub(in crate::ledger) at: Timestamp,
}

/// The rules in force, in the order of their numbers: the first that matches has the message.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Rules(pub(in crate::ledger) Vec<(i64, StopFilter)>);

impl Rules {
    /// Whose a row is.
    pub(in crate::ledger) fn of(&self, row: &Row) -> Option<i64> {
        self.0.iter().find(|(_, filter)| takes(filter, row)).map(|(number, _)| *number)
    }

    /// Whose a new message is, if it would wait or start.
    pub(in crate::ledger) fn of_new(&self, entry: &IntakeEntry, start: Start) -> Option<i64> {
        let goes = matches!(start.state, State::Ready | State::Scheduled | State::Sending);
        let matching = |filter: &StopFilter| {
            let content = &entry.message.content;
            filter.customer.as_ref().is_none_or(|customer| *customer == entry.account.customer)
                && filter.route.as_ref().is_none_or(|route| *route == entry.route)
                && filter.channel.as_ref().is_none_or(|channel| *channel == content.channel)
                && filter.lane.is_none_or(|lane| lane == entry.lane)
                && filter.reference.as_ref().is_none_or(|own| Some(own) == content.reference.as_ref())
                && filter.since.is_none_or(|since| entry.message.accepted_at >= since)
        };
        let found = self.0.iter().find(|(_, filter)| goes && matching(filter));
        found.map(|(number, _)| *number)
    }
}

fn takes(filter: &StopFilter, row: &Row) -> bool {
    filter.customer.as_ref().is_none_or(|customer| *customer == row.account.customer)
        && filter.route.as_ref().is_none_or(|route| *route == row.route)
        && filter.channel.as_ref().is_none_or(|channel| *channel == row.channel)
        && filter.lane.is_none_or(|lane| lane == row.lane)
        && filter.reference.as_ref().is_none_or(|own| Some(own) == row.reference.as_ref())
        && filter.since.is_none_or(|since| row.accepted_at >= since)
}

impl Start {
    /// Its message is stopped as it comes.
    pub(in crate::ledger) const fn stopped(self) -> Self {
        Self { state: State::Stopped, ..self }
    }

    /// What is remembered of it, of a message that would have begun so.
    pub(in crate::ledger) fn halt(self, rule: i64, entry: &IntakeEntry, now: Timestamp) -> Halt {
        let was = if self.state == State::Scheduled { State::Scheduled } else { State::Ready };
        Halt { rule, id: entry.message.id, how: How::Arrived, was, wake_at: None, at: now }
    }
}

impl Page {
    /// Stops a row that waits.
    pub(in crate::ledger) fn stop(&mut self, row: &mut Row, rule: i64, how: How, now: Timestamp) {
        self.halts.push(Halt { rule, id: row.at.id, how, was: row.state, wake_at: row.wake_at, at: now });
        self.leaves(row);
        row.state = State::Stopped;
        row.wake_at = None;
    }

    /// Stops a row that has just begun to wait (again), if a rule says so; whether it did.
    pub(in crate::ledger) fn stop_if(
        &mut self,
        row: &mut Row,
        rules: &Rules,
        how: How,
        now: Timestamp,
    ) -> bool {
        let rule = rules.of(row).filter(|_| row.state.is_waiting());
        if let Some(rule) = rule {
            self.stop(row, rule, how, now);
        }
        rule.is_some()
    }

    /// A stopped row is undone: it waits as before, with the time given back in which it was stopped, or belongs to the next
    /// rule that it matches.
    pub(in crate::ledger) fn unstop(
        &mut self,
        row: &mut Row,
        halt: &Halt,
        rules: &Rules,
        now: Timestamp,
    ) -> Fate {
        if row.state != State::Stopped {
            return Fate::Otherwise;
        }
        if let Some(rule) = rules.of(row) {
            self.halts.push(Halt { rule, how: How::TakenOver, ..*halt });
            return Fate::Undone;
        }
        let opens_at = row.send_at.map_or(row.accepted_at, |at| at.max(row.accepted_at));
        row.expires_at = row.expires_at.plus(now.since(halt.at.max(opens_at)));
        let over = row.expires_at.as_millis() + 1;
        match (halt.was, row.send_at, halt.wake_at) {
            (State::Scheduled, Some(at), _) if at > now => self.schedule(row, at),
            (State::Retrying, _, Some(at)) if at > now.as_millis() => {
                row.state = State::Retrying;
                row.wake_at = Some(at.min(over));
                self.news.due(at.min(over));
            }
            _ => self.make_ready(row),
        }
        self.joins(row);
        Fate::Undone
    }

    /// A stopped row is cancelled for good. Of which it cannot be known whether it was taken ends as that.
    pub(in crate::ledger) fn recall(&mut self, row: &mut Row, now: Timestamp, emit: bool) -> Fate {
        if row.state != State::Stopped {
            return Fate::Otherwise;
        }
        let end = if row.possible_duplicate {
            End::plain(State::Failed, Code::Uncertain)
        } else {
            End::plain(State::Cancelled, Code::Recalled)
        };
        self.end(row, &end, now, emit);
        Fate::Cancelled
    }
}
