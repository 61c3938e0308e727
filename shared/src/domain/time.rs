//! Time as Naru keeps it: UTC milliseconds, read through an injected clock.

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in UTC, in milliseconds since 1970-01-01T00:00:00Z. Printed as RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest moment that can be written (9999-12-30).
    pub const MAX: Self = Self(253_402_207_200_000);

    /// From milliseconds since the epoch, held within the years 0 to 9999.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        if ms > Self::MAX.0 {
            Self::MAX
        } else if ms < 0 {
            Self(0)
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment and a while, held at [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less a while, held at the epoch.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    pub(crate) fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    pub(crate) fn from_jiff(ts: jiff::Timestamp) -> Self {
        Self::from_millis(ts.as_millisecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

/// Text that is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an RFC 3339 time such as 2026-11-22T09:00:00Z")]
pub struct InvalidTimestamp;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// RFC 3339 (section 5.6) with an offset or `Z`, and nothing else that could be meant as a time.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        if !is_date_time(text) {
            return Err(InvalidTimestamp);
        }
        text.parse().map(Self::from_jiff).map_err(|_| InvalidTimestamp)
    }
}

/// Whether it has the form of RFC 3339's `date-time`.
fn is_date_time(text: &str) -> bool {
    /// Digits stand where these do, everything else is as it is here.
    const MOMENT: &[u8] = b"0000-00-00T00:00:00";
    const OFFSET: &[u8] = b"00:00";
    let fits = |text: &[u8], form: &[u8]| {
        text.len() == form.len()
            && text.iter().zip(form).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                other => byte.eq_ignore_ascii_case(other),
            })
    };
    let Some((moment, mut rest)) = text.as_bytes().split_at_checked(MOMENT.len()) else { return false };
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        rest = &fraction[digits..];
    }
    let is_offset = match rest {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', offset @ ..] => fits(offset, OFFSET) && offset <= b"23:59".as_slice(),
        _ => false,
    };
    fits(moment, MOMENT) && is_offset
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Where the time comes from. Injected, so that tests own it.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    fn now(&self) -> Timestamp {
        Timestamp::from_jiff(jiff::Timestamp::now())
    }
}

/// A clock that stands until it is moved; for tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// An IANA time zone (`Asia/Seoul`), known to exist in the bundled database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone(jiff::tz::TimeZone);

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(jiff::tz::TimeZone::UTC);

    /// The IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub(crate) fn zoned(&self, date: jiff::civil::Date) -> Result<jiff::Zoned, jiff::Error> {
        date.to_zoned(self.0.clone())
    }

    /// The hour in which a moment falls there, with its distance from UTC: `2026-11-25T09:00:00+09:00`. Where clocks are put back an
    /// hour comes twice, under two distances.
    #[must_use]
    pub fn hour(&self, at: Timestamp) -> String {
        let hour = self.civil(at);
        format!("{}{}", hour.strftime("%Y-%m-%dT%H:00:00"), hour.strftime("%:z"))
    }

    /// When the hour began in which a moment falls there.
    #[must_use]
    pub fn hour_begins(&self, at: Timestamp) -> Timestamp {
        let civil = self.civil(at);
        let into = u64::try_from(i32::from(civil.minute()) * 60 + i32::from(civil.second())).unwrap_or(0);
        let millis = u64::try_from(civil.millisecond()).unwrap_or(0);
        at.minus(Duration::from_millis(into * 1_000 + millis))
    }

    pub(crate) fn civil(&self, at: Timestamp) -> jiff::Zoned {
        at.to_jiff().to_zoned(self.0.clone())
    }

    /// Minutes since midnight, as a clock shows them.
    pub(crate) fn minute_of_day(&self, at: Timestamp) -> u16 {
        let civil = self.civil(at);
        u16::from(civil.hour().unsigned_abs()) * 60 + u16::from(civil.minute().unsigned_abs())
    }

    /// The first moment after this one at which a clock shows so many minutes since midnight; or at which it is changed to show
    /// something that is not `kept`, if that is sooner.
    pub(crate) fn next_shown(&self, at: Timestamp, minute: u16, kept: impl Fn(u16) -> bool) -> Timestamp {
        let (hour, minutes) = (minute / 60, minute % 60);
        let (hour, minutes) = (i8::try_from(hour).unwrap_or(0), i8::try_from(minutes).unwrap_or(0));
        let today = self.civil(at).date();
        let mut shown = None;
        // A day that skips the moment is followed by one that shows it.
        for days in 0..4 {
            let Ok(date) = today.checked_add(jiff::Span::new().days(days)) else { break };
            let moment = self.0.to_ambiguous_timestamp(date.at(hour, minutes, 0, 0));
            let both = [moment.earlier(), moment.later()];
            let found = both.into_iter().flatten().map(Timestamp::from_jiff);
            shown = found.filter(|moment| *moment > at && self.minute_of_day(*moment) == minute).min();
            if shown.is_some() {
                break;
            }
        }
        let shown = shown.unwrap_or(Timestamp::MAX);
        let changes = self.0.following(at.to_jiff()).map(|change| Timestamp::from_jiff(change.timestamp()));
        let mut sooner = changes.take_while(|change| *change < shown);
        sooner.find(|change| !kept(self.minute_of_day(*change))).unwrap_or(shown)
    }
}

