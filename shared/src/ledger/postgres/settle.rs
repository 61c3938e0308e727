//! Settle: outcomes of attempts, fenced by the attempt's number.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use super::{
    archive,
    rows::{account, bytes, id, read_all, row_columns},
    stops,
    write::{self, sorted},
};
use crate::{
    domain::{Code, MessageId, Next, State, Timestamp},
    ledger::{
        Settled, Settlement,
        book::{BACKEND_ID, How, News, Page, Row, cut, own_words},
    },
    postgres::PgError,
};

/// A group of settlements.
pub(super) struct Outcomes<'a> {
    pub(super) batch: &'a [Settlement],
    pub(super) now: Timestamp,
    pub(super) emit: bool,
    pub(super) clock: Timestamp,
}

/// The way that nearly all go: the first attempt is the current one and says `delivered`. Nothing of the row is read; a
/// reserved charge is captured, which changes no usage. (`+ 0`: rows are found by their ids, and by no index of a state.)
pub(super) const DELIVERED: &str = "WITH s AS ( \
       SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[]) AS s (id, row, detail, backend_id)), \
     done AS (UPDATE message m SET state = 10, code = 0, detail = s.detail, \
                backend_id = coalesce(s.backend_id, m.backend_id), \
                charge = CASE m.charge WHEN 1 THEN 2 ELSE m.charge END, final_at = $5, revision = m.revision + 1, \
                wake_at = NULL \
              FROM s WHERE m.id = s.id AND m.row = s.row AND m.attempt = 1 AND m.state + 0 IN (3, 7) \
              RETURNING m.id, m.customer, m.sandbox, m.revision), \
     told AS (INSERT INTO unread (id, customer, sandbox, revision, free_at) \
              SELECT id, customer, sandbox, revision, $6 FROM done \
              ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, free_at = excluded.free_at) \
     SELECT id, customer, sandbox FROM done";

/// As [`DELIVERED`], for `sent`.
pub(super) const SENT: &str = "UPDATE message m \
     SET state = 7, wake_at = s.wake_at, backend_id = coalesce(s.backend_id, m.backend_id) \
     FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[]) AS s (id, row, wake_at, backend_id) \
     WHERE m.id = s.id AND m.row = s.row AND m.attempt = 1 AND m.state + 0 IN (3, 7) RETURNING m.id";

/// Whether a settlement may be in force without a look at its row.
pub(super) fn is_plain(settlement: &Settlement, emit: bool) -> bool {
    settlement.attempt == 1
        && match &settlement.next {
            Next::Final { state: State::Delivered, code: Code::Ok, .. } => !emit,
            Next::Sent { .. } => true,
            _ => false,
        }
}

