//! Statements, in the words of each database. Every argument is text, and cast where the column is not.
//!
//! Rows go to PostgreSQL column by column, each in one array, so that a statement is as short for many as for one.

use crate::domain::TableEngine;

/// A statement and its arguments.
#[derive(Debug, Clone, Default)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) arguments: Vec<Argument>,
}

/// What is bound.
#[derive(Debug, Clone)]
pub(super) enum Argument {
    One(Option<String>),
    /// For PostgreSQL alone.
    Column(Vec<Option<String>>),
}

impl Argument {
    /// The one text that it is. Nothing but PostgreSQL is given anything else.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::One(text) => text.as_deref(),
            Self::Column(_) => None,
        }
    }
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

    /// A value as text that is compared byte by byte, where a column by itself may take letters of both cases for the same;
    /// `None`: it does not.
    pub(super) fn exactly(self, expression: &str) -> Option<String> {
        match self {
            Self::Postgres => None,
            Self::MySql => {
                Some(format!("CONVERT(CAST({expression} AS CHAR) USING utf8mb4) COLLATE utf8mb4_bin"))
            }
            Self::Sqlite => Some(format!("CAST({expression} AS text) COLLATE BINARY")),
        }
    }

    /// Whether two texts are the same, byte by byte.
    pub(super) fn same(self, one: &str, other: &str) -> String {
        match self {
            Self::MySql => {
                let exact = self.exactly(one).unwrap_or_default();
                format!("{exact} = CONVERT({other} USING utf8mb4)")
            }
            Self::Postgres | Self::Sqlite => {
                let one = self.exactly(one).unwrap_or_else(|| self.as_text(one));
                format!("{one} = {other}")
            }
        }
    }

    /// Text as it is carried to us and back: whatever bytes an agent wrote, they come back as they were.
    pub(super) fn carried(self, expression: &str) -> String {
        match self {
            Self::Postgres | Self::MySql => expression.to_owned(),
            Self::Sqlite => format!("hex({expression})"),
        }
    }

    /// The text that was carried.
    pub(super) fn restored(self, expression: &str) -> String {
        match self {
            Self::Postgres | Self::MySql => expression.to_owned(),
            Self::Sqlite => format!("CAST(unhex({expression}) AS text)"),
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
        match self {
            Self::Postgres => {
                let mut turned: Vec<Vec<Option<String>>> =
                    columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
                for row in rows {
                    turned.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
                }
                let marks: Vec<String> = turned.into_iter().map(|column| array(statement, column)).collect();
                format!("unnest({}) AS v ({})", marks.join(", "), columns.join(", "))
            }
            Self::MySql => {
                let selects = rows.into_iter().map(|row| {
                    let named = row
                        .into_iter()
                        .zip(columns)
                        .map(|(value, column)| format!("{} AS {column}", self.argument(statement, value)));
                    format!("SELECT {}", named.collect::<Vec<_>>().join(", "))
                });
                format!("({}) AS v", selects.collect::<Vec<_>>().join(" UNION ALL "))
            }
            Self::Sqlite => {
                let names: Vec<String> = columns
                    .iter()
                    .enumerate()
                    .map(|(at, name)| format!("column{} AS {name}", at + 1))
                    .collect();
                let tuples = rows.into_iter().map(|row| {
                    let marks = row.into_iter().map(|value| self.argument(statement, value));
                    format!("({})", marks.collect::<Vec<_>>().join(", "))
                });
                let tuples = tuples.collect::<Vec<_>>().join(", ");
                format!("(SELECT {} FROM (VALUES {tuples})) AS v", names.join(", "))
            }
        }
    }

    /// Adds an argument; where it stands.
    pub(super) fn argument(self, statement: &mut Statement, value: Option<String>) -> String {
        statement.arguments.push(Argument::One(value));
        match self {
            Self::Postgres => format!("CAST(${} AS text)", statement.arguments.len()),
            Self::MySql => "?".to_owned(),
            Self::Sqlite => format!("?{}", statement.arguments.len()),
        }
    }

    /// Arguments in a list, for `IN`.
    pub(super) fn list(self, statement: &mut Statement, values: impl IntoIterator<Item = String>) -> String {
        let values = values.into_iter().map(Some);
        if self == Self::Postgres {
            return format!("(SELECT unnest({}))", array(statement, values.collect()));
        }
        let marks: Vec<String> = values.map(|value| self.argument(statement, value)).collect();
        format!("({})", marks.join(", "))
    }
}

/// Adds a column of arguments; where it stands.
fn array(statement: &mut Statement, column: Vec<Option<String>>) -> String {
    statement.arguments.push(Argument::Column(column));
    format!("CAST(${} AS text[])", statement.arguments.len())
}

/// A value as part of a statement.
pub(super) fn literal(value: &str) -> String {
    // A backslash means something to MySQL alone.
    format!("'{}'", value.replace('\\', "").replace('\'', "''"))
}
