//! Tables in PostgreSQL, MariaDB and SQLite keep every guarantee, by each kind of mapping.

use std::sync::{Mutex, OnceLock, PoisonError};

use naru_shared::{
    domain::{Clock, SystemClock, TableBackend, preset},
    table::MessageTable,
};
use naru_tests::{
    conformance::table::Fixture,
    engines::{MariaDb, Postgres},
};

static MARIADB: OnceLock<Result<Mutex<MariaDb>, String>> = OnceLock::new();

/// One private MariaDB for all tests of this process.
pub(crate) fn mariadb<T>(ask: impl FnOnce(&MariaDb) -> anyhow::Result<T>) -> anyhow::Result<T> {
    match MARIADB.get_or_init(|| MariaDb::start().map(Mutex::new).map_err(|error| format!("{error:#}"))) {
        Ok(server) => ask(&server.lock().unwrap_or_else(PoisonError::into_inner)),
        Err(error) => anyhow::bail!("{error}"),
    }
}

fn backend(url: &str, mapping: &str) -> anyhow::Result<TableBackend> {
    Ok(TableBackend { url: url.parse()?, mapping: preset(mapping).unwrap() })
}

async fn made(backend: &TableBackend) -> anyhow::Result<MessageTable> {
    let table = MessageTable::new(backend)?;
    table.create(None).await?;
    Ok(table)
}

/// Whoever asks does so between two moments: a turn of the month is not one of them for long.
fn month() -> String {
    SystemClock.now().plus(std::time::Duration::ZERO).to_string()[..7].to_owned()
}

macro_rules! fixture {
    ($name:ident, $engine:ident, $mapping:literal) => {
        mod $name {
            use super::*;

            struct Bed {
                place: $engine,
                backend: TableBackend,
                table: MessageTable,
            }

            impl Fixture for Bed {
                const BOUNDS_TEXT: bool = $engine::BOUNDS_TEXT;

                async fn fresh() -> anyhow::Result<Self> {
                    let place = $engine::fresh().await?;
                    let backend = backend(&place.url(), $mapping)?;
                    let table = made(&backend).await?;
                    Ok(Self { place, backend, table })
                }

                fn table(&self) -> &MessageTable {
                    &self.table
                }

                fn other(&self) -> anyhow::Result<MessageTable> {
                    Ok(MessageTable::new(&self.backend)?)
                }

                fn month(&self) -> String {
                    month()
                }

                async fn agent(&self, statement: &str) -> anyhow::Result<String> {
                    self.place.sql(statement)
                }
            }

            naru_tests::table_conformance!(Bed);
        }
    };
}

struct OnPostgres(String);

impl OnPostgres {
    const BOUNDS_TEXT: bool = true;

    async fn fresh() -> anyhow::Result<Self> {
        Ok(Self(crate::postgres::empty_database().await?.url))
    }

    fn url(&self) -> String {
        self.0.clone()
    }

    fn sql(&self, statement: &str) -> anyhow::Result<String> {
        Postgres::psql_at(&self.0, statement)
    }
}

struct OnMariaDb {
    name: String,
    url: String,
}

impl OnMariaDb {
    const BOUNDS_TEXT: bool = true;

    async fn fresh() -> anyhow::Result<Self> {
        let (name, url) = tokio::task::spawn_blocking(|| {
            mariadb(|server| {
                let name = server.database()?;
                let url = server.url(&name);
                Ok((name, url))
            })
        })
        .await??;
        Ok(Self { name, url })
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn sql(&self, statement: &str) -> anyhow::Result<String> {
        // Its client writes a backslash as two.
        Ok(mariadb(|server| server.sql(&self.name, statement))?.replace("\\\\", "\\"))
    }
}

struct OnSqlite(tempfile::TempDir);

impl OnSqlite {
    const BOUNDS_TEXT: bool = false;

    async fn fresh() -> anyhow::Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("relay.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    fn sql(&self, statement: &str) -> anyhow::Result<String> {
        let connection = rusqlite::Connection::open(self.path())?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        let mut prepared = connection.prepare(statement)?;
        let mut rows = prepared.query([])?;
        let Some(row) = rows.next()? else { return Ok(String::new()) };
        Ok(match row.get_ref(0)? {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            value => value.as_str()?.to_owned(),
        })
    }
}

fixture!(postgres_naru, OnPostgres, "naru");
fixture!(postgres_em_tran, OnPostgres, "em_tran");
fixture!(postgres_biz_msg, OnPostgres, "BIZ_MSG");
fixture!(mariadb_naru, OnMariaDb, "naru");
fixture!(mariadb_em_tran, OnMariaDb, "em_tran");
fixture!(mariadb_sc_tran, OnMariaDb, "SC_TRAN");
fixture!(sqlite_naru, OnSqlite, "naru");
fixture!(sqlite_em_tran, OnSqlite, "em_tran");

/// What only SQLite lets an agent write.
mod text_that_is_none {
    use naru_shared::table::Turn;

    use super::*;

