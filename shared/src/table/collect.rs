//! Taking results back: by state and revision, never by a moving id.

use std::time::Duration;

use super::{
    MessageTable, TableError,
    seen::Seen,
    sql::{Dialect, Statement, literal},
};
use crate::{
    domain::{Clock, SystemClock, TableKey, Timestamp, Verdict},
    ledger::{RowRef, Work},
    notices::{is_id, line},
};

/// How far back the whole turn looks for what was corrected, and how long it is known which message a row is of.
const CORRECTED: Duration = Duration::from_secs(8 * 86_400);
const KNOWN: Duration = Duration::from_secs(60 * 86_400);

/// How long whoever collects is left alone to do so.
const LEASE_MS: u64 = 15_000;

/// Which rows are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Those of which nothing was taken back yet, or whose revision is new.
    Quick,
    /// Those as well that may have been corrected, wherever they lie by now.
    Whole,
}

/// What a row says of its message.
#[derive(Debug, Clone)]
pub struct Told {
    /// The message.
    pub row: RowRef,
    /// The attempt that it was last inserted by.
    pub attempt: u32,
    /// What became of it.
    pub verdict: Verdict,
    /// In words.
    pub detail: String,
    /// What the carrier calls it.
    pub backend_id: Option<String>,
    /// The state of the row that was seen.
    pub(super) seen: Seen,
}

/// The characters of a state that are compared with what was seen: as many as are kept.
const STATE: usize = 255;

