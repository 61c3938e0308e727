//! Rows of the ledger as the domain's types.

use std::{collections::HashMap, str::FromStr};

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use crate::{
    domain::{Account, Code, Day, Environment, Fingerprint, Lane, Message, MessageId, State, Timestamp},
    ledger::{
        RowRef,
        book::{Charge, Known, Row, lane_of},
    },
    postgres::PgError,
};

/// The columns that [`read`] reads, in its order, of a table called `m`.
macro_rules! row_columns {
    () => {
        "m.row, m.id, m.customer, m.sandbox, m.key, m.channel, m.recipient, m.reference, m.route, m.lane, m.state, \
         m.code, m.detail, m.units, m.charge, m.day, m.attempt, m.incarnation, m.possible_duplicate, m.backend_id, \
         m.expires_at, m.accepted_at, m.send_at, m.sent_at, m.final_at, m.revision, m.wake_at"
    };
}
pub(super) use row_columns;

/// How many columns that are.
pub(super) const COLUMNS: usize = 27;

pub(super) const HOT: &str =
    concat!("SELECT ", row_columns!(), " FROM message m WHERE m.id = ANY($1) AND m.fingerprint IS NOT NULL");

pub(super) const ARCHIVED: &str = concat!("SELECT ", row_columns!(), " FROM archive m WHERE m.id = ANY($1)");

/// Bytes of ids, as they are bound.
pub(super) fn bytes(ids: &[MessageId]) -> Vec<&[u8]> {
    ids.iter().map(|id| id.as_bytes().as_slice()).collect()
}

pub(super) fn read(row: &PgRow) -> Result<Row, PgError> {
    let moment = |index: usize| -> Result<Option<Timestamp>, PgError> {
        Ok(row.try_get::<Option<i64>, _>(index)?.map(Timestamp::from_millis))
    };
    Ok(Row {
        at: RowRef { row: row.try_get(0)?, id: id(row, 1)? },
        account: account(row, 2)?,
        key: row.try_get::<Option<&str>, _>(4)?.map(|key| parse("key", key)).transpose()?,
        channel: parsed(row, 5)?,
        recipient: row.try_get(6)?,
        reference: row.try_get(7)?,
        route: parsed(row, 8)?,
        lane: lane(row, 9)?,
        state: state(row, 10)?,
        code: row
            .try_get::<Option<i16>, _>(11)?
            .map(|code| number("code", code, Code::from_u8))
            .transpose()?,
        detail: row.try_get(12)?,
        units: unsigned(row, 13)?,
        charge: number("charge", row.try_get(14)?, Charge::from_u8)?,
        day: Day::from_i32(row.try_get(15)?),
        attempt: unsigned(row, 16)?,
        incarnation: row.try_get(17)?,
        possible_duplicate: row.try_get(18)?,
        backend_id: row.try_get(19)?,
        expires_at: Timestamp::from_millis(row.try_get(20)?),
        accepted_at: Timestamp::from_millis(row.try_get(21)?),
        send_at: moment(22)?,
        sent_at: moment(23)?,
        final_at: moment(24)?,
        revision: unsigned(row, 25)?,
        wake_at: row.try_get(26)?,
        report_at: None,
    })
}

pub(super) fn read_all(rows: &[PgRow]) -> Result<Vec<Row>, PgError> {
    rows.iter().map(read).collect()
}

/// The message in a column; `None` if its content is gone or cannot be read.
pub(super) fn message(row: &PgRow, index: usize) -> Result<Option<Message>, PgError> {
    let text: Option<&str> = row.try_get(index)?;
    Ok(text.and_then(|text| serde_json::from_str(text).ok()))
}

/// Rows wherever they are, by id. A row may move while it is looked for: first the one place, then the other, then the first
/// again, and a move shows it in one of them.
pub(super) async fn find_all(
    connection: &mut PgConnection,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, Row>, PgError> {
    let mut found = HashMap::with_capacity(ids.len());
    for place in [HOT, ARCHIVED, HOT] {
        let missing: Vec<MessageId> = ids.iter().filter(|id| !found.contains_key(*id)).copied().collect();
        if missing.is_empty() {
            break;
        }
        let rows = sqlx::query(place).bind(bytes(&missing)).fetch_all(&mut *connection).await?;
        found.extend(read_all(&rows)?.into_iter().map(|row| (row.at.id, row)));
    }
    Ok(found)
}

/// Rows that have not moved to the archive, locked in the order of the ids.
pub(super) async fn lock_all(connection: &mut PgConnection, ids: &[MessageId]) -> Result<Vec<Row>, PgError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    read_all(&sqlx::query(super::settle::LOCK).bind(bytes(ids)).fetch_all(connection).await?)
}

/// What is known of an id; columns row, id, customer, sandbox, state, token, fingerprint, from `index` on.
pub(super) fn known(row: &PgRow, index: usize) -> Result<Known, PgError> {
    let fingerprint: Option<&[u8]> = row.try_get(index + 6)?;
    let fingerprint = fingerprint
        .map(|bytes| bytes.try_into().map(Fingerprint).map_err(|e| PgError::unreadable("fingerprint", e)))
        .transpose()?;
    Ok(Known {
        at: RowRef { row: row.try_get(index)?, id: id(row, index + 1)? },
        account: account(row, index + 2)?,
        state: state(row, index + 4)?,
        token: row.try_get(index + 5)?,
        fingerprint,
    })
}

pub(super) fn id(row: &PgRow, index: usize) -> Result<MessageId, PgError> {
    let bytes: &[u8] = row.try_get(index)?;
    bytes.try_into().map(MessageId::from_bytes).map_err(|error| PgError::unreadable("id", error))
}

/// Customer and environment from two columns.
pub(super) fn account(row: &PgRow, index: usize) -> Result<Account, PgError> {
    let environment = if row.try_get(index + 1)? { Environment::Sandbox } else { Environment::Live };
    Ok(Account { customer: parsed(row, index)?, environment })
}

pub(super) fn lane(row: &PgRow, index: usize) -> Result<Lane, PgError> {
    number("lane", row.try_get(index)?, lane_of)
}

pub(super) fn state(row: &PgRow, index: usize) -> Result<State, PgError> {
    number("state", row.try_get(index)?, State::from_u8)
}

fn number<T>(what: &str, value: i16, known: impl Fn(u8) -> Option<T>) -> Result<T, PgError> {
    u8::try_from(value).ok().and_then(known).ok_or_else(|| PgError::unreadable(what, value))
}

fn unsigned(row: &PgRow, index: usize) -> Result<u32, PgError> {
    let value: i32 = row.try_get(index)?;
    u32::try_from(value).map_err(|error| PgError::unreadable("number", error))
}

pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(row: &PgRow, index: usize) -> Result<T, PgError> {
    parse("name", row.try_get::<&str, _>(index)?)
}

fn parse<T: FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, PgError> {
    text.parse().map_err(|error| PgError::unreadable(what, error))
}