    fn work(number: u128) -> naru_shared::ledger::Work {
        naru_tests::conformance::table::work(number, 1).unwrap()
    }

    async fn holds_up_no_other(mapping: &str) {
        let place = OnSqlite::fresh().await.unwrap();
        let table = made(&backend(&place.url(), mapping).unwrap()).await.unwrap();
        let works = [work(1), work(2)];
        let drafts: Vec<_> =
            works.iter().map(|work| (work.clone(), table.draft(work, None).unwrap())).collect();
        for answer in table.insert(&drafts).await {
            answer.unwrap();
        }
        let columns = &table.mapping().columns;
        let (live, status) = (&table.mapping().table, &columns.status);
        let text = columns.result_text.as_ref().or(columns.result.as_ref()).unwrap();
        let key = columns.id.as_ref().unwrap_or(&columns.key);
        let state = table.mapping().final_states()[0].to_owned();
        let revised = columns.report_rev.as_ref().map(|rev| format!(", {rev} = 1")).unwrap_or_default();
        place.sql(&format!("UPDATE {live} SET {status} = '{state}'{revised}")).unwrap();
        let bad = works[0].row.id;
        place
            .sql(&format!("UPDATE {live} SET {text} = CAST(x'ff41' AS text) WHERE {key} = '{bad}'"))
            .unwrap();
        let mut told = table.collect(Turn::Quick, 100).await.unwrap();
        told.sort_by_key(|told| told.row.row);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[1].row.id, works[1].row.id);
        assert!(told[0].detail.contains("\u{fffd}A") || told[0].detail.contains("\\u{fffd}A"), "{told:?}");
        // Once it was taken it is not told for ever.
        table.taken(&told).await.unwrap();
        assert!(table.collect(Turn::Whole, 100).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn holds_up_no_other_where_reports_are_numbered() {
        holds_up_no_other("naru").await;
    }

    #[tokio::test]
    async fn holds_up_no_other_where_reports_are_compared() {
        holds_up_no_other("em_tran").await;
    }
}

/// Rows of others that are there before the route is.
macro_rules! others_first {
    ($name:ident, $engine:ident) => {
        mod $name {
            use super::*;

            #[tokio::test]
            async fn a_first_number_among_those_of_others_is_refused_and_one_above_them_is_given() {
                let place = $engine::fresh().await.unwrap();
                let mut backend = backend(&place.url(), "em_tran").unwrap();
                // The carrier's table, without anything of ours.
                made(&backend).await.unwrap();
                place.sql("DROP TABLE em_tran_naru").unwrap();
                let row = "INSERT INTO em_tran (tran_pr, tran_phone, tran_status, tran_date, tran_type, tran_etc1) \
                           VALUES (41, '0101', '1', '2026-01-01 00:00:00', 4, 'order-1')";
                place.sql(row).unwrap();
                let why = made(&backend).await.err().unwrap().to_string();
                assert!(why.contains("41") && why.contains("first_number"), "{why}");
                // Where they have moved them is looked at as well.
                let log = backend.mapping.log_of(month()[..4].parse().unwrap(), month()[5..].parse().unwrap());
                let log = log.unwrap();
                place.sql(&format!("CREATE TABLE {log} AS SELECT * FROM em_tran")).unwrap();
                place.sql(&format!("UPDATE {log} SET tran_pr = 1041")).unwrap();
                backend.mapping.first_number = 1_000;
                let why = made(&backend).await.err().unwrap().to_string();
                assert!(why.contains("1041"), "{why}");
                backend.mapping.first_number = 5_000;
                let table = made(&backend).await.unwrap();
                let insert = async |table: &MessageTable, number| {
                    let work = naru_tests::conformance::table::work(number, 1).unwrap();
                    let draft = table.draft(&work, None).unwrap();
                    table.insert(&[(work, draft)]).await.remove(0).unwrap();
                    place.sql("SELECT max(tran_pr) FROM em_tran").unwrap()
                };
                assert_eq!(insert(&table, 1).await, "5000");
                // Ours are no reason to refuse it, and numbers go on from there, or from further up if that is said.
                let again = made(&backend).await.unwrap();
                let next = insert(&again, 2).await.parse::<u64>().unwrap();
                assert!((5_001..5_100).contains(&next), "{next}");
                backend.mapping.first_number = 9_000;
                assert_eq!(insert(&made(&backend).await.unwrap(), 3).await, "9000");
                backend.mapping.first_number = 5_000;
                let last = insert(&made(&backend).await.unwrap(), 4).await.parse::<u64>().unwrap();
                assert!((9_001..9_100).contains(&last), "it never goes back: {last}");
            }

            #[tokio::test]
            async fn numbers_without_a_column_for_the_id_are_refused() {
                let place = $engine::fresh().await.unwrap();
                let mut backend = backend(&place.url(), "em_tran").unwrap();
                backend.mapping.columns.id = None;
                let why = made(&backend).await.err().unwrap().to_string();
                assert!(why.contains("`id`"), "{why}");
            }
        }
    };
}

others_first!(postgres_others_first, OnPostgres);
others_first!(mariadb_others_first, OnMariaDb);
others_first!(sqlite_others_first, OnSqlite);

/// What a database finds out only when the statements are made.
mod mappings_that_cannot_work {
    use naru_shared::{domain::TableKey, table::Turn};