impl MessageTable {
    /// Up to `max` rows of each table that say something that was not taken back yet. What is not said to be taken comes again.
    /// A row that cannot be read is passed over until it changes, so that it does not stand before those that can.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn collect(&self, turn: Turn, max: usize) -> Result<Vec<Told>, TableError> {
        let mut found = Vec::new();
        for source in self.sources().await? {
            for which in self.news(turn, source == self.mapping.table) {
                let text = self.select(&source, &which);
                let statement = Statement { sql: format!("{text} LIMIT {max}"), arguments: Vec::new() };
                let (told, unreadable) = self.read(statement, &source).await?;
                found.extend(told);
                self.pass_over(&source, &unreadable).await?;
            }
        }
        Ok(found)
    }

    /// The conditions by which a turn finds what is news in the live table, or in a log table; no row is found by two.
    fn news(&self, turn: Turn, is_live: bool) -> Vec<String> {
        let columns = &self.mapping.columns;
        let since = SystemClock.now().minus(CORRECTED).as_millis();
        match (turn, columns.report_rev.as_ref().zip(columns.collected_rev.as_ref())) {
            // An index holds just these.
            (Turn::Quick, Some((said, taken))) if is_live => vec![format!("t.{said} > t.{taken}")],
            (Turn::Quick, Some(_)) => Vec::new(),
            (Turn::Quick, None) => vec!["b.seen IS NULL".to_owned()],
            // Besides them, what a later attempt wants to be told once more.
            (Turn::Whole, Some((said, taken))) if is_live => {
                vec![format!("t.{said} > t.{taken}"), format!("t.{said} <= t.{taken} AND b.seen IS NULL")]
            }
            (Turn::Whole, Some((said, taken))) => {
                vec![format!("b.made_at > {since} AND (b.seen IS NULL OR t.{said} > t.{taken})")]
            }
            (Turn::Whole, None) => {
                vec![format!("b.made_at > {since} AND (b.seen IS NULL OR {})", self.differs())]
            }
        }
    }

    /// What the row of a message says, wherever it lies; `None`: nothing yet.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn look_up(&self, work: &Work) -> Result<Option<Told>, TableError> {
        for source in self.sources().await? {
            let mut statement = Statement::default();
            let id = self.dialect.argument(&mut statement, Some(self.key_of(work)));
            statement.sql = self.select(&source, &format!("b.id = {id}"));
            let (mut told, _) = self.read(statement, &source).await?;
            if let Some(told) = told.pop() {
                return Ok(Some(told));
            }
        }
        Ok(None)
    }

    /// Whether `holder` collects from now on, for a while; nobody else does then.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn lease(&self, holder: &str) -> Result<bool, TableError> {
        let (lease, clock) = (self.mapping.lease(), self.dialect.clock());
        let mut statement = Statement::default();
        let me = self.dialect.argument(&mut statement, Some(holder.to_owned()));
        let mine = self.dialect.argument(&mut statement, Some(holder.to_owned()));
        statement.sql = format!(
            "UPDATE {lease} SET holder = {me}, lease_until = {clock} + {LEASE_MS} \
             WHERE one = 1 AND (holder = {mine} OR lease_until < {clock})"
        );
        self.engine.change(vec![statement]).await?;
        let holder_column = self.dialect.as_text("holder");
        let sql = format!("SELECT {holder_column} FROM {lease} WHERE one = 1");
        let rows = self.engine.ask(Statement { sql, arguments: Vec::new() }).await?;
        Ok(rows.first().and_then(|row| row.first()).is_some_and(|now| now.as_deref() == Some(holder)))
    }

    /// Forgets which messages rows were of that nobody tells of any more.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn forget(&self) -> Result<(), TableError> {
        let before = SystemClock.now().minus(KNOWN).as_millis();
        let sql = format!("DELETE FROM {} WHERE made_at < {before}", self.mapping.beside());
        self.engine.change(vec![Statement { sql, arguments: Vec::new() }]).await
    }

    fn select(&self, source: &str, which: &str) -> String {
        let (dialect, columns) = (self.dialect, &self.mapping.columns);
        let may = |column: &Option<String>| {
            column.as_ref().map_or("NULL".to_owned(), |name| dialect.as_text(&format!("t.{name}")))
        };
        let key = self.key_beside();
        let states: Vec<String> = self.mapping.final_states().into_iter().map(literal).collect();
        let selected = [
            dialect.as_text("b.id"),
            dialect.as_text("b.ledger_row"),
            dialect.as_text("b.attempt"),
            dialect.as_text(&format!("t.{}", columns.status)),
            may(&columns.result),
            may(&columns.result_text),
            may(&columns.gateway_id),
            dialect.carried(&self.state()),
        ];
        let (status, states) = (&columns.status, states.join(", "));
        format!(
            "SELECT {} FROM {} AS b JOIN {source} AS t ON t.{} = {key}{} WHERE t.{status} IN ({states}){} AND {which}",
            selected.join(", "),
            self.mapping.beside(),
            columns.key,
            self.is_ours(),
            dialect
                .exactly(&format!("t.{status}"))
                .map_or(String::new(), |exact| format!(" AND {exact} IN ({states})")),
        )
    }

    /// What of the table beside is the key of a row.
    fn key_beside(&self) -> &'static str {
        match self.mapping.key {
            TableKey::Text => "b.id",
            TableKey::Number => "b.number",
        }
    }

    /// Others may have a row with a number of ours, in a log table above all: the row must name the message as well.
    fn is_ours(&self) -> String {
        match (&self.mapping.columns.id, self.mapping.key) {
            (Some(id), TableKey::Number) => format!(" AND {}", self.dialect.same(&format!("t.{id}"), "b.id")),
            (None, TableKey::Number) | (_, TableKey::Text) => String::new(),
        }
    }

    /// What tells one state of a row from the next.
    fn state(&self) -> String {
        let columns = &self.mapping.columns;
        if let Some(revision) = &columns.report_rev {
            return self.dialect.as_text(&format!("t.{revision}"));
        }
        let parts = [Some(&columns.status), columns.result.as_ref(), columns.reported_at.as_ref()];
        let texts = parts.into_iter().flatten().map(|name| {
            let text = self.dialect.as_text(&format!("t.{name}"));
            format!("coalesce({text}, '')")
        });
        let texts: Vec<String> = texts.collect();
        if self.dialect == Dialect::MySql {
            format!("substr(concat({}), 1, {STATE})", texts.join(", '|', "))
        } else {
            format!("substr({}, 1, {STATE})", texts.join(" || '|' || "))
        }
    }

    fn differs(&self) -> String {
        let state = self.state();
        match self.dialect {
            Dialect::MySql => {
                let bin = |text: &str| format!("CONVERT({text} USING utf8mb4) COLLATE utf8mb4_bin");
                format!("{} <> {}", bin("b.seen"), bin(&state))
            }
            Dialect::Postgres | Dialect::Sqlite => format!("b.seen <> {state}"),
        }
    }

    /// What rows say, and what was seen of those that say nothing that can be understood.
    async fn read(&self, statement: Statement, source: &str) -> Result<(Vec<Told>, Vec<Seen>), TableError> {
        let rows = self.engine.ask(statement).await?;
        let (mut told, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            match (self.told(&row, source), Seen::of(&row, source)) {
                (Some(one), _) => told.push(one),
                (None, Some(seen)) => unreadable.push(seen),
                (None, None) => tracing::error!(source, "a row beside the table has no id"),
            }
        }
        Ok((told, unreadable))
    }

    fn told(&self, row: &[Option<String>], source: &str) -> Option<Told> {
        let [id, ledger_row, attempt, status, result, text, backend_id, _seen] = row else { return None };
        let status = status.as_deref()?;
        let verdict = self.mapping.verdict(status, result.as_deref())?;
        let words: Vec<&str> = [result, text]
            .into_iter()
            .flatten()
            .map(|word| word.trim())
            .filter(|word| !word.is_empty())
            .collect();
        let detail = if words.is_empty() { format!("state {status}") } else { words.join(" ") };
        // What was sent again after a failure has a key of its own: the id, and which time it was.
        let key = id.as_deref()?;
        let id = key.split_once('.').map_or(key, |(id, _)| id);
        Some(Told {
            row: RowRef { row: ledger_row.as_deref()?.parse().ok()?, id: id.parse().ok()? },
            attempt: attempt.as_deref()?.parse().ok()?,
            verdict,
            detail: format!("the carrier: {}", line(&detail)),
            // What stores could not keep, or people not read, is no id.
            backend_id: backend_id.as_deref().filter(|id| is_id(id)).map(str::to_owned),
            seen: Seen::of(row, source)?,
        })
    }

    /// The live table, and the log tables that are there of this month, the one before and the next.
    pub(super) async fn sources(&self) -> Result<Vec<String>, TableError> {
        let mut sources = vec![self.mapping.table.clone()];
        let names = self.logs(SystemClock.now());
        for name in names {
            if self.is_there(&name).await? {
                sources.push(name);
            }
        }
        Ok(sources)
    }

    fn logs(&self, now: Timestamp) -> Vec<String> {
        let day = self.mapping.time_zone.civil(now).date();
        let (year, month) = (day.year(), day.month());
        let before = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
        let after = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let months = [before, (year, month), after];
        months.into_iter().filter_map(|(year, month)| self.mapping.log_of(year, month)).collect()
    }

    async fn is_there(&self, table: &str) -> Result<bool, TableError> {
        let mut statement = Statement::default();
        let (schema, name) =
            table.split_once('.').map_or((None, table), |(schema, name)| (Some(schema), name));
        let (whole, name) = (table.to_owned(), name.to_owned());
        statement.sql = match self.dialect {
            Dialect::Postgres => {
                let whole = self.dialect.argument(&mut statement, Some(whole));
                format!("SELECT CAST(to_regclass({whole}) AS text)")
            }
            Dialect::MySql => {
                let name = self.dialect.argument(&mut statement, Some(name));
                let schema = schema.map_or("DATABASE()".to_owned(), literal);
                format!(
                    "SELECT CAST(max(table_name) AS CHAR) FROM information_schema.tables \
                     WHERE table_name = {name} AND table_schema = {schema}"
                )
            }
            Dialect::Sqlite => {
                let name = self.dialect.argument(&mut statement, Some(name));
                format!("SELECT name FROM sqlite_schema WHERE name = {name} COLLATE NOCASE")
            }
        };
        let rows = self.engine.ask(statement).await?;
        Ok(rows.first().and_then(|row| row.first()).is_some_and(Option::is_some))
    }
}
