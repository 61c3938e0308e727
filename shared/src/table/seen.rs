//! What was seen of rows: it is kept beside the table, so that it does not come again until it changes. And rows that wait no longer.

use super::{
    MessageTable, TableError, Told,
    sql::{Dialect, Statement, literal},
};
use crate::{
    domain::{Clock, SystemClock},
    ledger::Work,
};

/// The state in which a row was seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The key under which it was inserted.
    key: String,
    ledger_row: String,
    attempt: String,
    state: String,
    source: String,
}

impl Seen {
    /// Of a row as it is asked for.
    pub(super) fn of(row: &[Option<String>], source: &str) -> Option<Self> {
        let [key, ledger_row, attempt, .., state] = row else { return None };
        Some(Self {
            key: key.clone()?,
            ledger_row: ledger_row.clone()?,
            attempt: attempt.clone()?,
            state: state.clone()?,
            source: source.to_owned(),
        })
    }

    fn values(&self) -> Vec<Option<String>> {
        [&self.key, &self.ledger_row, &self.attempt, &self.state].map(|value| Some(value.clone())).into()
    }
}

impl MessageTable {
    /// What was told has been taken back: it does not come again until it is told anew.
    ///
    /// # Errors
    /// If it is not certain that this was written; what was not comes again.
    pub async fn taken(&self, told: &[Told]) -> Result<(), TableError> {
        let seen: Vec<&Seen> = told.iter().map(|told| &told.seen).collect();
        self.keep(&seen).await
    }

    /// Rows that say nothing that can be understood do not come again until they change. Told once, however many they are.
    pub(super) async fn pass_over(&self, source: &str, unreadable: &[Seen]) -> Result<(), TableError> {
        let Some(first) = unreadable.first() else { return Ok(()) };
        self.keep(&unreadable.iter().collect::<Vec<_>>()).await?;
        tracing::warn!(
            source,
            rows = unreadable.len(),
            first = first.key.escape_debug().to_string(),
            "rows of the table say nothing that the mapping knows; they are passed over until they change"
        );
        Ok(())
    }

    async fn keep(&self, seen: &[&Seen]) -> Result<(), TableError> {
        if seen.is_empty() {
            return Ok(());
        }
        let (dialect, beside) = (self.dialect, self.mapping.beside());
        let mut statement = Statement::default();
        let mut rows: Vec<Vec<Option<String>>> = seen.iter().map(|seen| seen.values()).collect();
        rows.sort();
        rows.dedup_by(|later, earlier| later[0] == earlier[0]);
        let rows = dialect.rows(&mut statement, &["id", "ledger_row", "attempt", "seen"], rows);
        let (ledger_row, attempt) = (dialect.as_number("v.ledger_row"), dialect.as_number("v.attempt"));
        let state = dialect.restored("v.seen");
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
             SELECT v.id, {ledger_row}, {attempt}, '', {now}, {state} FROM {rows} {conflict}"
        );
        let mut statements = vec![statement];
        if let Some(taken) = &self.mapping.columns.collected_rev {
            let mut sources: Vec<&str> = seen.iter().map(|seen| seen.source.as_str()).collect();
            sources.sort_unstable();
            sources.dedup();
            statements.extend(sources.into_iter().map(|source| {
                let keys = seen.iter().filter(|seen| seen.source == source).map(|seen| seen.key.clone());
                self.revise(source, taken, keys)
            }));
        }
        self.engine.change(statements).await
    }

    pub(super) fn revise(
        &self,
        source: &str,
        taken: &str,
        keys: impl IntoIterator<Item = String>,
    ) -> Statement {
        let (beside, key) = (self.mapping.beside(), &self.mapping.columns.key);
        let mut statement = Statement::default();
        let ids = self.dialect.list(&mut statement, keys);
        let seen = self.dialect.as_number("b.seen");
        statement.sql = format!(
            "UPDATE {source} SET {taken} = (SELECT {seen} FROM {beside} AS b WHERE b.id = {source}.{key}) \
             WHERE {key} IN {ids} AND EXISTS \
             (SELECT 1 FROM {beside} AS b WHERE b.id = {source}.{key} AND b.seen IS NOT NULL)"
        );
        statement
    }

    /// Takes the row of a message back from whoever would begin it, if nobody has and the table has a column for that. What is
    /// reported of it nevertheless is told as ever.
    ///
    /// # Errors
    /// If it is not certain that this was written.
    pub async fn withdraw(&self, work: &Work) -> Result<(), TableError> {
        match self.withdrawal(&self.key_of(work)) {
            Some(statement) => self.engine.change(vec![statement]).await,
            None => Ok(()),
        }
    }

    /// What was withdrawn, and is attempted once more, waits again.
    pub(super) fn wait_again(&self, ids: impl Iterator<Item = String>) -> Option<Statement> {
        let (mapping, mut statement) = (&*self.mapping, Statement::default());
        let (columns, table) = (&mapping.columns, &mapping.table);
        let withdrawn = columns.withdrawn_at.as_ref()?;
        let ids: Vec<String> = ids.collect();
        if ids.is_empty() {
            return None;
        }
        let ids = self.dialect.list(&mut statement, ids);
        statement.sql = format!(
            "UPDATE {table} SET {withdrawn} = NULL WHERE {} IN {ids} AND {withdrawn} IS NOT NULL",
            columns.key
        );
        Some(statement)
    }

    pub(super) fn withdrawal(&self, id: &str) -> Option<Statement> {
        let (dialect, mapping) = (self.dialect, &*self.mapping);
        let (columns, table) = (&mapping.columns, &mapping.table);
        let withdrawn = columns.withdrawn_at.as_ref()?;
        let mut statement = Statement::default();
        let now = super::insert::written(&mapping.time_zone, SystemClock.now());
        let now = dialect.argument(&mut statement, Some(now));
        let now = dialect.as_time(&now);
        let id = dialect.argument(&mut statement, Some(id.to_owned()));
        let (key, status, ready) = (&columns.key, &columns.status, literal(&mapping.status.ready));
        statement.sql = format!(
            "UPDATE {table} SET {withdrawn} = {now} WHERE {key} = {id} AND {status} = {ready} AND {withdrawn} IS NULL"
        );
        Some(statement)
    }
}
