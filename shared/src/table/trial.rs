//! What a mapping says of a table, tried on the table: statements are made as for messages, on no rows.

use super::{MessageTable, TableError, Turn, sql::Statement};

/// The id of no message.
const NOBODY: &str = "";

impl MessageTable {
    /// Whether every column that is written or read is there.
    pub(super) async fn look_at_columns(&self) -> Result<(), TableError> {
        let columns: Vec<&str> = self.mapping.names().collect();
        let sql = format!("SELECT {} FROM {} AS t WHERE 1 = 0", columns.join(", "), self.mapping.table);
        self.engine.ask(Statement { sql, arguments: Vec::new() }).await.map(drop)
    }

    /// Whether the database takes the statements that every message needs: of columns of other types it says so here, and not to
    /// each message until it is over.
    pub(super) async fn try_statements(&self) -> Result<(), TableError> {
        let mapping = &*self.mapping;
        let mut statements = vec![self.insert_nothing(&mapping.fixed)];
        for more in mapping.channel.values() {
            let mut fixed = mapping.fixed.clone();
            fixed.extend(more.clone());
            statements.push(self.insert_nothing(&fixed));
        }
        statements.extend(self.withdrawal(NOBODY));
        self.engine.change(statements).await?;
        for turn in [Turn::Quick, Turn::Whole] {
            self.collect(turn, 0).await?;
        }
        if let Some(taken) = &mapping.columns.collected_rev {
            for source in self.sources().await? {
                self.engine.change(vec![self.revise(&source, taken, [NOBODY.to_owned()])]).await?;
            }
        }
        Ok(())
    }
}
