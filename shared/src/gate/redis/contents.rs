//! Contents that were sent a moment ago: who has one, and until when.

use std::{sync::Arc, time::Duration};

use redis::{Script, ScriptInvocation};

use super::{names::Names, times::Times};
use crate::{
    domain::{Account, MessageId},
    gate::{ContentMark, patience},
    redis::{Link, LinkError},
};

/// The message that has it, in 32 digits, and until when. The answer: microseconds that another still has it, or 0.
const CLAIM: &str = "
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local known = redis.call('GET', KEYS[1])
if known then
  local left = tonumber(known:sub(33)) - now
  if left > 0 then
    if known:sub(1, 32) == ARGV[2] then return 0 end
    return left
  end
end
redis.call('SET', KEYS[1], ARGV[2] .. string.format('%.0f', now + tonumber(ARGV[3])), 'PX', ARGV[4])
return 0
";

/// What another has is not given back.
const FREE: &str = "
local known = redis.call('GET', KEYS[1])
if known and known:sub(1, 32) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
";

/// The contents of everybody.
pub(super) struct Contents {
    link: Arc<Link>,
    names: Names,
    times: Times,
    claim: Script,
    free: Script,
}

pub(super) fn scripts() -> [Script; 2] {
    [CLAIM, FREE].map(Script::new)
}

impl Contents {
    pub(super) fn new(link: Arc<Link>, names: Names, times: Times) -> Self {
        let [claim, free] = scripts();
        Self { link, names, times, claim, free }
    }

    /// Claims one: how long another message still has it.
    pub(super) async fn claim(
        &self,
        account: &Account,
        mark: ContentMark,
        by: MessageId,
        span: Duration,
    ) -> Result<Option<Duration>, LinkError> {
        let mut call = self.claim.key(self.names.content(account, mark));
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        call.arg(self.times.for_script()).arg(digits(by)).arg(micros).arg(micros.div_ceil(1_000).max(1));
        let left = self.ask(call).await?;
        Ok((left > 0).then(|| Duration::from_micros(left)))
    }

    /// Gives one back.
    pub(super) async fn free(
        &self,
        account: &Account,
        mark: ContentMark,
        by: MessageId,
    ) -> Result<(), LinkError> {
        let mut call = self.free.key(self.names.content(account, mark));
        call.arg(digits(by));
        self.ask(call).await.map(drop)
    }

    async fn ask(&self, call: ScriptInvocation<'_>) -> Result<u64, LinkError> {
        patience::within(self.link.timeout(), |most| {
            self.link.run(most, |mut c| async move { call.invoke_async(&mut c).await })
        })
        .await
    }
}

fn digits(id: MessageId) -> String {
    data_encoding::HEXLOWER.encode(id.as_bytes())
}
