//! Whether a file is sound, before anybody rests on it, and again while it is in use.
//!
//! A small file is read whole (`PRAGMA quick_check`, <https://www.sqlite.org/pragma.html#pragma_quick_check>). For a large
//! one that takes too long for a start: then both ends of every table and index are read, and rows from all over every
//! table. What lies between is found by a thorough look, or when it is used.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{APPLICATION_ID, BUSY, layout};

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All of a file up to 64 MiB; of a larger one its ends and rows from all over.
    Start,
    /// Everything, however long it takes.
    Whole,
}

/// The largest file that is read whole at a start: 0.2 s were measured.
const SMALL: u64 = 64 << 20;

/// Rows read from all over a large table, each by a way of its own from the root.
const SAMPLES: i64 = 64;

/// Findings of a thorough look that are told.
const FINDINGS: usize = 3;

/// What every SQLite file begins with (<https://www.sqlite.org/fileformat2.html#the_database_header>).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Unsound {
    /// It is not there.
    #[error("{0} is gone, and data that was written with it is there")]
    Gone(PathBuf),
    /// There is nothing in it.
    #[error("{0} is empty, and data that was written with it is there")]
    Empty(PathBuf),
    /// It is not what it was written as.
    #[error("{path} is damaged ({finding})")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        finding: String,
    },
    /// It is whole, and of something else.
    #[error("{path} is another program's or another part's file ({finding})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        finding: String,
    },
    /// It was written by a newer program.
    #[error("{path} has schema version {found}, this program knows {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// What the file says.
        found: usize,
        /// What this program knows.
        known: usize,
    },
    /// It could not be looked at.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Unsound {
    /// What to do about it, as the end of a sentence.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Newer { .. } => "start the newer program",
            Self::Unreadable { .. } => "look at the disk and at the file's mode",
            _ => "put a copy in place with `naru restore COPY --replace`",
        }
    }
}

/// Looks at a file of the given schema. Nothing is written.
///
/// # Errors
/// If it is not sound.
pub fn inspect(path: &Path, migrations: &[&str], depth: Depth) -> Result<(), Unsound> {
    let size = head(path)?;
    let look = || -> rusqlite::Result<Option<Unsound>> {
        let connection = open(path)?;
        connection.execute_batch("BEGIN")?;
        if let Some(unsound) = identity(&connection, path, migrations)? {
            return Ok(Some(unsound));
        }
        let findings = if depth == Depth::Whole || size <= SMALL {
            thorough(&connection)?
        } else {
            skim(&connection, SAMPLES)?;
            Vec::new()
        };
        let finding = findings.join("; ");
        Ok((!finding.is_empty()).then(|| Unsound::Damaged { path: path.to_owned(), finding }))
    };
    match look() {
        Ok(None) => Ok(()),
        Ok(Some(unsound)) => Err(unsound),
        Err(error) if is_damage(&error) => {
            Err(Unsound::Damaged { path: path.to_owned(), finding: error.to_string() })
        }
        Err(error) => Err(Unsound::Unreadable { path: path.to_owned(), source: Box::new(error) }),
    }
}

