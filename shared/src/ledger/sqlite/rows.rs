//! Rows of the ledger as the domain's types, and back.

use std::str::FromStr;

use rusqlite::{
    Connection, OptionalExtension, Row as SqlRow,
    types::{FromSqlError, Type},
};

use crate::{
    domain::{
        Account, ChannelName, Code, Content, CustomerId, Day, Environment, Fingerprint, Key, Lane, Message,
        MessageId, MessageView, RouteName, State, Timestamp, Units,
    },
    ledger::{RowRef, Work},
};

/// The columns that [`Row::read`] reads, in its order.
macro_rules! row_columns {
    () => {
        "row, id, customer, sandbox, key, channel, recipient, reference, route, lane, state, code, detail, units, \
         charge, day, attempt, incarnation, possible_duplicate, backend_id, expires_at, accepted_at, send_at, \
         sent_at, final_at, revision"
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

/// What became of a message's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    None = 0,
    Reserved = 1,
    Captured = 2,
    Released = 3,
    /// Released after its period had closed.
    Credited = 4,
}

impl Charge {
    pub(super) const fn as_u8(self) -> u8 {
        self as u8
    }

    fn from_u8(value: u8) -> Option<Self> {
        [Self::None, Self::Reserved, Self::Captured, Self::Released, Self::Credited]
            .into_iter()
            .find(|charge| charge.as_u8() == value)
    }
}

/// A row without its content.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) at: RowRef,
    pub(super) account: Account,
    pub(super) key: Option<Key>,
    pub(super) channel: ChannelName,
    pub(super) recipient: String,
    pub(super) reference: Option<String>,
    pub(super) route: RouteName,
    pub(super) lane: Lane,
    pub(super) state: State,
    pub(super) code: Option<Code>,
    pub(super) detail: Option<String>,
    pub(super) units: u32,
    pub(super) charge: Charge,
    pub(super) day: Day,
    pub(super) attempt: u32,
    pub(super) incarnation: Option<i64>,
    pub(super) possible_duplicate: bool,
    pub(super) backend_id: Option<String>,
    pub(super) expires_at: Timestamp,
    pub(super) accepted_at: Timestamp,
    pub(super) send_at: Option<Timestamp>,
    pub(super) sent_at: Option<Timestamp>,
    pub(super) final_at: Option<Timestamp>,
    pub(super) revision: u32,
}

impl Row {
    pub(super) fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let moment = |index| row.get::<_, Option<i64>>(index).map(|at| at.map(Timestamp::from_millis));
        Ok(Self {
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
        })
    }

    /// The row by its number, if it is of that message.
    pub(super) fn load(connection: &Connection, at: RowRef) -> rusqlite::Result<Option<Self>> {
        connection.prepare_cached(BY_NUMBER)?.query_row((at.row, at.id.as_bytes()), Self::read).optional()
    }

    pub(super) fn view(self) -> MessageView {
        let detail = self.detail.or_else(|| self.code.map(|code| code.sentence().to_owned()));
        MessageView {
            id: self.at.id,
            revision: self.revision,
            reference: self.reference,
            key: self.key,
            channel: self.channel,
            recipient: self.recipient,
            status: self.state,
            code: self.code,
            detail,
            units: Units::new(self.units).unwrap_or(Units::ONE),
            charged: self.charge == Charge::Captured,
            attempts: self.attempt,
            route: self.route,
            lane: self.lane,
            accepted_at: self.accepted_at,
            send_at: self.send_at,
            sent_at: self.sent_at,
            final_at: self.final_at,
        }
    }

    /// The message as far as the row knows it: without its text.
    pub(super) fn remnant(&self) -> Message {
        let content = Content {
            channel: self.channel.clone(),
            recipient: self.recipient.clone(),
            sender: None,
            subject: None,
            body: String::new(),
            attachments: Vec::new(),
            data: serde_json::Map::new(),
            reference: self.reference.clone(),
            send_at: self.send_at,
            ttl: None,
        };
        Message {
            id: self.at.id,
            key: self.key.clone(),
            fingerprint: Fingerprint::of(&content, self.lane),
            units: Units::new(self.units).unwrap_or(Units::ONE),
            accepted_at: self.accepted_at,
            traceparent: None,
            content,
        }
    }

    pub(super) fn into_work(self, message: Message) -> Work {
        Work {
            row: self.at,
            account: self.account,
            route: self.route,
            lane: self.lane,
            attempt: self.attempt,
            possible_duplicate: self.possible_duplicate,
            expires_at: self.expires_at,
            backend_id: self.backend_id,
            message: message.into(),
        }
    }
}

/// What is known of an id, whether a message or a tombstone.
pub(super) struct Known {
    pub(super) at: RowRef,
    pub(super) account: Account,
    pub(super) state: State,
    pub(super) token: i64,
    pub(super) fingerprint: Option<Fingerprint>,
}

impl Known {
    pub(super) fn load(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<Self>> {
        connection
            .prepare_cached(KNOWN)?
            .query_row([id.as_bytes()], |row| {
                Ok(Self {
                    at: RowRef { row: row.get(0)?, id },
                    account: account(row, 1)?,
                    state: state(row, 3)?,
                    token: row.get(4)?,
                    fingerprint: row.get::<_, Option<[u8; 16]>>(5)?.map(Fingerprint),
                })
            })
            .optional()
    }

    pub(super) const fn is_tombstone(&self) -> bool {
        self.fingerprint.is_none()
    }
}

/// The message that a row holds; `None` if its content is gone or cannot be read.
pub(super) fn content(connection: &Connection, row: i64) -> rusqlite::Result<Option<Message>> {
    let mut select = connection.prepare_cached("SELECT message FROM content WHERE row = ?1")?;
    let mut rows = select.query([row])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let text = found.get_ref(0)?.as_bytes()?;
    Ok(serde_json::from_slice(text).ok())
}

pub(super) const fn sandbox(environment: Environment) -> bool {
    matches!(environment, Environment::Sandbox)
}

pub(super) const fn lane_number(lane: Lane) -> u8 {
    match lane {
        Lane::Express => 0,
        Lane::Bulk => 1,
    }
}

/// Customer and environment from two columns.
pub(super) fn account(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<Account> {
    let environment = if row.get(index + 1)? { Environment::Sandbox } else { Environment::Live };
    Ok(Account { customer: parsed::<CustomerId>(row, index)?, environment })
}

pub(super) fn lane(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<Lane> {
    let number: u8 = row.get(index)?;
    known(index, Lane::ALL.into_iter().find(|lane| lane_number(*lane) == number))
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
