//! Everything about one message, and what a tombstone knows.

use rusqlite::{Connection, OptionalExtension};

use super::{
    change::{by_id, unreadable},
    rows::known_of,
};
use crate::{
    domain::{Account, MessageId, Report, Timestamp},
    ledger::{AttemptNote, Dossier, ReportRead, book::Row},
};

const NOTES: &str = "SELECT attempt, at, outcome, detail, late, began_at, doubtful, backend_id FROM attempt_note \
     WHERE message = ?1 ORDER BY at, attempt";

const MOMENTS: &str = "SELECT intake_at, taken_at, read_at, report_at, EXISTS (SELECT 1 FROM content WHERE content.row = message.row), class \
     FROM message WHERE row = ?1";

pub(super) fn dossier(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<Dossier>> {
    let Some(row) = by_id(connection, id)? else { return Ok(None) };
    let moment = |at: Option<i64>| at.map(Timestamp::from_millis);
    let attempts_log = connection
        .prepare_cached(NOTES)?
        .query_map([row.at.row], |note| {
            Ok(AttemptNote {
                attempt: note.get(0)?,
                at: Timestamp::from_millis(note.get(1)?),
                outcome: note.get(2)?,
                detail: note.get(3)?,
                late: note.get(4)?,
                began_at: moment(note.get(5)?),
                possible_duplicate: note.get(6)?,
                backend_id: note.get(7)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let earlier_reports = connection
        .prepare_cached("SELECT report FROM report_history WHERE message = ?1 ORDER BY revision")?
        .query_map([row.at.row], |kept| {
            serde_json::from_str::<Report>(kept.get_ref(0)?.as_str()?).map_err(unreadable)
        })?
        .collect::<rusqlite::Result<_>>()?;
    connection
        .prepare_cached(MOMENTS)?
        .query_row([row.at.row], |found| {
            let (read_at, report_at) = (moment(found.get(2)?), moment(found.get(3)?));
            Ok(Dossier {
                class: found.get(5)?,
                taken_in_at: moment(found.get(0)?),
                taken_at: moment(found.get(1)?),
                report_read: report_read(&row, read_at, report_at),
                text_kept: found.get(4)?,
                backend_id: row.backend_id.clone(),
                possible_duplicate: row.possible_duplicate,
                expires_at: row.expires_at,
                wake_at: row.wake_at.map(Timestamp::from_millis),
                account: row.account.clone(),
                attempts_log,
                earlier_reports,
                view: row.clone().view(),
            })
        })
        .optional()
}

const fn report_read(row: &Row, read_at: Option<Timestamp>, unread: Option<Timestamp>) -> ReportRead {
    match unread {
        _ if !row.state.is_final() => ReportRead::None,
        Some(from) => ReportRead::Unread { from, earlier: read_at },
        None => ReportRead::Read { at: read_at },
    }
}

pub(super) fn tombstone(
    connection: &Connection,
    id: MessageId,
) -> rusqlite::Result<Option<(Account, Timestamp)>> {
    let Some(known) = known_of(connection, id)?.filter(|known| known.is_tombstone()) else { return Ok(None) };
    let at = connection
        .prepare_cached("SELECT accepted_at FROM message WHERE row = ?1")?
        .query_row([known.at.row], |row| row.get(0))?;
    Ok(Some((known.account, Timestamp::from_millis(at))))
}
