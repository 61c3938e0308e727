//! What clients ask of a PostgreSQL, as its log tells it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::PathBuf,
};

use super::monitor::Counts;
use crate::engines::Postgres;

/// A line of the log that tells of a statement begins with this and the name of its client.
const MARK: &str = "asked|";

/// A server that logs every statement from here on.
#[derive(Debug)]
pub struct Statements {
    log: PathBuf,
    from: u64,
}

impl Statements {
    /// Has the server log every statement. A transaction's begin and commit are statements too.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn of(postgres: &Postgres) -> anyhow::Result<Self> {
        for setting in ["log_statement = 'all'", "log_line_prefix = 'asked|%a|'"] {
            postgres.psql("postgres", &format!("ALTER SYSTEM SET {setting}"))?;
        }
        postgres.psql("postgres", "SELECT pg_reload_conf()")?;
        let mut statements = Self { log: postgres.log(), from: 0 };
        statements.take()?;
        Ok(statements)
    }

    /// Statements since the last time, by client and beginning.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn take(&mut self) -> anyhow::Result<Counts> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut counts = Counts::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line?;
            self.from += u64::try_from(line.len())? + 1;
            if let Some(what) = asked(&String::from_utf8_lossy(&line)) {
                *counts.entry(what).or_default() += 1;
            }
        }
        Ok(counts)
    }
}

/// The client and the beginning of the statement of a line `asked|CLIENT|LOG:  execute NAME: STATEMENT`.
fn asked(line: &str) -> Option<String> {
    let (client, rest) = line.strip_prefix(MARK)?.split_once('|')?;
    let told = rest.strip_prefix("LOG:  ")?;
    let (_, statement) = told
        .strip_prefix("statement: ")
        .map(|statement| ("", statement))
        .or_else(|| told.strip_prefix("execute ")?.split_once(": "))?;
    let words: Vec<&str> = statement.split_whitespace().collect();
    Some(format!("{client}: {}", words.join(" ").chars().take(70).collect::<String>()))
}

impl Postgres {
    /// Its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.home().join("server.log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_by_its_client_and_its_beginning() {
        assert_eq!(asked("asked|naru-w|LOG:  execute sqlx_s_1: SELECT  1").unwrap(), "naru-w: SELECT 1");
        assert_eq!(asked("asked|psql|LOG:  statement: BEGIN").unwrap(), "psql: BEGIN");
        assert_eq!(asked("asked||LOG:  checkpoint starting: time"), None);
        assert_eq!(asked("    FROM naru.message"), None);
    }
}