    use super::*;

    async fn refused(table: &str, edit: impl FnOnce(&mut TableBackend)) -> String {
        let place = OnPostgres::fresh().await.unwrap();
        let mut backend = backend(&place.url(), "naru").unwrap();
        if !table.is_empty() {
            place.sql(table).unwrap();
        }
        edit(&mut backend);
        made(&backend).await.err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn theirs(backend: &mut TableBackend) {
        let mapping = &mut backend.mapping;
        let columns = &mut mapping.columns;
        mapping.definition.clear();
        mapping.carrier.clear();
        mapping.log = None;
        mapping.table = "out_box".into();
        (columns.key, columns.status) = ("no".into(), "st".into());
        (columns.recipient, columns.body) = ("dest".into(), "words".into());
        (columns.channel, columns.sender, columns.subject) = (None, None, None);
        (columns.attachments, columns.data, columns.lane) = (None, None, None);
        (columns.send_at, columns.expires_at, columns.created_at) = (None, None, None);
        (columns.collected_rev, columns.report_rev, columns.gateway_id) = (None, None, None);
        (columns.result, columns.result_text, columns.withdrawn_at) = (None, None, None);
    }

    #[tokio::test]
    async fn a_column_of_another_type_is_told_when_the_table_is_made() {
        let plain = "CREATE TABLE out_box (no varchar(40) PRIMARY KEY, dest text, words text, st text)";
        assert_eq!(refused(plain, theirs).await, "", "as it is it can be used");
        for (bad, why) in [
            (plain.replace("words text", "words jsonb"), "jsonb"),
            (plain.replace("dest text", "dest timestamptz"), "timestamp"),
            (plain.replace("st text", "st int"), "READY"),
            (plain.replace("no varchar(40)", "no bigint"), "bigint"),
        ] {
            let told = refused(&bad, theirs).await;
            assert!(told.contains(why), "{bad}: {told}");
        }
        let tagged = plain.replace("st text", "st text, tag jsonb");
        let told = refused(&tagged, |backend| {
            theirs(backend);
            let fixed = [("tag".to_owned(), "no JSON".to_owned())].into();
            backend.mapping.channel.insert("mms".into(), fixed);
        });
        let told = told.await;
        assert!(told.contains("json"), "what one channel alone writes is tried too: {told}");
    }

    #[tokio::test]
    async fn numbers_for_a_column_of_text_are_told_when_the_table_is_made() {
        let theirs_by_number = |backend: &mut TableBackend| {
            theirs(backend);
            backend.mapping.key = TableKey::Number;
            backend.mapping.columns.id = Some("ours".into());
        };
        let table =
            "CREATE TABLE out_box (no varchar(40) PRIMARY KEY, dest text, words text, st text, ours text)";
        let told = refused(table, theirs_by_number).await;
        assert!(told.contains("operator does not exist"), "{told}");
        let told = refused(&table.replace("varchar(40)", "bigint"), theirs_by_number).await;
        assert_eq!(told, "");
    }

    /// The table holds 2 where the mapping says 02: the database finds such rows, and they say nothing.
    #[tokio::test]
    async fn what_cannot_be_read_is_looked_at_once() {
        let place = OnPostgres::fresh().await.unwrap();
        let mut backend = backend(&place.url(), "BIZ_MSG").unwrap();
        backend.mapping.status.reported = vec!["02".into(), "3".into()];
        let table = made(&backend).await.unwrap();
        let works: Vec<_> =
            (1..=3).map(|number| naru_tests::conformance::table::work(number, 1).unwrap()).collect();
        let drafts: Vec<_> =
            works.iter().map(|work| (work.clone(), table.draft(work, None).unwrap())).collect();
        for answer in table.insert(&drafts).await {
            answer.unwrap();
        }
        let set = |state: &str, id: &str| {
            let sql =
                format!("UPDATE BIZ_MSG SET STATUS = {state}, CALL_STATUS = '4100' WHERE CMID = '{id}'");
            place.sql(&sql).unwrap();
        };
        for work in &works {
            set("2", &work.row.id.to_string());
        }
        let good = works[1].row.id;
        set("3", &good.to_string());
        let mut found = Vec::new();
        for _ in 0..4 {
            found.extend(table.collect(Turn::Quick, 1).await.unwrap());
        }
        assert!(!found.is_empty() && found.iter().all(|told| told.row.id == good), "{found:?}");
        let seen = place.sql("SELECT count(*) FROM BIZ_MSG_naru WHERE seen IS NOT NULL").unwrap();
        assert_eq!(seen, "2", "they do not come again");
        set("3", &works[0].row.id.to_string());
        let put_right = table.collect(Turn::Whole, 100).await.unwrap();
        assert!(put_right.iter().any(|told| told.row.id == works[0].row.id), "{put_right:?}");
    }
}
