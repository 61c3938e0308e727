//! Rows of messages, by key: what is there already stays as it is.

use std::{collections::BTreeMap, ops::Range};

use serde_json::Value;

use super::{
    MessageTable, TableError,
    sql::{Dialect, Statement, literal},
};
use crate::{
    domain::{Clock, SystemClock, TableKey, TimeZone, Timestamp},
    ledger::Work,
};

/// A row to insert.
#[derive(Debug, Clone)]
pub struct Draft {
    id: String,
    ledger_row: i64,
    attempt: u32,
    values: Vec<Option<String>>,
    fixed: BTreeMap<String, String>,
}

/// How often in one call a number that is another row's is passed over.
const PASSED: usize = 32;

/// How text becomes what a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    Time,
}

impl MessageTable {
    /// The row of a message, with its files as JSON if it has any.
    ///
    /// # Errors
    /// If the table has no column for something that the message would not be the same without.
    pub fn draft(&self, work: &Work, files: Option<String>) -> Result<Draft, &'static str> {
        let content = &work.message.content;
        if files.is_some() && self.mapping.columns.attachments.is_none() {
            return Err("the table has no column for attachments");
        }
        if !content.data.is_empty() && self.mapping.columns.data.is_none() {
            return Err("the table has no column for data");
        }
        let mut fixed = self.mapping.fixed.clone();
        if let Some(more) = self.mapping.channel.get(content.channel.as_str()) {
            fixed.extend(more.clone());
        }
        let values = self.values(work, files);
        Ok(Draft { id: self.key_of(work), ledger_row: work.row.row, attempt: work.attempt, values, fixed })
    }

    /// The id as the table beside keeps it.
    pub(super) fn key_of(&self, work: &Work) -> String {
        work.message.backend_key()
    }

    /// The columns that are written, in one order for all messages.
    fn written(&self) -> Vec<(&str, Holds)> {
        let columns = &self.mapping.columns;
        let may = [
            (&columns.id, Holds::Text),
            (&columns.channel, Holds::Text),
            (&columns.sender, Holds::Text),
            (&columns.subject, Holds::Text),
            (&columns.attachments, Holds::Text),
            (&columns.data, Holds::Text),
            (&columns.lane, Holds::Text),
            (&columns.send_at, Holds::Time),
            (&columns.opens_at, Holds::Time),
            (&columns.expires_at, Holds::Time),
            (&columns.created_at, Holds::Time),
        ];
        let must = [(columns.recipient.as_str(), Holds::Text), (columns.body.as_str(), Holds::Text)];
        let named = may.into_iter().filter_map(|(name, holds)| Some((name.as_deref()?, holds)));
        must.into_iter().chain(named).collect()
    }

    /// What they hold of a message.
    fn values(&self, work: &Work, files: Option<String>) -> Vec<Option<String>> {
        let (columns, content) = (&self.mapping.columns, &work.message.content);
        let zone = &self.mapping.time_zone;
        let time = |at: Timestamp| Some(written(zone, at));
        let data = || (!content.data.is_empty()).then(|| Value::Object(content.data.clone()).to_string());
        let number = |text: &str| self.number(text);
        let all = [
            (&columns.id, Some(self.key_of(work))),
            (&columns.channel, Some(content.channel.to_string())),
            (&columns.sender, content.sender.as_deref().map(number)),
            (&columns.subject, content.subject.clone()),
            (&columns.attachments, files),
            (&columns.data, data()),
            (&columns.lane, Some(work.lane.as_str().to_owned())),
            (&columns.send_at, content.send_at.and_then(time)),
            (&columns.opens_at, time(work.message.opens_at())),
            (&columns.expires_at, time(work.expires_at)),
            (&columns.created_at, time(SystemClock.now())),
        ];
        let must = [Some(number(&content.recipient)), Some(content.body.clone())];
        let named = all.into_iter().filter_map(|(name, value)| name.is_some().then_some(value));
        must.into_iter().chain(named).collect()
    }

    fn number(&self, text: &str) -> String {
        let national = self.mapping.national.as_deref();
        let rest = national.and_then(|code| text.strip_prefix('+')?.strip_prefix(code));
        rest.map_or_else(|| text.to_owned(), |rest| format!("0{rest}"))
    }

    /// Inserts rows; one answer for each. Rows that the database does not take are found by halves, and hold up no other.
    pub async fn insert(&self, work: &[(Work, Draft)]) -> Vec<Result<(), TableError>> {
        let mut answers: Vec<Result<(), TableError>> = (0..work.len()).map(|_| Ok(())).collect();
        let mut parts: Vec<Range<usize>> = Vec::from([Range { start: 0, end: work.len() }]);
        let mut passed = 0;
        while let Some(part) = parts.pop() {
            let drafts: Vec<&Draft> = work[part.clone()].iter().map(|(_, draft)| draft).collect();
            match (self.insert_all(&drafts).await, part.len()) {
                (Ok(()), _) => {}
                (Err(TableError::Refused { .. }), 2..) => {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
                // Another row has the number: it is made again at once, with the next.
                (Err(TableError::Refused { taken: true, .. }), 1)
                    if self.mapping.key == TableKey::Number && passed < PASSED =>
                {
                    passed += 1;
                    match self.pass_number().await {
                        Ok(()) => parts.push(part),
                        Err(error) => answers[part.start] = Err(error),
                    }
                }
                (Err(error), _) => answers[part].iter_mut().for_each(|answer| *answer = Err(error.clone())),
            }
        }
        answers
    }

    /// The statement that inserts rows, such that it inserts none: its token is that of no row beside.
    pub(super) fn insert_nothing(&self, fixed: &BTreeMap<String, String>) -> Statement {
        let columns = self.written();
        let values = columns.iter().map(|(_, holds)| match holds {
            Holds::Text => Some("0".to_owned()),
            Holds::Time => Some(written(&self.mapping.time_zone, SystemClock.now())),
        });
        let draft = Draft {
            id: "nobody".to_owned(),
            ledger_row: 0,
            attempt: 0,
            values: values.collect(),
            fixed: fixed.clone(),
        };
        let token = format!("{:032x}", fastrand::u128(..));
        self.insert_rows(&columns, fixed, &[&draft], &token)
    }

    async fn insert_all(&self, drafts: &[&Draft]) -> Result<(), TableError> {
        if drafts.is_empty() {
            return Ok(());
        }
        // In one order, so that two processes never wait for each other; of two attempts at one message, the later.
        let mut rows: BTreeMap<&str, &Draft> = BTreeMap::new();
        for draft in drafts {
            let row = rows.entry(draft.id.as_str()).or_insert(draft);
            if row.attempt < draft.attempt {
                *row = draft;
            }
        }
        let token = format!("{:032x}", fastrand::u128(..));
        let mut statements = vec![self.insert_beside(rows.values().copied(), &token)];
        let again =
            self.wait_again(rows.values().filter(|draft| draft.attempt > 1).map(|draft| draft.id.clone()));
        let columns = self.written();
        let mut groups: BTreeMap<&BTreeMap<String, String>, Vec<&Draft>> = BTreeMap::new();
        for draft in rows.into_values() {
            groups.entry(&draft.fixed).or_default().push(draft);
        }
        statements.extend(again);
        for (fixed, drafts) in groups {
            statements.push(self.insert_rows(&columns, fixed, &drafts, &token));
        }
        self.engine.change(statements).await
    }

    /// Whoever comes first writes its token; a later attempt leaves it, and writes that it is the one to be told of.
    fn insert_beside<'a>(&self, drafts: impl Iterator<Item = &'a Draft>, token: &str) -> Statement {
        let (dialect, beside) = (self.dialect, self.mapping.beside());
        let mut statement = Statement::default();
        let now = SystemClock.now().as_millis().to_string();
        let rows = drafts.map(|draft| {
            vec![Some(draft.id.clone()), Some(draft.ledger_row.to_string()), Some(draft.attempt.to_string())]
        });
        let rows = dialect.rows(&mut statement, &["id", "ledger_row", "attempt"], rows.collect());
        let (ledger_row, attempt) = (dialect.as_number("v.ledger_row"), dialect.as_number("v.attempt"));
        let token = dialect.argument(&mut statement, Some(token.to_owned()));
        let now = dialect.argument(&mut statement, Some(now));
        let now = dialect.as_number(&now);
        // Arguments of MySQL stand in the order of the text: those of the rows come first.
        let select = format!(
            "SELECT v.id, {ledger_row}, {attempt}, x.token, x.made_at FROM {rows} CROSS JOIN (SELECT {token} AS token, {now} AS made_at) AS x"
        );
        let greatest = dialect.greatest();
        let conflict = if dialect == Dialect::MySql {
            // Without a condition the ON would be taken for the join's; names of the target must not be those of what is selected.
            format!(
                "WHERE 1 = 1 ON DUPLICATE KEY UPDATE attempt = GREATEST({beside}.attempt, VALUES(attempt)), seen = NULL"
            )
        } else {
            format!(
                "WHERE true ON CONFLICT (id) DO UPDATE SET attempt = {greatest}({beside}.attempt, excluded.attempt), seen = NULL"
            )
        };
        statement.sql =
            format!("INSERT INTO {beside} (id, ledger_row, attempt, token, made_at) {select} {conflict}");
        statement
    }

    fn insert_rows(
        &self,
        columns: &[(&str, Holds)],
        fixed: &BTreeMap<String, String>,
        drafts: &[&Draft],
        token: &str,
    ) -> Statement {
        let (dialect, mapping) = (self.dialect, &*self.mapping);
        let mut statement = Statement::default();
        let names: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
        let heads: Vec<&str> = std::iter::once("id").chain(names.iter().map(String::as_str)).collect();
        let rows = drafts.iter().map(|draft| {
            std::iter::once(Some(draft.id.clone())).chain(draft.values.iter().cloned()).collect()
        });
        let rows = dialect.rows(&mut statement, &heads, rows.collect());
        let token = dialect.argument(&mut statement, Some(token.to_owned()));
        let key = match mapping.key {
            TableKey::Text => "b.id",
            TableKey::Number => "b.number",
        };
        let mut into = vec![mapping.columns.key.as_str(), mapping.columns.status.as_str()];
        let mut from = vec![key.to_owned(), literal(&mapping.status.ready)];
        for ((name, holds), value) in columns.iter().zip(&names) {
            into.push(name);
            let value = format!("v.{value}");
            from.push(if *holds == Holds::Time { dialect.as_time(&value) } else { value });
        }
        for (name, value) in fixed {
            into.push(name);
            from.push(literal(value));
        }
        let conflict = match (mapping.key, dialect) {
            // The number is new: a row that has it is not this message's.
            (TableKey::Number, _) => String::new(),
            (TableKey::Text, Dialect::MySql) => {
                format!(" ON DUPLICATE KEY UPDATE {0} = VALUES({0})", mapping.columns.key)
            }
            (TableKey::Text, _) => format!(" ON CONFLICT ({}) DO NOTHING", mapping.columns.key),
        };
        let same = if dialect == Dialect::MySql {
            "b.id = CONVERT(v.id USING ascii) COLLATE ascii_bin"
        } else {
            "b.id = v.id"
        };
        statement.sql = format!(
            "INSERT INTO {} ({}) SELECT {} FROM {rows} JOIN {} AS b ON {same} WHERE b.token = {token}{conflict}",
            mapping.table,
            into.join(", "),
            from.join(", "),
            mapping.beside(),
        );
        statement
    }
}

/// A moment as the table's zone writes it, to the millisecond.
pub(super) fn written(zone: &TimeZone, at: Timestamp) -> String {
    zone.civil(at).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
}
