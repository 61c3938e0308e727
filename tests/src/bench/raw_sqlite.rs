//! Raw SQLite: the same bytes inserted, so many rows a transaction, with the pragmas that Naru's durability rests on.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use naru_shared::sqlite::connect;

/// Rows inserted in a second, every transaction synced before the next begins.
///
/// # Errors
/// If the file cannot be written.
#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
pub fn rows_per_second(
    file: &Path,
    row: &[u8],
    rows_per_transaction: usize,
    duration: Duration,
) -> anyhow::Result<f64> {
    let connection = connect(file)?;
    connection.execute_batch("CREATE TABLE row (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT")?;
    let mut rows = 0_usize;
    let began = Instant::now();
    while began.elapsed() < duration {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = connection.prepare_cached("INSERT INTO row (bytes) VALUES (?1)")?;
        for _ in 0..rows_per_transaction {
            insert.execute([row])?;
        }
        connection.execute_batch("COMMIT")?;
        rows += rows_per_transaction;
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("raw.db");
        let rate = rows_per_second(&file, b"bytes", 10, Duration::from_millis(50)).unwrap();
        let connection = connect(&file).unwrap();
        let rows: i64 = connection.query_row("SELECT count(*) FROM row", [], |r| r.get(0)).unwrap();
        assert!(rows >= 10 && rows % 10 == 0 && rate > 0.0);
    }
}
