//! Everything about one message, and what a tombstone knows.

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::rows::{find_all, known};
use crate::{
    domain::{Account, MessageId, Timestamp},
    ledger::{AttemptNote, Dossier, ReportRead},
    postgres::PgError,
};

const NOTES: &str = "SELECT attempt, at, outcome, detail, late, began_at, doubtful, backend_id FROM attempt_note \
     WHERE message = $1 ORDER BY at, attempt";

/// Wherever it is: a row that moves meanwhile is seen in one place or the other.
pub(super) const MOMENTS: &str = "SELECT m.intake_at, m.taken_at, m.read_at, m.text, \
       (SELECT free_at FROM unread WHERE id = $1), m.class FROM ( \
       SELECT intake_at, taken_at, read_at, EXISTS (SELECT FROM content c WHERE c.row = message.row) AS text, class \
         FROM message WHERE id = $1 \
       UNION ALL SELECT intake_at, taken_at, read_at, message IS NOT NULL, class FROM archive WHERE id = $1) AS m";

const TOMBSTONE: &str = "SELECT row, id, customer, sandbox, state, token, fingerprint, accepted_at FROM message \
     WHERE id = $1 AND fingerprint IS NULL";

fn moment(row: &PgRow, index: usize) -> Result<Option<Timestamp>, PgError> {
    Ok(row.try_get::<Option<i64>, _>(index)?.map(Timestamp::from_millis))
}

pub(super) async fn dossier(
    connection: &mut PgConnection,
    id: MessageId,
) -> Result<Option<Dossier>, PgError> {
    let Some(row) = find_all(connection, &[id]).await?.remove(&id) else { return Ok(None) };
    let notes = sqlx::query(NOTES).bind(row.at.row).fetch_all(&mut *connection).await?;
    let attempts_log = notes.iter().map(note).collect::<Result<Vec<_>, _>>()?;
    let kept = sqlx::query("SELECT report FROM report_history WHERE message = $1 ORDER BY revision")
        .bind(row.at.row)
        .fetch_all(&mut *connection)
        .await?;
    let earlier_reports = kept
        .iter()
        .map(|kept| {
            let text: &str = kept.try_get(0)?;
            serde_json::from_str(text).map_err(|error| PgError::unreadable("report", error))
        })
        .collect::<Result<Vec<_>, PgError>>()?;
    let moments = sqlx::query(MOMENTS).bind(id.as_bytes().as_slice()).fetch_optional(connection).await?;
    // Its month was dropped between two questions.
    let Some(moments) = moments else { return Ok(None) };
    let (read_at, unread) = (moment(&moments, 2)?, moment(&moments, 4)?);
    let report_read = match unread {
        _ if !row.state.is_final() => ReportRead::None,
        Some(from) => ReportRead::Unread { from, earlier: read_at },
        None => ReportRead::Read { at: read_at },
    };
    Ok(Some(Dossier {
        class: moments.try_get(5)?,
        taken_in_at: moment(&moments, 0)?,
        taken_at: moment(&moments, 1)?,
        report_read,
        text_kept: moments.try_get(3)?,
        backend_id: row.backend_id.clone(),
        possible_duplicate: row.possible_duplicate,
        expires_at: row.expires_at,
        wake_at: row.wake_at.map(Timestamp::from_millis),
        account: row.account.clone(),
        attempts_log,
        earlier_reports,
        view: row.view(),
    }))
}

fn note(note: &PgRow) -> Result<AttemptNote, PgError> {
    Ok(AttemptNote {
        attempt: u32::try_from(note.try_get::<i32, _>(0)?).unwrap_or(0),
        at: Timestamp::from_millis(note.try_get(1)?),
        outcome: note.try_get(2)?,
        detail: note.try_get(3)?,
        late: note.try_get(4)?,
        began_at: moment(note, 5)?,
        possible_duplicate: note.try_get(6)?,
        backend_id: note.try_get(7)?,
    })
}

pub(super) async fn tombstone(
    connection: &mut PgConnection,
    id: MessageId,
) -> Result<Option<(Account, Timestamp)>, PgError> {
    let found = sqlx::query(TOMBSTONE).bind(id.as_bytes().as_slice()).fetch_optional(connection).await?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some((known(&found, 0)?.account, Timestamp::from_millis(found.try_get(7)?))))
}
