//! Quiet hours: when no attempt of a customer's messages begins, by the clock of a time zone.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{ChannelName, Lane, TimeZone, Timestamp};

/// Days that a message's time is followed through, at the most: as long as the longest `ttl` and a night more.
const DAYS: u32 = 70;

/// A time of the day, to the minute: `21:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

/// A span of the day, which may lie over midnight: `21:00-08:00`. Its end is not within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    from: TimeOfDay,
    until: TimeOfDay,
}

/// Text is no such span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no span of the day such as 21:00-08:00")]
pub struct InvalidHours(String);

/// Which messages quiet hours hold back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hushed {
    /// `bulk` alone: a login code is sent at night.
    #[default]
    Bulk,
    /// Both lanes.
    All,
}

impl Hushed {
    /// The word used in tables and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::All => "all",
        }
    }
}

/// Quiet hours of a customer's channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// `None`: every channel that has none of its own, written `*`.
    pub channel: Option<ChannelName>,
    /// When.
    pub hours: Hours,
    /// By whose clock.
    pub time_zone: TimeZone,
    /// Which messages.
    #[serde(default)]
    pub lane: Hushed,
}

impl FromStr for TimeOfDay {
    type Err = InvalidHours;
    fn from_str(text: &str) -> Result<Self, InvalidHours> {
        let wrong = || InvalidHours(text.to_owned());
        let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(hour) || !digits(minute) {
            return Err(wrong());
        }
        let hour: u16 = hour.parse().map_err(|_| wrong())?;
        let minute: u16 = minute.parse().map_err(|_| wrong())?;
        if hour < 24 && minute < 60 { Ok(Self(hour * 60 + minute)) } else { Err(wrong()) }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = InvalidHours;
    fn try_from(text: String) -> Result<Self, InvalidHours> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl FromStr for Hours {
    type Err = InvalidHours;
    fn from_str(text: &str) -> Result<Self, InvalidHours> {
        let wrong = || InvalidHours(text.to_owned());
        let (from, until) = text.split_once('-').ok_or_else(wrong)?;
        let hours =
            Self { from: from.parse().map_err(|_| wrong())?, until: until.parse().map_err(|_| wrong())? };
        // A day that is quiet as a whole is a pause, and never ends.
        if hours.from == hours.until { Err(wrong()) } else { Ok(hours) }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.until)
    }
}

impl TryFrom<String> for Hours {
    type Error = InvalidHours;
    fn try_from(text: String) -> Result<Self, InvalidHours> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

impl Hours {
    /// Whether a clock that shows this many minutes since midnight shows a time within.
    const fn hold(self, minute: u16) -> bool {
        let (from, until) = (self.from.0, self.until.0);
        if from < until { from <= minute && minute < until } else { from <= minute || minute < until }
    }
}

impl QuietHours {
    fn holds(&self, at: Timestamp) -> bool {
        self.hours.hold(self.time_zone.minute_of_day(at))
    }

    /// When the quiet hours that `at` lies in end; `None` if it lies in none. What the clock shows decides: an hour that is shown
    /// twice is quiet twice, and one that is skipped ends with the skip.
    #[must_use]
    pub fn until(&self, at: Timestamp) -> Option<Timestamp> {
        let mut end = self.holds(at).then_some(at)?;
        // More than once only where the moment of the end does not come that day.
        for _ in 0..3 {
            end = self.time_zone.next_shown(end, self.hours.until.0, |minute| self.hours.hold(minute));
            if !self.holds(end) {
                break;
            }
        }
        Some(end)
    }

    /// When they begin next after a moment at which there are none.
    fn begins_after(&self, at: Timestamp) -> Timestamp {
        self.time_zone.next_shown(at, self.hours.from.0, |minute| !self.hours.hold(minute))
    }
}

/// All quiet hours of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuietRules(pub Vec<QuietHours>);

impl QuietRules {
    /// The one that holds for a channel and lane: the channel's own, else that for every channel.
    #[must_use]
    pub fn of(&self, channel: &ChannelName, lane: Lane) -> Option<&QuietHours> {
        let of = |wanted: Option<&ChannelName>| self.0.iter().find(|rule| rule.channel.as_ref() == wanted);
        let rule = of(Some(channel)).or_else(|| of(None))?;
        (rule.lane == Hushed::All || lane == Lane::Bulk).then_some(rule)
    }

    /// Whether any of them holds now.
    #[must_use]
    pub fn any_at(&self, at: Timestamp) -> bool {
        self.0.iter().any(|rule| rule.holds(at))
    }

    /// When the quiet hours of a channel and lane end, if it is quiet then.
    #[must_use]
    pub fn until(&self, channel: &ChannelName, lane: Lane, at: Timestamp) -> Option<Timestamp> {
        self.of(channel, lane)?.until(at)
    }

