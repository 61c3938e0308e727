use super::*;

const SCHEMA: &[&str] =
    &["CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL CHECK (length(v) < 10)) STRICT"];

fn open() -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&dir.path().join("t.db"), SCHEMA, Duration::ZERO).unwrap();
    (dir, db)
}

async fn insert(db: &Db, key: i64, value: &'static str) -> Result<usize, DbError> {
    db.write(move |c| c.prepare_cached("INSERT INTO t VALUES (?1, ?2)")?.execute((key, value))).await
}

async fn count(db: &Db) -> i64 {
    db.read(|c| c.query_row("SELECT count(*) FROM t", [], |row| row.get(0))).await.unwrap()
}

#[tokio::test]
async fn the_bundled_sqlite_is_recent_enough() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

#[tokio::test]
async fn a_refused_job_leaves_the_others_of_its_group_in_force() {
    let (_dir, db) = open();
    let jobs = (0..100).map(|key| {
        let db = db.clone();
        tokio::spawn(
            async move { insert(&db, key, if key % 10 == 0 { "much too long" } else { "ok" }).await },
        )
    });
    let mut refused = 0;
    for job in jobs.collect::<Vec<_>>() {
        if let Err(error) = job.await.unwrap() {
            assert!(error.is_data());
            refused += 1;
        }
    }
    assert_eq!((refused, count(&db).await), (10, 90));
}

#[tokio::test]
async fn a_job_that_panics_is_undone_and_the_thread_lives() {
    let (_dir, db) = open();
    let result: Result<(), DbError> = db
        .write(|c| {
            c.execute("INSERT INTO t VALUES (1, 'x')", [])?;
            panic!("on purpose");
        })
        .await;
    assert!(matches!(result, Err(DbError::Panicked)));
    assert_eq!(count(&db).await, 0);
    insert(&db, 2, "y").await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn what_follows_a_commit_runs_even_if_the_caller_has_gone() {
    let (_dir, db) = open();
    let (tell, told) = std::sync::mpsc::channel();
    let call =
        db.write_then(|c| c.execute("INSERT INTO t VALUES (1, 'x')", []), move |_| tell.send(()).unwrap());
    drop(tokio::time::timeout(Duration::ZERO, call).await);
    tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(5)).unwrap()).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let (dir, db) = open();
    db.write(|c| c.pragma_update(None, "user_version", 9)).await.unwrap();
    assert!(matches!(
        Db::open(&dir.path().join("t.db"), SCHEMA, Duration::ZERO),
        Err(DbError::Newer { found: 9, known: 1 })
    ));
}

#[tokio::test]
async fn what_a_full_file_refuses_is_known_to_have_had_no_effect() {
    let (_dir, db) = open();
    db.write(|c| {
        c.execute_batch("CREATE TABLE big (v BLOB) STRICT")?;
        let pages: i64 = c.pragma_query_value(None, "page_count", |row| row.get(0))?;
        c.pragma_update_and_check(None, "max_page_count", pages + 20, |_| Ok(()))
    })
    .await
    .unwrap();
    let (mut written, mut refused) = (0, 0);
    for _ in 0..30 {
        match db.write(|c| c.execute("INSERT INTO big VALUES (zeroblob(8000))", [])).await {
            Ok(_) => written += 1,
            Err(error) => {
                assert!(matches!(error, DbError::Undone(_)) && error.is_without_effect(), "{error:?}");
                refused += 1;
            }
        }
    }
    let count: i64 =
        db.read(|c| c.query_row("SELECT count(*) FROM big", [], |row| row.get(0))).await.unwrap();
    assert!(refused > 0 && count == written, "{written} written, {refused} refused, {count} there");
    insert(&db, 1, "small").await.unwrap();
}

#[test]
fn only_some_failures_of_a_commit_tell_that_nothing_was_written() {
    let failed = |code| DbError::from(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
    for code in [rusqlite::ffi::SQLITE_FULL, rusqlite::ffi::SQLITE_BUSY] {
        assert!(failed(code).at_commit().is_without_effect());
    }
    for code in [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_IOERR_WRITE] {
        assert!(!failed(code).at_commit().is_without_effect());
        assert!(failed(code).before_commit().is_without_effect());
    }
}
