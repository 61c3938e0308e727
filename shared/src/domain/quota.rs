//! Quotas: how many units a customer may send in a period. Exact: it is money.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ChannelName, CustomerId, TimeZone, Timestamp};

/// A calendar day in a customer's time zone, as the number `yyyymmdd`. Units are charged to the day of `accepted_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(i32);

impl Day {
    /// The day on which a moment falls there.
    #[must_use]
    pub fn of(at: Timestamp, zone: &TimeZone) -> Self {
        let date = zone.civil(at).date();
        Self(i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day()))
    }

    /// As stores keep it: `yyyymmdd`.
    #[must_use]
    pub const fn as_i32(self) -> i32 {
        self.0
    }

    /// As stores give it back.
    #[must_use]
    pub const fn from_i32(value: i32) -> Self {
        Self(value)
    }

    /// The moment at which it begins there; the epoch if there is no such day.
    #[must_use]
    pub fn begins(self, zone: &TimeZone) -> Timestamp {
        let part = |value: i32| i8::try_from(value % 100).unwrap_or(0);
        let year = i16::try_from(self.0 / 10_000).unwrap_or(0);
        let date = jiff::civil::Date::new(year, part(self.0 / 100), part(self.0));
        let zoned = date.and_then(|date| zone.zoned(date));
        zoned.map_or_else(|_| Timestamp::default(), |zoned| Timestamp::from_jiff(zoned.timestamp()))
    }

    /// The month, as the number `yyyymm`.
    #[must_use]
    pub const fn month(self) -> i32 {
        self.0 / 100
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

/// How long a quota lasts before it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
    /// It never begins anew; more is bought.
    Prepaid,
}

impl Period {
    /// The word used in answers and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Prepaid => "prepaid",
        }
    }

    /// The first and last day of the period that `day` lies in.
    #[must_use]
    pub const fn days(self, day: Day) -> (Day, Day) {
        match self {
            Self::Day => (day, day),
            Self::Month => (Day(day.month() * 100 + 1), Day(day.month() * 100 + 31)),
            Self::Prepaid => (Day(0), Day(i32::MAX)),
        }
    }

    /// When the period in which `now` lies ends; `None` for prepaid.
    #[must_use]
    pub fn renews_at(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = zone.civil(now);
        let next = match self {
            Self::Day => today.tomorrow().ok()?.start_of_day(),
            Self::Month => today.last_of_month().ok()?.tomorrow().ok()?.start_of_day(),
            Self::Prepaid => return None,
        };
        next.ok().map(|start| Timestamp::from_jiff(start.timestamp()))
    }
}

/// The limit of record of a customer, for one channel or for all of them together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Whose.
    pub customer: CustomerId,
    /// `None`: all channels together, written `*`.
    pub channel: Option<ChannelName>,
    /// How long it lasts.
    pub period: Period,
    /// Units in a period.
    pub limit: u64,
    /// Whether it stands beside another of the same channel, with its period in its key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
    /// Whether it holds no more; its limit is then the largest there is, for a release that does not know the word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// Grows with every change of this row.
    pub version: u64,
}

impl Quota {
    /// A limit that is new, and the only one of its channel.
    #[must_use]
    pub const fn new(customer: CustomerId, channel: Option<ChannelName>, period: Period, limit: u64) -> Self {
        Self { customer, channel, period, limit, beside: false, ended: false, version: 0 }
    }

    /// The period, where it tells this quota from another of the same channel.
    #[must_use]
    pub fn own_period(&self) -> Option<Period> {
        self.beside.then_some(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_are_the_customer_s() {
        let seoul: TimeZone = "Asia/Seoul".parse().unwrap();
        let at: Timestamp = "2026-11-30T15:30:00Z".parse().unwrap();
        assert_eq!(Day::of(at, &TimeZone::UTC).to_string(), "2026-11-30");
        assert_eq!(Day::of(at, &seoul).to_string(), "2026-12-01");
        let renews = |period: Period| period.renews_at(at, &seoul).unwrap().to_string();
        assert_eq!(renews(Period::Day), "2026-12-01T15:00:00.000Z");
        assert_eq!(renews(Period::Month), "2026-12-31T15:00:00.000Z");
        assert_eq!(Period::Prepaid.renews_at(at, &seoul), None);
        let day = Day::of(at, &seoul);
        assert_eq!(Period::Month.days(day), (Day(20_261_201), Day(20_261_231)));
    }
}