/// Whether SQLite says that the file is not as it was written.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether any table holds a row.
pub(crate) fn holds_rows(path: &Path) -> Result<bool, Unsound> {
    head(path)?;
    let look = || -> rusqlite::Result<bool> {
        let connection = open(path)?;
        for table in tables(&connection)? {
            let any = format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(&table));
            if connection.query_row(&any, [], |row| row.get(0))? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    look().map_err(|error| {
        if is_damage(&error) {
            Unsound::Damaged { path: path.to_owned(), finding: error.to_string() }
        } else {
            Unsound::Unreadable { path: path.to_owned(), source: Box::new(error) }
        }
    })
}

/// What can be seen without SQLite, which would make an empty file its own and drop the log beside it. The file's size.
fn head(path: &Path) -> Result<u64, Unsound> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Unsound::Gone(path.to_owned()),
        _ => Unsound::Unreadable { path: path.to_owned(), source: Box::new(source) },
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size == 0 {
        return Err(Unsound::Empty(path.to_owned()));
    }
    let mut magic = [0; 16];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *MAGIC => Ok(size),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(unreadable(error)),
        _ => Err(Unsound::Damaged { path: path.to_owned(), finding: "it is not a database".to_owned() }),
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Whether the file is the one that this schema makes.
fn identity(connection: &Connection, path: &Path, migrations: &[&str]) -> rusqlite::Result<Option<Unsound>> {
    let known = migrations.len();
    let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let foreign = |finding: String| Some(Unsound::Foreign { path: path.to_owned(), finding });
    if application != 0 && application != APPLICATION_ID {
        return Ok(foreign(format!("application id {application}")));
    }
    let there: BTreeSet<String> = layout(connection)?;
    let expected = super::layout_of(&migrations[..found.min(known)])?;
    if found > known {
        // What has nothing that this file ever had is another file, whose schema has come further.
        let is_other = expected.is_disjoint(&there);
        let newer = Unsound::Newer { path: path.to_owned(), found, known };
        return Ok(if is_other { foreign("it has nothing of this file".to_owned()) } else { Some(newer) });
    }
    let missing: Vec<&str> = expected.difference(&there).map(String::as_str).collect();
    if !missing.is_empty() {
        return Ok(foreign(format!("it lacks {}", missing.join(", "))));
    }
    Ok(if found == 0 && !there.is_empty() { foreign("it has no version".to_owned()) } else { None })
}

fn thorough(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare(&format!("PRAGMA quick_check({})", FINDINGS + 1))?;
    let findings: rusqlite::Result<Vec<String>> = check.query_map([], |row| row.get(0))?.collect();
    let mut findings = findings?;
    findings.retain(|finding| finding != "ok");
    if findings.len() > FINDINGS {
        findings.truncate(FINDINGS);
        findings.push("and more".to_owned());
    }
    Ok(findings.into_iter().map(|finding| finding.replace('\n', " ")).collect())
}

/// Reads both ends of every table and index, and up to so many rows from all over every table.
pub(super) fn skim(connection: &Connection, samples: i64) -> rusqlite::Result<()> {
    for table in tables(connection)? {
        for (order, filter) in orders(connection, &table)? {
            let columns = order.join(", ");
            for direction in ["ASC", "DESC"] {
                let by: Vec<String> = order.iter().map(|column| format!("{column} {direction}")).collect();
                read_one(
                    connection,
                    &format!(
                        "SELECT {columns} FROM {}{filter} ORDER BY {} LIMIT 1",
                        quoted(&table),
                        by.join(", ")
                    ),
                    [],
                )?;
            }
        }
        read_one(connection, &format!("SELECT * FROM {} LIMIT 1", quoted(&table)), [])?;
        if samples > 0 && has_rowid(connection, &table)? {
            sample(connection, &table, samples)?;
        }
    }
    Ok(())
}

fn sample(connection: &Connection, table: &str, samples: i64) -> rusqlite::Result<()> {
    let name = quoted(table);
    let ends = format!("SELECT (SELECT min(rowid) FROM {name}), (SELECT max(rowid) FROM {name})");
    let ends = connection.query_row(&ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)): (Option<i64>, Option<i64>) = ends else { return Ok(()) };
    let step = (last.saturating_sub(first) / samples).max(1);
    let one = format!("SELECT * FROM {name} WHERE rowid >= ?1 ORDER BY rowid LIMIT 1");
    for number in 0..samples {
        read_one(connection, &one, [first.saturating_add(step.saturating_mul(number))])?;
    }
    Ok(())
}

fn read_one(connection: &Connection, query: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(params)?;
    rows.next().map(drop)
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut list = connection
        .prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
    list.query_map([], |row| row.get(0))?.collect()
}

fn has_rowid(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT wr = 0 FROM pragma_table_list(?1) WHERE schema = 'main'")?
        .query_row([table], |row| row.get(0))
}

