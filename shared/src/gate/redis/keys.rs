//! Idempotency keys: in flight, or with their first answer.

use std::{sync::Arc, time::Duration};

use redis::{Script, ScriptInvocation};
use serde::{Deserialize, Serialize};

use super::{names::Names, times::Times, watch};
use crate::{
    domain::{Account, Fingerprint, Key, MessageId, RouteName, Timestamp, Units},
    gate::{FirstAnswer, KeyVerdict, patience},
    redis::{Link, LinkError},
};

/// After this the call that holds a key is taken for lost.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// A claim: `I`, the fingerprint, since when. An answer: `A`, the fingerprint, the answer.
const BEGIN: &str = "
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local known = redis.call('GET', KEYS[1])
if known then
  local state, rest = known:sub(1, 1), known:sub(18)
  if state == 'A' or now < tonumber(rest) + tonumber(ARGV[3]) then
    if known:sub(2, 17) ~= ARGV[2] then return { 'C', '' } end
    if state == 'A' then return { 'A', rest } end
    return { 'F', '' }
  end
end
redis.call('SET', KEYS[1], 'I' .. ARGV[2] .. string.format('%.0f', now), 'PX', ARGV[4])
return { 'N', '' }
";

/// Of a key that was forgotten meanwhile nothing is kept: its content is not known here.
const FINISH: &str = "
local known = redis.call('GET', KEYS[1])
if known then redis.call('SET', KEYS[1], 'A' .. known:sub(2, 17) .. ARGV[1], 'PX', ARGV[2]) end
return 1
";

/// An answer is never forgotten by this.
const ABANDON: &str = "
local known = redis.call('GET', KEYS[1])
if known and known:sub(1, 1) == 'I' then redis.call('DEL', KEYS[1]) end
return 1
";

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: MessageId,
    units: Units,
    route: RouteName,
    accepted_at: Timestamp,
}

/// The keys of everybody.
pub(super) struct Keys {
    link: Arc<Link>,
    names: Names,
    times: Times,
    /// How long an answer is remembered.
    answers: Duration,
    begin: Script,
    finish: Script,
    abandon: Script,
}

pub(super) fn scripts() -> [Script; 3] {
    [BEGIN, FINISH, ABANDON].map(Script::new)
}

impl Keys {
    pub(super) fn new(link: Arc<Link>, names: Names, times: Times, answers: Duration) -> Self {
        let [begin, finish, abandon] = scripts();
        Self { link, names, times, answers, begin, finish, abandon }
    }

    /// Claims a key: one of many callers at once gets [`KeyVerdict::New`].
    pub(super) async fn begin(
        &self,
        account: &Account,
        key: &Key,
        fingerprint: Fingerprint,
    ) -> Result<KeyVerdict, LinkError> {
        let mut call = self.begin.key(self.names.key(account, key));
        call.arg(self.times.for_script()).arg(&fingerprint.0[..]).arg(micros(IN_FLIGHT));
        call.arg(micros(IN_FLIGHT * 2) / 1_000);
        let (word, rest): (String, String) = self.ask(call).await?;
        match word.as_str() {
            "N" => Ok(KeyVerdict::New),
            "F" => Ok(KeyVerdict::InFlight),
            "C" => Ok(KeyVerdict::Conflict),
            "A" => answer(&rest).map(KeyVerdict::Answered),
            _ => Err(watch::strange("the answer about a key is none that is known")),
        }
    }

    /// Remembers the first answer to a key.
    pub(super) async fn finish(
        &self,
        account: &Account,
        key: &Key,
        answer: FirstAnswer,
    ) -> Result<(), LinkError> {
        let FirstAnswer { id, units, route, accepted_at } = answer;
        let kept = serde_json::to_string(&Kept { id, units, route, accepted_at })
            .map_err(|_| watch::strange("the answer to a key cannot be written"))?;
        let mut call = self.finish.key(self.names.key(account, key));
        call.arg(kept).arg(micros(self.answers) / 1_000);
        self.ask(call).await
    }

    /// Forgets a key whose call was refused before publish.
    pub(super) async fn abandon(&self, account: &Account, key: &Key) -> Result<(), LinkError> {
        self.ask(self.abandon.key(self.names.key(account, key))).await
    }

    async fn ask<T: redis::FromRedisValue>(&self, call: ScriptInvocation<'_>) -> Result<T, LinkError> {
        patience::within(self.link.timeout(), |most| {
            self.link.run(most, |mut c| async move { call.invoke_async(&mut c).await })
        })
        .await
    }
}

fn answer(text: &str) -> Result<FirstAnswer, LinkError> {
    let kept: Kept =
        serde_json::from_str(text).map_err(|_| watch::strange("the answer to a key cannot be read"))?;
    let Kept { id, units, route, accepted_at } = kept;
    Ok(FirstAnswer { id, units, route, accepted_at })
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
