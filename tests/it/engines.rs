//! Private engines start, keep what they confirmed, and leave nothing behind.

use std::time::{Duration, Instant};

use naru_tests::engines::{AwsEmulator, Flavour, Postgres, RabbitMq, Redis, Stop};

use crate::stage::beside_others;

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
    let _beside = beside_others();
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
    let _beside = beside_others();
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
    let _beside = beside_others();
    let mut rabbit = RabbitMq::start()?;
    rabbit.stop(Stop::Kill)?;
    rabbit.begin()?;
    let (pid, home) = (rabbit.pid(), rabbit.home().to_owned());
    drop(rabbit);
    assert!(is_gone(pid));
    assert!(!home.exists());
    Ok(())
}

/// Each emulator of AWS starts, keeps its address over a restart, and listens on loopback only.
#[test]
fn emulators_of_aws_listen_on_loopback_only() {
    let _beside = beside_others();
    for flavour in [Flavour::Ministack, Flavour::Fauxqs, Flavour::FauxqsOnDisk] {
        let mut emulator = AwsEmulator::start(flavour).unwrap();
        emulator.stop(Stop::Kill).unwrap();
        emulator.begin().unwrap();
        let listening = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let port = format!(":{:04X}", emulator.port());
        let addresses: Vec<&str> = listening
            .lines()
            .filter_map(|line| {
                let mut fields = line.split_whitespace().skip(1);
                let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
                (state == "0A" && local.ends_with(&port)).then_some(local)
            })
            .collect();
        assert_eq!(addresses, [format!("0100007F{port}")], "{flavour:?}");
        let everywhere = std::fs::read_to_string("/proc/net/tcp6").unwrap();
        assert!(
            !everywhere.lines().any(|line| line.contains(&format!("{port} 0"))),
            "{flavour:?}: {everywhere}"
        );
    }
}
