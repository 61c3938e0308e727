//! Rows of the ledger as the domain's types, and back.

use std::str::FromStr;

use rusqlite::{
    Connection, OptionalExtension, Row as SqlRow,
    types::{FromSqlError, Type},
};

use crate::{
    domain::{
        Account, Code, CustomerId, Day, Environment, Fingerprint, Lane, Message, MessageId, State, Timestamp,
    },
    ledger::{
        RowRef,
        book::{Charge, Known, Row, lane_of},
    },
};

/// The columns that [`read`] reads, in its order.
macro_rules! row_columns {
    () => {
        "row, id, customer, sandbox, key, channel, recipient, reference, route, lane, state, code, detail, units, \
         charge, day, attempt, incarnation, possible_duplicate, backend_id, expires_at, accepted_at, send_at, \
         sent_at, final_at, revision, wake_at"
    };
}
pub(super) use row_columns;

pub(super) const BY_NUMBER: &str = concat!(
    "SELECT ",
    row_columns!(),
    " FROM message WHERE row = ?1 AND id = ?2 AND fingerprint IS NOT NULL"
);

pub(super) const KNOWN: &str =
    "SELECT row, customer, sandbox, state, token, fingerprint FROM message WHERE id = ?1";

pub(super) fn read(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let moment = |index| row.get::<_, Option<i64>>(index).map(|at| at.map(Timestamp::from_millis));
    Ok(Row {
        at: RowRef { row: row.get(0)?, id: MessageId::from_bytes(row.get(1)?) },
        account: account(row, 2)?,
        key: parsed_or_null(row, 4)?,
        channel: parsed(row, 5)?,
        recipient: row.get(6)?,
        reference: row.get(7)?,
        route: parsed(row, 8)?,
        lane: lane(row, 9)?,
        state: state(row, 10)?,
        code: row.get::<_, Option<u8>>(11)?.map(|code| known(11, Code::from_u8(code))).transpose()?,
        detail: row.get(12)?,
        units: row.get(13)?,
        charge: known(14, Charge::from_u8(row.get(14)?))?,
        day: Day::from_i32(row.get(15)?),
        attempt: row.get(16)?,
        incarnation: row.get(17)?,
        possible_duplicate: row.get(18)?,
        backend_id: row.get(19)?,
        expires_at: Timestamp::from_millis(row.get(20)?),
        accepted_at: Timestamp::from_millis(row.get(21)?),
        send_at: moment(22)?,
        sent_at: moment(23)?,
        final_at: moment(24)?,
        revision: row.get(25)?,
        wake_at: row.get(26)?,
        report_at: None,
    })
}

/// The row by its number, if it is of that message.
pub(super) fn load(connection: &Connection, at: RowRef) -> rusqlite::Result<Option<Row>> {
    connection.prepare_cached(BY_NUMBER)?.query_row((at.row, at.id.as_bytes()), read).optional()
}

/// What is known of an id, whether a message or a tombstone.
pub(super) fn known_of(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<Known>> {
    connection
        .prepare_cached(KNOWN)?
        .query_row([id.as_bytes()], |row| {
            Ok(Known {
                at: RowRef { row: row.get(0)?, id },
                account: account(row, 1)?,
                state: state(row, 3)?,
                token: row.get(4)?,
                fingerprint: row.get::<_, Option<[u8; 16]>>(5)?.map(Fingerprint),
            })
        })
        .optional()
}

/// The message that a row holds; `None` if its content is gone or cannot be read.
pub(super) fn content(connection: &Connection, row: i64) -> rusqlite::Result<Option<Message>> {
    let mut select = connection.prepare_cached("SELECT message FROM content WHERE row = ?1")?;
    let mut rows = select.query([row])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let text = found.get_ref(0)?.as_bytes()?;
    Ok(serde_json::from_slice(text).ok())
}

/// Customer and environment from two columns.
pub(super) fn account(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<Account> {
    let environment = if row.get(index + 1)? { Environment::Sandbox } else { Environment::Live };
    Ok(Account { customer: parsed::<CustomerId>(row, index)?, environment })
}

pub(super) fn lane(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<Lane> {
    known(index, lane_of(row.get(index)?))
}

pub(super) fn state(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<State> {
    known(index, State::from_u8(row.get(index)?))
}

pub(super) fn parsed<T>(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(index)?.as_str()?;
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error)))
}

fn parsed_or_null<T>(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    if row.get_ref(index)?.data_type() == Type::Null { Ok(None) } else { parsed(row, index).map(Some) }
}

fn known<T>(index: usize, value: Option<T>) -> rusqlite::Result<T> {
    value.ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, Box::new(FromSqlError::InvalidType))
    })
}
