//! Quotas as far as this process can tell: what the ledger last said, and what is on its way there.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    domain::{Account, ChannelName, CustomerId, Day, Environment, Period, Quota, Units},
    gate::QuotaVerdict,
    ledger::QuotaUse,
};

/// Units in flight that nothing was heard of for so long are taken for lost.
const LOST: Duration = Duration::from_secs(60);

type Name = (CustomerId, Option<ChannelName>, Option<Period>);

#[derive(Debug, Default)]
struct Known {
    /// The first day of the period, and the period's kind by its length.
    days: Option<(Day, Day)>,
    used: u64,
    in_flight: u64,
    touched: Duration,
}

impl Known {
    /// Brings it to the period of a day; whether it stands there. What belongs to an earlier period is not brought back.
    fn enter(&mut self, days: (Day, Day), now: Duration) -> bool {
        if self.days.is_some_and(|known| known != days && known.0 > days.0 && known.1 > days.1) {
            return false;
        }
        if self.days != Some(days) {
            *self = Self { days: Some(days), touched: now, ..Self::default() };
        }
        if now.saturating_sub(self.touched) >= LOST {
            self.in_flight = 0;
        }
        true
    }
}

/// One entry for each quota that was asked about: as many as the catalog has.
#[derive(Default)]
pub(super) struct Quotas(Mutex<HashMap<Name, Known>>);

impl Quotas {
    /// All matching quotas have room, and count the units, or none does.
    pub(super) fn reserve(
        &self,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
        now: Duration,
    ) -> QuotaVerdict {
        let units = u64::from(units.get());
        let mut known = self.0.lock();
        for quota in matching(account, channel, quotas) {
            let entry = known.entry(name(quota)).or_default();
            if entry.enter(quota.period.days(day), now)
                && entry.used.saturating_add(entry.in_flight).saturating_add(units) > quota.limit
            {
                return QuotaVerdict::Exceeded(Arc::clone(quota));
            }
        }
        for quota in matching(account, channel, quotas) {
            let entry = known.entry(name(quota)).or_default();
            if entry.enter(quota.period.days(day), now) {
                entry.in_flight = entry.in_flight.saturating_add(units);
                entry.touched = now;
            }
        }
        QuotaVerdict::Within
    }

    pub(super) fn give_back(
        &self,
        account: &Account,
        channel: &ChannelName,
        quotas: &[Arc<Quota>],
        day: Day,
        units: Units,
    ) {
        let mut known = self.0.lock();
        for quota in matching(account, channel, quotas) {
            let entry =
                known.get_mut(&name(quota)).filter(|entry| entry.days == Some(quota.period.days(day)));
            if let Some(entry) = entry {
                entry.in_flight = entry.in_flight.saturating_sub(units.get().into());
            }
        }
    }

    pub(super) fn observe(&self, used: &[QuotaUse], now: Duration) {
        let mut known = self.0.lock();
        for seen in used {
            let entry = known.entry(name(&seen.quota)).or_default();
            if entry.enter(seen.quota.period.days(seen.day), now) {
                entry.used = seen.used;
                entry.in_flight = entry.in_flight.saturating_sub(seen.seen);
                entry.touched = now;
            }
        }
    }
}

fn name(quota: &Quota) -> Name {
    (quota.customer.clone(), quota.channel.clone(), quota.own_period())
}

/// The sandbox is never charged: no quota matches it.
fn matching<'a>(
    account: &'a Account,
    channel: &'a ChannelName,
    quotas: &'a [Arc<Quota>],
) -> impl Iterator<Item = &'a Arc<Quota>> {
    quotas.iter().filter(move |quota| {
        account.environment == Environment::Live && quota.channel.as_ref().is_none_or(|own| own == channel)
    })
}