    /// How much quiet time lies within a message's time, which begins at `from` and is `ttl` long when that is not counted.
    #[must_use]
    pub fn within(&self, channel: &ChannelName, lane: Lane, from: Timestamp, ttl: Duration) -> Duration {
        let Some(rule) = self.of(channel, lane) else { return Duration::ZERO };
        let (mut at, mut left, mut quiet) = (from, ttl, Duration::ZERO);
        for _ in 0..DAYS {
            if let Some(end) = rule.until(at) {
                quiet += end.since(at);
                at = end;
            }
            let next = rule.begins_after(at);
            let open = next.since(at);
            if open >= left || open.is_zero() {
                break;
            }
            left -= open;
            at = next;
        }
        quiet
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn quiet(hours: &str, zone: &str) -> QuietHours {
        let (hours, time_zone) = (hours.parse().unwrap(), zone.parse().unwrap());
        QuietHours { channel: None, hours, time_zone, lane: Hushed::All }
    }

    #[test]
    fn hours_are_read_and_written_and_a_whole_day_is_none() {
        for good in ["21:00-08:00", "00:00-23:59", "12:30-13:00"] {
            assert_eq!(good.parse::<Hours>().unwrap().to_string(), good);
        }
        for bad in
            ["", "21:00", "21-08", "24:00-08:00", "21:60-08:00", "8:00-9:00", "08:00-08:00", "+1:00-02:00"]
        {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_night_lies_over_midnight_and_its_end_is_not_within_it() {
        let night = quiet("21:00-08:00", "Asia/Seoul");
        let end = at("2026-03-10T08:00:00+09:00");
        for inside in
            ["2026-03-09T21:00:00+09:00", "2026-03-09T23:59:59+09:00", "2026-03-10T07:59:59.999+09:00"]
        {
            assert_eq!(night.until(at(inside)), Some(end), "{inside}");
        }
        assert_eq!(night.until(end), None);
        assert_eq!(night.until(at("2026-03-09T20:59:59.999+09:00")), None);
        let noon = quiet("12:00-13:00", "UTC");
        assert_eq!(noon.until(at("2026-03-10T12:30:00Z")), Some(at("2026-03-10T13:00:00Z")));
    }

    #[test]
    fn an_hour_that_is_skipped_ends_with_the_skip() {
        // In New York 02:00 to 03:00 does not come on 2026-03-08: the clock goes from 01:59 to 03:00.
        let skip = at("2026-03-08T07:00:00Z");
        let night = quiet("22:00-02:30", "America/New_York");
        assert_eq!(night.until(at("2026-03-08T04:00:00Z")), Some(skip));
        assert_eq!(night.until(skip), None);
        let begins = quiet("02:15-04:00", "America/New_York");
        assert_eq!(begins.until(skip.minus(Duration::from_secs(1))), None);
        assert_eq!(begins.until(skip), Some(at("2026-03-08T08:00:00Z")));
        // Open only in the hour that does not come: the next is a day later.
        let nearly = quiet("03:00-02:00", "America/New_York");
        assert_eq!(nearly.until(at("2026-03-08T06:30:00Z")), Some(at("2026-03-09T06:00:00Z")));
    }

    #[test]
    fn an_hour_that_is_shown_twice_is_quiet_twice() {
        // In Berlin 02:00 to 03:00 comes twice on 2026-10-25.
        let night = quiet("22:00-02:30", "Europe/Berlin");
        let (first, second) = (at("2026-10-25T00:30:00Z"), at("2026-10-25T01:30:00Z"));
        assert_eq!(night.until(at("2026-10-24T22:00:00Z")), Some(first));
        assert_eq!(night.until(first), None);
        assert_eq!(night.until(at("2026-10-25T01:10:00Z")), Some(second));
    }

    #[test]
    fn the_time_of_a_message_stands_still_while_it_is_quiet() {
        let rules = QuietRules(vec![quiet("21:00-08:00", "Asia/Seoul")]);
        let sms = "sms".parse().unwrap();
        let within =
            |from: &str, seconds| rules.within(&sms, Lane::Bulk, at(from), Duration::from_secs(seconds));
        let night = Duration::from_secs(11 * 3_600);
        assert_eq!(within("2026-03-09T20:55:00+09:00", 299), Duration::ZERO);
        assert_eq!(within("2026-03-09T20:55:00+09:00", 301), night);
        assert_eq!(within("2026-03-09T22:00:00+09:00", 600), night - Duration::from_secs(3_600));
        let two_days = 25 * 3_600;
        assert_eq!(
            within("2026-03-09T09:00:00+09:00", two_days - 1),
            night,
            "twelve hours before a night, nearly thirteen after"
        );
        assert_eq!(within("2026-03-09T09:00:00+09:00", two_days + 1), night * 2, "and another night");
    }

    #[test]
    fn a_channel_s_own_rule_replaces_the_one_for_all_and_express_may_be_free() {
        let own = QuietHours {
            channel: Some("chat".parse().unwrap()),
            lane: Hushed::Bulk,
            ..quiet("12:00-13:00", "UTC")
        };
        let rules = QuietRules(vec![quiet("21:00-08:00", "UTC"), own]);
        let (chat, sms) = ("chat".parse().unwrap(), "sms".parse().unwrap());
        let (noon, night) = (at("2026-03-10T12:30:00Z"), at("2026-03-10T22:00:00Z"));
        assert!(
            rules.until(&chat, Lane::Bulk, noon).is_some() && rules.until(&chat, Lane::Bulk, night).is_none()
        );
        assert!(rules.until(&chat, Lane::Express, noon).is_none());
        assert!(
            rules.until(&sms, Lane::Express, night).is_some()
                && rules.until(&sms, Lane::Bulk, noon).is_none()
        );
    }

    proptest! {
        #[test]
        fn what_is_quiet_ends_at_a_moment_that_is_not(ms in 1_770_000_000_000_i64..1_830_000_000_000, from in 0..1_440_u16, until in 0..1_440_u16, zone in 0..4_usize) {
            if from != until {
                let zone = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Seoul"][zone];
                let text = format!("{}-{}", TimeOfDay(from), TimeOfDay(until));
                let rule = quiet(&text, zone);
                let at = Timestamp::from_millis(ms);
                if let Some(end) = rule.until(at) {
                    assert!(end > at && end.since(at) <= Duration::from_secs(2 * 86_400 + 7_200), "{text} {zone} {at} {end}");
                    assert!(!rule.holds(end), "{text} {zone} {at} {end}");
                    assert!(rule.holds(end.minus(Duration::from_millis(1))), "{text} {zone} {at} {end}");
                }
            }
        }
    }
}
