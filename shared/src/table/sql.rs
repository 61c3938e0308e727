//! Statements, in the words of each database. Every argument is text, and cast where the column is not.

use crate::domain::TableEngine;

/// A statement and its arguments.
#[derive(Debug, Clone, Default)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) arguments: Vec<Option<String>>,
}

/// How a database wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    MySql,
    Sqlite,
}

impl Dialect {
    pub(super) const fn of(engine: TableEngine) -> Self {
        match engine {
            TableEngine::Postgres => Self::Postgres,
            TableEngine::MySql => Self::MySql,
            TableEngine::Sqlite => Self::Sqlite,
        }
    }

    /// A value as text.
    pub(super) fn as_text(self, expression: &str) -> String {
        match self {
            Self::MySql => format!("CAST({expression} AS CHAR)"),
            Self::Postgres | Self::Sqlite => format!("CAST({expression} AS text)"),
        }
    }

    /// Text as a whole number.
    pub(super) fn as_number(self, expression: &str) -> String {
        match self {
            Self::Postgres => format!("CAST({expression} AS bigint)"),
            Self::MySql => format!("CAST({expression} AS SIGNED)"),
            Self::Sqlite => format!("CAST({expression} AS INTEGER)"),
        }
    }

    /// Text as a moment.
    pub(super) fn as_time(self, expression: &str) -> String {
        match self {
            Self::Postgres => format!("CAST({expression} AS timestamp)"),
            Self::MySql => format!("CAST({expression} AS DATETIME(3))"),
            Self::Sqlite => expression.to_owned(),
        }
    }

    /// The database's own clock, in milliseconds.
    pub(super) const fn clock(self) -> &'static str {
        match self {
            Self::Postgres => "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)",
            Self::MySql => "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
            Self::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
        }
    }

    /// The greater of two.
    pub(super) const fn greatest(self) -> &'static str {
        match self {
            Self::Postgres | Self::MySql => "GREATEST",
            Self::Sqlite => "max",
        }
    }

    /// Rows of arguments as a table `v`.
    pub(super) fn rows(
        self,
        statement: &mut Statement,
        columns: &[&str],
        rows: Vec<Vec<Option<String>>>,
    ) -> String {
        let mut text = String::new();
        for (number, row) in rows.into_iter().enumerate() {
            let first = number == 0;
            if !first {
                text.push_str(if self == Self::MySql { " UNION ALL " } else { ", " });
            }
            let marks: Vec<String> = row.into_iter().map(|value| self.argument(statement, value)).collect();
            if self == Self::MySql {
                let named = marks.iter().zip(columns).map(|(mark, column)| format!("{mark} AS {column}"));
                text.push_str("SELECT ");
                text.push_str(&named.collect::<Vec<_>>().join(", "));
            } else {
                text.push_str(&format!("({})", marks.join(", ")));
            }
        }
        match self {
            Self::MySql => format!("({text}) AS v"),
            Self::Postgres => format!("(VALUES {text}) AS v ({})", columns.join(", ")),
            // A common table expression names the columns; see `with`.
            Self::Sqlite => {
                let names =
                    columns.iter().enumerate().map(|(at, name)| format!("column{} AS {name}", at + 1));
                format!("(SELECT {} FROM (VALUES {text})) AS v", names.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Adds an argument; where it stands.
    pub(super) fn argument(self, statement: &mut Statement, value: Option<String>) -> String {
        statement.arguments.push(value);
        match self {
            Self::Postgres => format!("CAST(${} AS text)", statement.arguments.len()),
            Self::MySql => "?".to_owned(),
            Self::Sqlite => format!("?{}", statement.arguments.len()),
        }
    }

    /// Arguments in a list.
    pub(super) fn list(self, statement: &mut Statement, values: impl IntoIterator<Item = String>) -> String {
        let marks: Vec<String> =
            values.into_iter().map(|value| self.argument(statement, Some(value))).collect();
        format!("({})", marks.join(", "))
    }
}

/// A value as part of a statement.
pub(super) fn literal(value: &str) -> String {
    // A backslash means something to MySQL alone.
    format!("'{}'", value.replace('\\', "").replace('\'', "''"))
}
