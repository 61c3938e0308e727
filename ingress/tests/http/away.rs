//! A gate that cannot ask anybody, and what customers said of that.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use naru_shared::{
    domain::{
        Account, ChannelName, Day, Fingerprint, GatePolicy, Key, MessageId, NonceMark, Quota, RatePolicy,
        RouteName, Units,
    },
    gate::{ContentMark, Delay, FirstAnswer, Gate, GateError, KeyVerdict, QuotaVerdict, RateVerdict},
    ledger::{QuotaUse, Waiting},
};
use serde_json::json;

use crate::gateway::{Gateway, JSON, LIVE, Setup, rate, sms};

/// Its own share is used up.
pub struct Away;

fn away<T>() -> Result<T, GateError> {
    Err(GateError("nobody answers".into()))
}

#[async_trait]
impl Gate for Away {
    async fn rate(&self, _: &Account, _: &[RatePolicy], _: u32) -> Result<RateVerdict, GateError> {
        let share = RateVerdict::Over(Vec::new(), Duration::from_millis(1_500));
        Ok(RateVerdict::Away(Box::new(share)))
    }

    async fn begin(&self, _: &Account, _: &Key, _: Fingerprint) -> Result<KeyVerdict, GateError> {
        away()
    }

    async fn finish(&self, _: &Account, _: &Key, _: FirstAnswer) -> Result<(), GateError> {
        away()
    }

    async fn abandon(&self, _: &Account, _: &Key) -> Result<(), GateError> {
        away()
    }

    async fn spend(&self, _: &Account, _: NonceMark, _: Duration) -> Result<bool, GateError> {
        away()
    }

    async fn claim_content(
        &self,
        _: &Account,
        _: ContentMark,
        _: MessageId,
        _: Duration,
    ) -> Result<Option<Duration>, GateError> {
        away()
    }

    async fn free_content(&self, _: &Account, _: ContentMark, _: MessageId) -> Result<(), GateError> {
        away()
    }

    async fn reserve(
        &self,
        _: &Account,
        _: &ChannelName,
        _: &[Arc<Quota>],
        _: Day,
        _: Units,
    ) -> Result<QuotaVerdict, GateError> {
        away()
    }

    async fn give_back(
        &self,
        _: &Account,
        _: &ChannelName,
        _: &[Arc<Quota>],
        _: Day,
        _: Units,
    ) -> Result<(), GateError> {
        away()
    }

    async fn observe_quota(&self, _: &[QuotaUse]) -> Result<(), GateError> {
        away()
    }

    async fn observe_waiting(&self, _: &[Waiting], _: &[Delay]) -> Result<(), GateError> {
        away()
    }

    async fn delay(&self, _: &Account, _: &RouteName) -> Result<Option<Duration>, GateError> {
        away()
    }

    async fn waiting(&self, _: &Account, _: &RouteName) -> Result<(u64, u64), GateError> {
        away()
    }
}

async fn answers(gate_policy: GatePolicy) -> (u16, String, Option<String>) {
    let setup = Setup {
        rates: vec![rate(10, 1, 10)],
        gate_policy: Some(gate_policy),
        quota: Some(10),
        ..Setup::default()
    };
    let gateway = Gateway::with(setup).await;
    let headers = [LIVE, JSON, ("Idempotency-Key", "k")];
    let reply = gateway.call("POST", "/v1.0/messages", &headers, &sms("a").to_string()).await;
    let batch = json!({ "messages": [sms("b"), sms("c")] }).to_string();
    let other = gateway.call("POST", "/v1.0/messages/batch", &[LIVE, JSON], &batch).await;
    assert_eq!(reply.status, other.status, "a batch fares as a message does");
    let code = if reply.status == 202 { String::new() } else { reply.code() };
    (reply.status, code, reply.header("retry-after").map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_gate_is_away_the_customer_s_policy_decides_and_nobody_is_told_of_a_wrong_secret() {
    let refused = |status, code: &str, after: &str| (status, code.to_owned(), Some(after.to_owned()));
    assert_eq!(answers(GatePolicy::Open).await, (202, String::new(), None));
    assert_eq!(answers(GatePolicy::Local).await, refused(429, "rate-limited", "2"));
    assert_eq!(answers(GatePolicy::Closed).await, refused(503, "unavailable", "1"));
}
