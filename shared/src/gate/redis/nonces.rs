//! Nonces that were spent: until when each is known.

use std::{sync::Arc, time::Duration};

use redis::Script;

use super::{names::Names, times::Times};
use crate::{
    domain::{Account, NonceMark},
    gate::patience,
    redis::{Link, LinkError},
};

/// Until when it is known, in microseconds. The answer: 1 if it was not spent yet, and now is.
const SPEND: &str = "
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local known = redis.call('GET', KEYS[1])
if known and tonumber(known) > now then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), 'PX', ARGV[3])
return 1
";

/// The nonces of everybody.
pub(super) struct Nonces {
    link: Arc<Link>,
    names: Names,
    times: Times,
    spend: Script,
}

pub(super) fn script() -> Script {
    Script::new(SPEND)
}

impl Nonces {
    pub(super) fn new(link: Arc<Link>, names: Names, times: Times) -> Self {
        Self { link, names, times, spend: script() }
    }

    /// Whether it was not spent yet: one of many callers at once is told so.
    pub(super) async fn spend(
        &self,
        account: &Account,
        mark: NonceMark,
        span: Duration,
    ) -> Result<bool, LinkError> {
        let mut call = self.spend.key(self.names.nonce(account, mark));
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        call.arg(self.times.for_script()).arg(micros).arg(micros.div_ceil(1_000).max(1));
        let fresh: u8 = patience::within(self.link.timeout(), |most| {
            self.link.run(most, |mut c| async move { call.invoke_async(&mut c).await })
        })
        .await?;
        Ok(fresh == 1)
    }
}