/// Settles in one statement those that say `delivered` plainly; what it did, and whom to tell. One that is not named must be
/// looked at. Each message comes once.
pub(super) async fn deliver(
    connection: &mut PgConnection,
    outcomes: &Outcomes<'_>,
    plain: &[usize],
) -> Result<(HashSet<MessageId>, News), PgError> {
    let mut page = Page::new(outcomes.clock);
    let mut done = HashSet::with_capacity(plain.len());
    let said: Vec<_> = plain
        .iter()
        .filter_map(|index| match &outcomes.batch[*index] {
            Settlement { row, next: Next::Final { detail, backend_id, .. }, .. } => {
                Some((row, own_words(Code::Ok, detail).map(write::without_nul), kept(backend_id.as_deref())))
            }
            _ => None,
        })
        .collect();
    if said.is_empty() {
        return Ok((done, page.news));
    }
    let rows = sqlx::query(DELIVERED)
        .bind(said.iter().map(|(row, ..)| row.id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(said.iter().map(|(row, ..)| row.row).collect::<Vec<_>>())
        .bind(said.iter().map(|(_, detail, _)| detail.as_deref()).collect::<Vec<_>>())
        .bind(said.iter().map(|(.., backend_id)| backend_id.as_deref()).collect::<Vec<_>>())
        .bind(outcomes.now.as_millis())
        .bind(page.from(outcomes.now).as_millis())
        .fetch_all(connection)
        .await?;
    for row in &rows {
        done.insert(id(row, 0)?);
        page.tell_report(&account(row, 1)?);
    }
    Ok((done, page.news))
}

fn kept(backend_id: Option<&str>) -> Option<String> {
    backend_id.map(|id| write::without_nul(cut(id, BACKEND_ID)))
}

/// As [`deliver`], for those that say `sent`.
pub(super) async fn send(
    connection: &mut PgConnection,
    outcomes: &Outcomes<'_>,
    plain: &[usize],
) -> Result<(HashSet<MessageId>, News), PgError> {
    let mut page = Page::new(outcomes.clock);
    let said: Vec<_> = plain
        .iter()
        .filter_map(|index| match &outcomes.batch[*index] {
            Settlement { row, next: Next::Sent { backend_id, look_at }, .. } => {
                Some((row, look_at.as_millis(), kept(backend_id.as_deref())))
            }
            _ => None,
        })
        .collect();
    if said.is_empty() {
        return Ok((HashSet::new(), page.news));
    }
    let rows = sqlx::query(SENT)
        .bind(said.iter().map(|(row, ..)| row.id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(said.iter().map(|(row, ..)| row.row).collect::<Vec<_>>())
        .bind(said.iter().map(|(_, look_at, _)| *look_at).collect::<Vec<_>>())
        .bind(said.iter().map(|(.., backend_id)| backend_id.as_deref()).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    said.iter().for_each(|(_, look_at, _)| page.news.due(*look_at));
    Ok((rows.iter().map(|row| id(row, 0)).collect::<Result<_, _>>()?, page.news))
}

/// Rows of a group, locked in the order of their ids, and which of them lie in the archive.
pub(super) struct Loaded {
    pub(super) rows: HashMap<MessageId, Row>,
    pub(super) archived: HashSet<MessageId>,
}

pub(super) async fn load(connection: &mut PgConnection, ids: &[MessageId]) -> Result<Loaded, PgError> {
    let mut loaded = Loaded { rows: HashMap::with_capacity(ids.len()), archived: HashSet::new() };
    // A row that is being moved is waited for, and then looked for where it went.
    for hot in [true, false, true] {
        let missing: Vec<MessageId> =
            ids.iter().filter(|id| !loaded.rows.contains_key(*id)).copied().collect();
        if missing.is_empty() {
            break;
        }
        let query = if hot { LOCK } else { archive::LOCK };
        let found = sqlx::query(query).bind(bytes(&missing)).fetch_all(&mut *connection).await?;
        for row in read_all(&found)? {
            if !hot {
                loaded.archived.insert(row.at.id);
            }
            loaded.rows.insert(row.at.id, row);
        }
    }
    Ok(loaded)
}

/// Rows by id, locked in the order of the ids.
pub(super) const LOCK: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message m WHERE m.id = ANY($1) AND m.fingerprint IS NOT NULL ORDER BY m.id FOR UPDATE"
);

/// Settles whatever it is, row by row in memory, and writes in sets.
pub(super) async fn settle(
    connection: &mut PgConnection,
    outcomes: &Outcomes<'_>,
    which: &[usize],
) -> Result<(Vec<Settled>, News), PgError> {
    let ids = sorted(which.iter().map(|index| outcomes.batch[*index].row));
    let Loaded { mut rows, archived } = load(connection, &ids).await?;
    let mut page = Page::new(outcomes.clock);
    let mut changed: HashSet<MessageId> = HashSet::new();
    let mut settled = Vec::with_capacity(which.len());
    for settlement in which.iter().map(|index| &outcomes.batch[*index]) {
        let row = rows.get_mut(&settlement.row.id).filter(|row| row.at == settlement.row);
        let Some(row) = row else {
            settled.push(Settled::Unknown);
            continue;
        };
        let (what, is_changed) = page.settle(row, settlement, outcomes.now, outcomes.emit);
        if is_changed {
            changed.insert(row.at.id);
        }
        settled.push(what);
    }
    let back: Vec<MessageId> =
        ids.iter().filter(|id| changed.contains(id) && archived.contains(id)).copied().collect();
    archive::bring_back(connection, &back).await?;
    let mut saved: Vec<Row> =
        ids.iter().filter(|id| changed.contains(id)).filter_map(|id| rows.remove(id)).collect();
    // What would be tried again is not, if it was stopped meanwhile.
    stops::stop_some(connection, &mut page, &mut saved, How::CameBack, outcomes.now).await?;
    write::save(connection, &saved).await?;
    let news = write::page(connection, page).await?;
    Ok((settled, news))
}
