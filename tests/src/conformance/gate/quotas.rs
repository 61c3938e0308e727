//! Quotas, as far as a gate can tell.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use naru_shared::{
    domain::{Account, Day, Environment, Period, Quota, Units},
    gate::{Gate, QuotaVerdict},
    ledger::QuotaUse,
};

use super::{Fixture, account, live};
use crate::conformance::samples::quota_of;

const DAY: Day = Day::from_i32(20_261_122);
const NEXT_DAY: Day = Day::from_i32(20_261_123);
const NEXT_MONTH: Day = Day::from_i32(20_261_201);

fn quota(channel: Option<&str>, period: Period, limit: u64) -> anyhow::Result<Arc<Quota>> {
    Ok(Arc::new(quota_of("acme", channel, period, limit)?))
}

/// A customer's calls, on a day.
struct Caller {
    gate: Arc<dyn Gate>,
    account: Account,
    quotas: Vec<Arc<Quota>>,
    day: Day,
}

impl Caller {
    fn new(fixture: &impl Fixture, quotas: Vec<Arc<Quota>>) -> anyhow::Result<Self> {
        Ok(Self { gate: fixture.gate(), account: live("acme")?, quotas, day: DAY })
    }

    async fn reserve(&self, channel: &str, units: u32) -> anyhow::Result<QuotaVerdict> {
        let units = Units::new(units).ok_or_else(|| anyhow::anyhow!("units"))?;
        Ok(self.gate.reserve(&self.account, &channel.parse()?, &self.quotas, self.day, units).await?)
    }

    /// Whether there is room; takes it.
    async fn fits(&self, channel: &str, units: u32) -> anyhow::Result<bool> {
        Ok(self.reserve(channel, units).await? == QuotaVerdict::Within)
    }

    async fn give_back(&self, channel: &str, units: u32) -> anyhow::Result<()> {
        let units = Units::new(units).ok_or_else(|| anyhow::anyhow!("units"))?;
        Ok(self.gate.give_back(&self.account, &channel.parse()?, &self.quotas, self.day, units).await?)
    }

    async fn observe(&self, used: u64, seen: u64) -> anyhow::Result<()> {
        let observed = |quota: &Arc<Quota>| QuotaUse { quota: Arc::clone(quota), day: self.day, seen, used };
        let observed: Vec<_> = self.quotas.iter().map(observed).collect();
        Ok(self.gate.observe_quota(&observed).await?)
    }
}

/// Nor under it: all that fits is let in.
pub async fn a_reservation_is_never_over_the_limit_under_concurrency(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let caller = Arc::new(Caller::new(fixture, vec![quota(None, Period::Month, 100)?])?);
    let calls = (0..80).map(|_| {
        let caller = Arc::clone(&caller);
        tokio::spawn(async move { caller.fits("sms", 3).await })
    });
    let mut let_in = 0;
    for call in join_all(calls.collect::<Vec<_>>()).await {
        let_in += u32::from(call??);
    }
    assert_eq!(let_in, 33);
    assert!(caller.fits("sms", 1).await?);
    assert!(!caller.fits("sms", 1).await?);
    Ok(())
}

/// Not even against the one that had room; and it says which had none.
pub async fn a_refused_reservation_counts_against_no_quota(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (wide, narrow) = (quota(None, Period::Month, 10)?, quota(Some("sms"), Period::Day, 4)?);
    let caller = Caller::new(fixture, vec![wide.clone(), narrow.clone()])?;
    for _ in 0..10 {
        assert_eq!(caller.reserve("sms", 5).await?, QuotaVerdict::Exceeded(narrow.clone()));
    }
    assert!(caller.fits("lms", 10).await?);
    assert_eq!(caller.reserve("sms", 1).await?, QuotaVerdict::Exceeded(wide));
    Ok(())
}

/// Both count it.
pub async fn a_channel_is_held_by_its_own_quota_and_by_that_of_all(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let quotas = vec![quota(None, Period::Month, 10)?, quota(Some("sms"), Period::Month, 6)?];
    let caller = Caller::new(fixture, quotas)?;
    assert!(caller.fits("sms", 6).await?);
    assert!(!caller.fits("sms", 1).await?);
    assert!(caller.fits("lms", 4).await?);
    assert!(!caller.fits("lms", 1).await?);
    Ok(())
}

