use super::*;

const SCHEMA: &[&str] =
    &["CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT NOT NULL CHECK (length(v) < 10)) STRICT"];

fn open() -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&dir.path().join("t.db"), SCHEMA).unwrap();
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
    assert!(matches!(Db::open(&dir.path().join("t.db"), SCHEMA), Err(DbError::Newer { found: 9, known: 1 })));
}
