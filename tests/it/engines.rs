//! Private engines start, keep what they confirmed, and leave nothing behind.

use std::time::{Duration, Instant};

use naru_tests::engines::{Postgres, RabbitMq, Redis, Stop};

fn is_gone(pid: Option<u32>) -> bool {
    let path = format!("/proc/{}", pid.unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::path::Path::new(&path).exists() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn a_private_redis_starts_again_with_what_it_had_and_leaves_nothing() -> anyhow::Result<()> {
    let mut redis = Redis::start()?;
    redis.stop(Stop::Orderly)?;
    redis.begin()?;
    redis.flush_all()?;
    assert!(redis.commands()? > 0);
    let pid = redis.pid();
    drop(redis);
    assert!(is_gone(pid));
    Ok(())
}

#[test]
fn a_private_postgres_survives_an_immediate_stop_and_leaves_nothing() -> anyhow::Result<()> {
    let mut postgres = Postgres::start()?;
    postgres.psql("postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")?;
    postgres.stop(Stop::Immediate)?;
    postgres.begin()?;
    assert_eq!(postgres.psql("postgres", "SELECT n FROM kept")?, "7");
    let pid = postgres.pid();
    drop(postgres);
    assert!(is_gone(pid));
    Ok(())
}

#[test]
fn a_private_rabbitmq_survives_a_kill_and_leaves_nothing() -> anyhow::Result<()> {
    let mut rabbit = RabbitMq::start()?;
    rabbit.stop(Stop::Kill)?;
    rabbit.begin()?;
    let (pid, home) = (rabbit.pid(), rabbit.home().to_owned());
    drop(rabbit);
    assert!(is_gone(pid));
    assert!(!home.exists());
    Ok(())
}
