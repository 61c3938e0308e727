//! How a message that ended without being delivered begins anew, and how what is known of a recipient goes.

use std::{sync::Arc, time::Duration};

use super::{
    page::{Earlier, End, Page},
    row::{Charge, Row},
    stops::{How, Rules},
};
use crate::{
    domain::{Again, Code, Day, Environment, Message, Report, State, Timestamp},
    ledger::{Dead, Disposition, IntakeEntry, Redriven},
};

/// The shortest time to live of a message that begins anew: workers look only now and then for what another process made
/// ready, so that what asked for a second would be over before anybody saw it.
const LEAST: Duration = Duration::from_secs(60);

/// Whether a message ended without being delivered and can be sent again.
pub(in crate::ledger) const fn is_dead(row: &Row) -> bool {
    matches!(row.state, State::Failed | State::Expired)
}

/// Whether it may have been delivered all the same.
pub(in crate::ledger) const fn in_doubt(row: &Row) -> bool {
    is_doubtful(row.possible_duplicate, row.code)
}

/// As [`in_doubt`], of what is told of a row.
pub(in crate::ledger) const fn is_doubtful(possible_duplicate: bool, code: Option<Code>) -> bool {
    possible_duplicate || matches!(code, Some(Code::Uncertain | Code::NoReport | Code::Restored))
}

/// As the operator is told of it.
pub(in crate::ledger) fn told_dead(row: Row, has_text: bool) -> Dead {
    let possible_duplicate = in_doubt(&row);
    Dead { account: row.account.clone(), view: row.view(), possible_duplicate, has_text }
}

/// Whether units must be reserved anew: what is captured is paid for already.
pub(in crate::ledger) fn is_charged_again(row: &Row) -> bool {
    row.account.environment == Environment::Live && row.charge != Charge::Captured
}

/// The row as limits see it.
pub(in crate::ledger) fn as_entry(row: &Row, message: Message, day: Day) -> IntakeEntry {
    IntakeEntry {
        account: row.account.clone(),
        route: row.route.clone(),
        lane: row.lane,
        day,
        disposition: Disposition::Ready,
        // Its row has it already, and no limit looks at it.
        class: None,
        quiet: std::time::Duration::ZERO,
        message: Arc::new(message),
    }
}

impl Page {
    /// A dead row begins anew, its units reserved on this day. What it says of itself is written into its message.
    pub(in crate::ledger) fn redrive(
        &mut self,
        row: &mut Row,
        message: &mut Message,
        rules: &Rules,
        day: Day,
        now: Timestamp,
    ) -> Redriven {
        if let Some(report) = row.clone().view().into_report() {
            self.kept.push((row.at, report));
        }
        if is_charged_again(row) {
            row.day = day;
            self.usage.charge(&row.account.customer, day, &row.channel, row.units);
        }
        if row.account.environment == Environment::Live {
            row.charge = Charge::Reserved;
        }
        if row.attempt > 0 {
            // What its backend called it names this time from now on, and not the next.
            let backend_id = row.backend_id.take();
            let (at, attempt, route) = (row.at, row.attempt, row.route.clone());
            self.earlier.push(Earlier { at, attempt, route, backend_id });
        }
        let before = message.again.unwrap_or_default();
        let number = before.number.saturating_add(1);
        row.possible_duplicate = in_doubt(row);
        let key = if row.possible_duplicate { before.key } else { number };
        message.again = Some(Again { number, key, after: row.attempt, at: now });
        let ttl = message.content.ttl.unwrap_or(row.lane.default_ttl_seconds());
        row.expires_at = now.plus(Duration::from_secs(u64::from(ttl)).max(LEAST));
        row.final_at = None;
        self.make_ready(row);
        self.joins(row);
        if self.stop_if(row, rules, How::CameBack, now) { Redriven::Stopped } else { Redriven::Ready }
    }

    /// Takes back what was certainly not taken, by the operator's hand; whether it was.
    pub(in crate::ledger) fn recall_certain(&mut self, row: &mut Row, now: Timestamp, emit: bool) -> bool {
        let certain = (row.state.is_waiting() || row.state == State::Stopped) && !row.possible_duplicate;
        if certain {
            self.end(row, &End::plain(State::Cancelled, Code::Recalled), now, emit);
        }
        certain
    }
}

/// A report of which nobody can tell any more to whom it went.
pub(in crate::ledger) fn erased(report: Report, pseudonym: &str) -> Report {
    Report { recipient: pseudonym.to_owned(), detail: report.code.sentence().to_owned(), ..report }
}

/// A recipient as it stands in a JSON document, and what is to stand there.
pub(in crate::ledger) fn in_json(recipient: &str) -> String {
    let text = serde_json::Value::from(recipient);
    format!("\"recipient\":{text}")
}

/// A customer as it stands in a JSON document.
pub(in crate::ledger) fn whose_in_json(customer: &str) -> String {
    format!("\"customer\":\"{customer}\"")
}