/// For the table's own tree and each of its indexes: the columns that it is ordered by, and its condition if it is partial.
fn orders(connection: &Connection, table: &str) -> rusqlite::Result<Vec<(Vec<String>, String)>> {
    let mut orders = Vec::new();
    if has_rowid(connection, table)? {
        orders.push((vec!["rowid".to_owned()], String::new()));
    }
    let mut list = connection.prepare_cached(
        "SELECT list.name, schema.sql FROM pragma_index_list(?1) AS list \
         LEFT JOIN sqlite_schema AS schema ON schema.name = list.name",
    )?;
    let indexes: Vec<(String, Option<String>)> =
        list.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (index, sql) in indexes {
        let mut info = connection.prepare_cached("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
        let columns: Vec<String> = info
            .query_map([&index], |row| Ok(quoted(&row.get::<_, String>(0)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let filter = sql.as_deref().and_then(|sql| sql.split_once(" WHERE "));
        orders.push((columns, filter.map_or_else(String::new, |(_, rest)| format!(" WHERE {rest}"))));
    }
    Ok(orders)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::OpenOptions,
        io::{Seek, SeekFrom, Write},
    };

    use super::*;

    const SCHEMA: &[&str] =
        &["CREATE TABLE t (k INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, v TEXT NOT NULL) STRICT; \
         CREATE INDEX t_long ON t (v) WHERE k % 2 = 0; \
         CREATE TABLE u (a TEXT, b INTEGER, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID"];

    /// A file of some thousand pages.
    fn filled() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let connection = super::super::connect(&path).unwrap();
        super::super::migrate(&connection, SCHEMA).unwrap();
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)";
        connection
            .execute_batch(&format!(
                "INSERT INTO t {rows} SELECT i, randomblob(16), hex(randomblob(100)) FROM n; \
                 INSERT INTO u {rows} SELECT 'a', i FROM n; PRAGMA wal_checkpoint(TRUNCATE)"
            ))
            .unwrap();
        (dir, path)
    }

    fn overwrite(path: &Path, from: u64, to: u64) {
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(from * 4_096)).unwrap();
        file.write_all(&vec![0xa5; usize::try_from((to - from) * 4_096).unwrap()]).unwrap();
    }

    fn skims(path: &Path) -> bool {
        skim(&open(path).unwrap(), SAMPLES).is_ok()
    }

    #[test]
    fn a_sound_file_is_sound_at_every_depth() {
        let (_dir, path) = filled();
        inspect(&path, SCHEMA, Depth::Start).unwrap();
        inspect(&path, SCHEMA, Depth::Whole).unwrap();
        assert!(skims(&path));
    }

    #[test]
    fn a_cheap_look_sees_damage_at_every_root_at_the_end_and_over_a_tenth_of_a_table() {
        let (_dir, path) = filled();
        let whole = std::fs::read(&path).unwrap();
        let connection = open(&path).unwrap();
        let roots: Vec<u64> = connection
            .prepare("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        drop(connection);
        assert_eq!(roots.len(), 4);
        let pages = whole.len() as u64 / 4_096;
        // Rows of the first table fill most of the first half.
        let harms = roots.iter().map(|root| (root - 1, *root)).chain([(pages / 5, pages / 5 + pages / 10)]);
        for (from, to) in harms {
            overwrite(&path, from, to);
            assert!(!skims(&path), "pages {from} to {to} of {pages}");
            assert!(matches!(inspect(&path, SCHEMA, Depth::Start), Err(Unsound::Damaged { .. })));
            std::fs::write(&path, &whole).unwrap();
        }
        OpenOptions::new().write(true).open(&path).unwrap().set_len(pages / 2 * 4_096).unwrap();
        assert!(!skims(&path), "cut");
        std::fs::write(&path, &whole).unwrap();
        assert!(skims(&path));
    }

    #[test]
    fn a_thorough_look_sees_a_single_page() {
        let (_dir, path) = filled();
        let pages = std::fs::metadata(&path).unwrap().len() / 4_096;
        overwrite(&path, pages / 3, pages / 3 + 1);
        assert!(matches!(inspect(&path, SCHEMA, Depth::Whole), Err(Unsound::Damaged { .. })));
    }
}
