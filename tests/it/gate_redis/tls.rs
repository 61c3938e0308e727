//! TLS to Redis: who answers must be who was meant.

use std::{path::PathBuf, time::Duration};

use naru_shared::{
    gate::{Gate, RateVerdict, RedisGate, Times},
    redis::RedisSettings,
};
use naru_tests::engines::{Redis, until};

use super::front::{Front, acme};

use crate::stage::beside_others;

fn settings(url: String, ca_file: Option<PathBuf>) -> RedisSettings {
    RedisSettings { url, ca_file, prefix: "tls".to_owned(), timeout: Duration::from_secs(2) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_or_for_another_name_is_not_talked_to() -> anyhow::Result<()> {
    let _beside = beside_others();
    let redis = Redis::start_tls()?;
    let (url, ca) = redis.tls("localhost")?;
    let (numbered, _) = redis.tls("127.0.0.1")?;
    let front = Front::start(&settings(url.clone(), Some(ca.clone())), Times::of_the_server()).await?;
    let policy = naru_shared::domain::RatePolicy { name: "p".into(), limit: 1, window_seconds: 1, burst: 1 };
    assert!(!matches!(front.gate.rate(&acme(), &[policy], 1).await?, RateVerdict::Away(_)));
    for refused in [settings(url, None), settings(numbered, Some(ca))] {
        let runtime = tokio::runtime::Handle::current();
        let (gate, keep) =
            RedisGate::open(&refused, naru_shared::gate::ANSWERS, Times::of_the_server(), &runtime)?;
        let keeping = tokio::spawn(keep);
        let up = tokio::time::timeout(Duration::from_secs(2), until(|| gate.is_up())).await;
        assert!(up.is_err(), "{} was talked to", refused.url);
        keeping.abort();
    }
    Ok(())
}
