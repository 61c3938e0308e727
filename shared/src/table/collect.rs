//! Taking results back: by state and revision, never by a moving id.

use std::time::Duration;

use super::{
    MessageTable, TableError,
    sql::{Dialect, Statement, literal},
};
use crate::{
    domain::{Clock, SystemClock, TableKey, Timestamp, Verdict},
    ledger::{RowRef, Work},
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
    /// The key under which it was inserted.
    key: String,
    /// The attempt that it was last inserted by.
    pub attempt: u32,
    /// What became of it.
    pub verdict: Verdict,
    /// In words.
    pub detail: String,
    /// What the carrier calls it.
    pub backend_id: Option<String>,
    /// The state of the row that was seen.
    seen: String,
    source: String,
}

impl MessageTable {
    /// Up to `max` rows of each table that say something that was not taken back yet. What is not said to be taken comes again.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn collect(&self, turn: Turn, max: usize) -> Result<Vec<Told>, TableError> {
        let mut found = Vec::new();
        for source in self.sources().await? {
            for which in self.news(turn, source == self.mapping.table) {
                let text = self.select(&source, &which);
                let statement = Statement { sql: format!("{text} LIMIT {max}"), arguments: Vec::new() };
                found.extend(self.read(statement, &source).await?);
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
            if let Some(told) = self.read(statement, &source).await?.pop() {
                return Ok(Some(told));
            }
        }
        Ok(None)
    }

    /// What was told has been taken back: it does not come again until it is told anew.
    ///
    /// # Errors
    /// If it is not certain that this was written; what was not comes again.
    pub async fn taken(&self, told: &[Told]) -> Result<(), TableError> {
        if told.is_empty() {
            return Ok(());
        }
        let (dialect, beside) = (self.dialect, self.mapping.beside());
        let mut statement = Statement::default();
        let mut rows: Vec<Vec<Option<String>>> = told
            .iter()
            .map(|told| {
                let (id, row) = (told.key.clone(), told.row.row.to_string());
                vec![Some(id), Some(row), Some(told.attempt.to_string()), Some(told.seen.clone())]
            })
            .collect();
        rows.sort();
        rows.dedup_by(|later, earlier| later[0] == earlier[0]);
        let rows = dialect.rows(&mut statement, &["id", "ledger_row", "attempt", "seen"], rows);
        let (ledger_row, attempt) = (dialect.as_number("v.ledger_row"), dialect.as_number("v.attempt"));
        // An attempt that came meanwhile wants to be told by itself.
        let conflict = if dialect == Dialect::MySql {
            format!(
                "WHERE 1 = 1 ON DUPLICATE KEY UPDATE seen = IF({beside}.attempt = VALUES(attempt), VALUES(seen), {beside}.seen)"
            )
        } else {
            format!(
                "WHERE true ON CONFLICT (id) DO UPDATE SET seen = \
                 CASE WHEN {beside}.attempt = excluded.attempt THEN excluded.seen ELSE {beside}.seen END"
            )
        };
        let now = SystemClock.now().as_millis();
        statement.sql = format!(
            "INSERT INTO {beside} (id, ledger_row, attempt, token, made_at, seen) \
             SELECT v.id, {ledger_row}, {attempt}, '', {now}, v.seen FROM {rows} {conflict}"
        );
        let mut statements = vec![statement];
        if let Some(taken) = &self.mapping.columns.collected_rev {
            let mut sources: Vec<&str> = told.iter().map(|told| told.source.as_str()).collect();
            sources.sort_unstable();
            sources.dedup();
            statements.extend(sources.into_iter().map(|source| self.revise(source, taken, told)));
        }
        self.engine.change(statements).await
    }

    fn revise(&self, source: &str, taken: &str, told: &[Told]) -> Statement {
        let (beside, key) = (self.mapping.beside(), &self.mapping.columns.key);
        let mut statement = Statement::default();
        let ids = told.iter().filter(|told| told.source == source).map(|told| told.key.clone());
        let ids = self.dialect.list(&mut statement, ids);
        let seen = self.dialect.as_number("b.seen");
        statement.sql = format!(
            "UPDATE {source} SET {taken} = (SELECT {seen} FROM {beside} AS b WHERE b.id = {source}.{key}) \
             WHERE {key} IN {ids} AND EXISTS \
             (SELECT 1 FROM {beside} AS b WHERE b.id = {source}.{key} AND b.seen IS NOT NULL)"
        );
        statement
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
        let key = match self.mapping.key {
            TableKey::Text => "b.id",
            TableKey::Number => "b.number",
        };
        let states: Vec<String> = self.mapping.final_states().into_iter().map(literal).collect();
        let selected = [
            dialect.as_text("b.id"),
            dialect.as_text("b.ledger_row"),
            dialect.as_text("b.attempt"),
            dialect.as_text(&format!("t.{}", columns.status)),
            may(&columns.result),
            may(&columns.result_text),
            may(&columns.gateway_id),
            self.state(),
        ];
        format!(
            "SELECT {} FROM {} AS b JOIN {source} AS t ON t.{} = {key} WHERE t.{} IN ({}) AND {which}",
            selected.join(", "),
            self.mapping.beside(),
            columns.key,
            columns.status,
            states.join(", "),
        )
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
            format!("concat({})", texts.join(", '|', "))
        } else {
            texts.join(" || '|' || ")
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

    async fn read(&self, statement: Statement, source: &str) -> Result<Vec<Told>, TableError> {
        let rows = self.engine.ask(statement).await?;
        let mut told = Vec::with_capacity(rows.len());
        for row in rows {
            match self.told(&row, source) {
                Some(one) => told.push(one),
                None => tracing::error!(source, "a row beside the table cannot be read"),
            }
        }
        Ok(told)
    }

    fn told(&self, row: &[Option<String>], source: &str) -> Option<Told> {
        let [id, ledger_row, attempt, status, result, text, backend_id, seen] = row else { return None };
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
        let key = id.clone()?;
        let id = key.split_once('.').map_or(key.as_str(), |(id, _)| id);
        Some(Told {
            row: RowRef { row: ledger_row.as_deref()?.parse().ok()?, id: id.parse().ok()? },
            key: key.clone(),
            attempt: attempt.as_deref()?.parse().ok()?,
            verdict,
            detail: format!("the carrier: {detail}"),
            backend_id: backend_id.as_deref().filter(|id| !id.is_empty()).map(str::to_owned),
            seen: seen.clone()?,
            source: source.to_owned(),
        })
    }

    /// The live table, and the log tables that are there of this month, the one before and the next.
    async fn sources(&self) -> Result<Vec<String>, TableError> {
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