/// All at once: a day's, a month's and what was bought, each in a count of its own.
pub async fn quotas_of_several_periods_hold_at_once(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let beside = |period, limit| -> anyhow::Result<Arc<Quota>> {
        Ok(Arc::new(Quota { beside: true, ..quota_of("acme", None, period, limit)? }))
    };
    let (month, day) = (quota(None, Period::Month, 10)?, beside(Period::Day, 6)?);
    let prepaid = beside(Period::Prepaid, 12)?;
    let quotas = vec![month.clone(), day.clone(), prepaid.clone()];
    let mut caller = Caller::new(fixture, quotas)?;
    assert_eq!(caller.reserve("sms", 7).await?, QuotaVerdict::Exceeded(day.clone()));
    assert!(caller.fits("sms", 6).await?);
    assert_eq!(caller.reserve("sms", 1).await?, QuotaVerdict::Exceeded(day));
    caller.day = NEXT_DAY;
    assert_eq!(caller.reserve("sms", 5).await?, QuotaVerdict::Exceeded(month));
    assert!(caller.fits("sms", 4).await?);
    caller.day = NEXT_MONTH;
    assert_eq!(caller.reserve("sms", 3).await?, QuotaVerdict::Exceeded(prepaid));
    assert!(caller.fits("sms", 2).await?);
    assert!(!caller.fits("sms", 1).await?);
    Ok(())
}

/// Charged, refused or released: the ledger knows.
pub async fn an_observation_replaces_what_was_used_and_lands_what_was_seen(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let caller = Caller::new(fixture, vec![quota(None, Period::Month, 10)?])?;
    assert!(caller.fits("sms", 6).await?);
    caller.observe(4, 4).await?;
    // Four are used and two still in flight.
    assert!(!caller.fits("sms", 5).await?);
    assert!(caller.fits("sms", 4).await?);
    caller.observe(10, 6).await?;
    assert!(!caller.fits("sms", 1).await?);
    // What others sent, seen here, never makes more room than there is.
    caller.observe(9, 100).await?;
    assert!(caller.fits("sms", 1).await?);
    assert!(!caller.fits("sms", 1).await?);
    Ok(())
}

/// Their call was refused before publish.
pub async fn units_given_back_are_free_again(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let caller = Caller::new(fixture, vec![quota(None, Period::Month, 10)?])?;
    assert!(caller.fits("sms", 10).await?);
    caller.give_back("sms", 4).await?;
    assert!(caller.fits("sms", 4).await?);
    assert!(!caller.fits("sms", 1).await?);
    caller.give_back("sms", 1_000).await?;
    assert!(caller.fits("sms", 10).await?);
    assert!(!caller.fits("sms", 1).await?, "what is given back twice makes no room of its own");
    Ok(())
}

/// What the ledger counted stays.
pub async fn units_that_were_lost_in_flight_are_free_after_a_minute(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let caller = Caller::new(fixture, vec![quota(None, Period::Prepaid, 10)?])?;
    caller.observe(3, 0).await?;
    assert!(caller.fits("sms", 7).await?);
    fixture.advance(Duration::from_secs(50)).await;
    assert!(!caller.fits("sms", 1).await?);
    fixture.advance(Duration::from_secs(11)).await;
    assert!(!caller.fits("sms", 8).await?);
    assert!(caller.fits("sms", 7).await?);
    Ok(())
}

/// And what comes late from the last one does not count in it.
pub async fn a_new_period_begins_at_nothing(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    for (period, next, same) in [(Period::Day, NEXT_DAY, DAY), (Period::Month, NEXT_MONTH, NEXT_DAY)] {
        let fresh = format!("q{}", period.as_str());
        let quotas = vec![quota(Some(&fresh), period, 10)?];
        let mut caller = Caller::new(fixture, quotas)?;
        assert!(caller.fits(&fresh, 10).await?);
        caller.day = same;
        assert!(!caller.fits(&fresh, 1).await?);
        caller.day = next;
        assert!(caller.fits(&fresh, 4).await?);
        let late = Caller { day: DAY, ..Caller::new(fixture, caller.quotas.clone())? };
        late.observe(10, 4).await?;
        late.give_back(&fresh, 10).await?;
        assert!(caller.fits(&fresh, 6).await?);
        assert!(!caller.fits(&fresh, 1).await?);
    }
    Ok(())
}

/// Whatever it sends.
pub async fn the_sandbox_is_never_charged(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let quotas = vec![quota(None, Period::Month, 10)?];
    let mut caller = Caller::new(fixture, quotas)?;
    caller.account = account("acme", Environment::Sandbox)?;
    assert!(caller.fits("sms", 1_000).await?);
    caller.give_back("sms", 1_000).await?;
    caller.account = live("acme")?;
    assert!(caller.fits("sms", 10).await?);
    assert!(!caller.fits("sms", 1).await?);
    Ok(())
}