impl FromStr for TimeZone {
    type Err = jiff::Error;
    fn from_str(name: &str) -> Result<Self, jiff::Error> {
        jiff::tz::TimeZone::get(name).map(Self)
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse()
            .map_err(|_| de::Error::custom(format!("`{name}` is not an IANA time zone such as Asia/Seoul")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_three_digits_and_reads_back() {
        for (ms, text) in [(0, "1970-01-01T00:00:00.000Z"), (1_763_802_000_120, "2025-11-22T09:00:00.120Z")] {
            let at = Timestamp::from_millis(ms);
            assert_eq!(at.to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap(), at);
        }
        assert_eq!(
            "2025-11-22T18:00:00.12+09:00".parse::<Timestamp>().unwrap().as_millis(),
            1_763_802_000_120
        );
    }

    #[test]
    fn what_is_not_written_as_rfc_3339_is_no_moment() {
        let at = Timestamp::from_millis(1_763_802_000_000);
        for same in [
            "2025-11-22T09:00:00Z",
            "2025-11-22t09:00:00.0z",
            "2025-11-22T18:00:00+09:00",
            "2025-11-22T09:00:00-00:00",
        ] {
            assert_eq!(same.parse(), Ok(at), "{same}");
        }
        for none in [
            "",
            "2025-11-22",
            "2025-11-22T09:00:00",
            "2025-11-22T09:00Z",
            "2025-11-22T09Z",
            "2025-11-22 09:00:00Z",
            "20251122T090000Z",
            "2025-11-22T09:00:00,5Z",
            "2025-11-22T09:00:00.Z",
            "2025-11-22T18:00:00+09",
            "2025-11-22T18:00:00+0900",
            "2025-11-22T18:00:00+09:00[Asia/Seoul]",
            "2025-11-22T09:00:00Z[Asia/Seoul]",
            "2025-11-22T09:00:00Z ",
            "2025-W47-6T09:00:00Z",
            "+002025-11-22T09:00:00Z",
            "2025-02-29T09:00:00Z",
            "2025-11-22T24:00:00Z",
            "2025-11-22T09:00:00+25:00",
            "２025-11-22T09:00:00Z",
        ] {
            assert_eq!(none.parse::<Timestamp>(), Err(InvalidTimestamp), "{none}");
        }
    }

    #[test]
    fn arithmetic_holds_at_both_ends() {
        assert_eq!(Timestamp::from_millis(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(5).minus(Duration::MAX).as_millis(), 0);
        let _printable = Timestamp::MAX.to_string();
    }
}
