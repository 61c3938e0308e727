//! Keys that are numbers, among those that others give.

use super::{
    MessageTable, TableError,
    sql::{Dialect, Statement, literal},
};
use crate::domain::TableKey;

/// What every id of ours begins with.
const OURS: &str = "msg_";

fn plain(sql: String) -> Statement {
    Statement { sql, arguments: Vec::new() }
}

impl MessageTable {
    /// Whether the numbers that the mapping gives lie above those of others: in the table, and where they were moved lately.
    ///
    /// # Errors
    /// If they do not, or a row would not say whose it is.
    pub(super) async fn look_at_numbers(&self) -> Result<(), TableError> {
        if self.mapping.key == TableKey::Text {
            return Ok(());
        }
        let refused = |why: String| Err(TableError::Refused { why, taken: false });
        let columns = &self.mapping.columns;
        let Some(id) = &columns.id else {
            let why = "where keys are numbers, `id` must name a column for the message's id: others may have the number";
            return refused(why.to_owned());
        };
        let (key, first) = (&columns.key, self.mapping.first_number);
        let named = self.dialect.as_text(&format!("t.{id}"));
        for source in self.sources().await? {
            let highest = self.dialect.as_text(&format!("max(t.{key})"));
            let sql = format!(
                "SELECT {highest} FROM {source} AS t WHERE t.{key} >= {first} \
                 AND substr(coalesce({named}, ''), 1, {}) <> {}",
                OURS.len(),
                literal(OURS)
            );
            let rows = self.engine.ask(plain(sql)).await?;
            if let Some(Some(highest)) = rows.first().and_then(|row| row.first()) {
                return refused(format!(
                    "{source} holds rows of others with numbers up to {highest}: choose a `first_number` above all that they \
                     will insert, in a file of the mapping"
                ));
            }
        }
        Ok(())
    }

    /// Sees to it that the next number is not below the first that the mapping gives. It never goes back.
    pub(super) async fn begin_numbers(&self) -> Result<(), TableError> {
        if self.mapping.key == TableKey::Text {
            return Ok(());
        }
        let (beside, first) = (self.mapping.beside(), self.mapping.first_number);
        match self.dialect {
            Dialect::Postgres => {
                let sql = format!(
                    "SELECT setval(x.s, {first}, false) FROM \
                     (SELECT CAST(pg_get_serial_sequence('{beside}', 'number') AS regclass) AS s) AS x \
                     WHERE coalesce(pg_sequence_last_value(x.s), 0) < {first}"
                );
                self.engine.define(vec![sql]).await
            }
            Dialect::MySql => {
                let (schema, name) = beside
                    .split_once('.')
                    .map_or(("DATABASE()".to_owned(), &*beside), |(schema, name)| (literal(schema), name));
                let sql = format!(
                    "SELECT CAST(max(table_name) AS CHAR) FROM information_schema.tables WHERE table_schema = {schema} \
                     AND table_name = {} AND coalesce(auto_increment, 0) < {first}",
                    literal(name)
                );
                let below = self.engine.ask(plain(sql)).await?;
                if below.first().and_then(|row| row.first()).is_none_or(Option::is_none) {
                    return Ok(());
                }
                self.engine.define(vec![format!("ALTER TABLE {beside} AUTO_INCREMENT = {first}")]).await
            }
            Dialect::Sqlite => self.engine.change(self.from_number(first)).await,
        }
    }

    /// Where a number that was given is another row's: PostgreSQL and MariaDB give the next by themselves, since what a transaction
    /// was given does not come back with it. In SQLite it does, so that the next is told to be beyond those that others have in a row.
    pub(super) async fn pass_number(&self) -> Result<(), TableError> {
        if self.dialect != Dialect::Sqlite {
            return Ok(());
        }
        let (mapping, sequence) = (&*self.mapping, self.sequence());
        let (table, key) = (&mapping.table, &mapping.columns.key);
        let mut statements = self.from_number(mapping.first_number);
        statements.push(plain(format!(
            "UPDATE sqlite_sequence SET seq = (SELECT t.{key} FROM {table} AS t WHERE t.{key} > sqlite_sequence.seq \
             AND NOT EXISTS (SELECT 1 FROM {table} AS n WHERE n.{key} = t.{key} + 1) ORDER BY t.{key} LIMIT 1) \
             WHERE name = {sequence} AND EXISTS (SELECT 1 FROM {table} AS t WHERE t.{key} = sqlite_sequence.seq + 1)"
        )));
        self.engine.change(statements).await
    }

    /// The name by which SQLite keeps the last number.
    fn sequence(&self) -> String {
        let beside = self.mapping.beside();
        literal(beside.rsplit('.').next().unwrap_or_default())
    }

    fn from_number(&self, first: u64) -> Vec<Statement> {
        let (sequence, before) = (self.sequence(), first.saturating_sub(1));
        vec![
            plain(format!(
                "INSERT INTO sqlite_sequence (name, seq) SELECT {sequence}, 0 \
                 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = {sequence})"
            )),
            plain(format!("UPDATE sqlite_sequence SET seq = max(seq, {before}) WHERE name = {sequence}")),
        ]
    }
}
