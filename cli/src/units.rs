//! Values as people write them on the command line.

use std::{str::FromStr, time::Duration};

use naru_shared::domain::{ChannelName, CustomerId, IpNetwork, RatePolicy};

use crate::exit::Failure;

/// A channel, or `*` for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelOrAll(pub Option<ChannelName>);

impl FromStr for ChannelOrAll {
    type Err = naru_shared::domain::InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" { Ok(Self(None)) } else { text.parse().map(|name| Self(Some(name))) }
    }
}

/// A channel as it is shown.
#[must_use]
pub fn channel_word(channel: Option<&ChannelName>) -> String {
    channel.map_or_else(|| "*".to_owned(), ToString::to_string)
}

/// The longest title of a customer, in characters: it is in every event about it.
const LONGEST_TITLE: usize = 256;

/// The most networks that one route or webhook may call: they are in the events about it.
const MOST_NETWORKS: usize = 64;

/// A customer's title.
///
/// # Errors
/// If it is too long, in a sentence.
pub fn title(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if length > LONGEST_TITLE {
        return Err(format!("a title has at most {LONGEST_TITLE} characters, and this one {length}"));
    }
    Ok(text.to_owned())
}

/// Refuses more networks than there may be.
///
/// # Errors
/// If there are.
pub fn few_networks(networks: &[IpNetwork]) -> Result<(), Failure> {
    let count = networks.len();
    if count > MOST_NETWORKS {
        let why = format!(
            "--allow-network is given {count} times, and at most {MOST_NETWORKS} are possible: name wider networks"
        );
        return Err(Failure::Usage(why));
    }
    Ok(())
}

/// A span of time: a whole number and `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// If it is none, in a sentence.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "a span is a whole number with its unit: 500ms, 30s, 5m, 2h or 1d".to_owned();
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

/// Units of a limit, or to add to one.
///
/// # Errors
/// If they are no number of units, in a sentence.
pub fn units(text: &str) -> Result<u64, String> {
    const MOST: i64 = i64::MAX;
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("units are a whole number, such as 1000".to_owned());
    }
    if text.starts_with('-') {
        return Err("units cannot be less than nothing; 0 allows nothing".to_owned());
    }
    let number: Option<i64> = text.parse().ok();
    number.and_then(|n| u64::try_from(n).ok()).ok_or_else(|| format!("units are at most {MOST}"))
}

/// `CUSTOMER` for all its channels, or `CUSTOMER/CHANNEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignTo {
    /// Whose messages.
    pub customer: CustomerId,
    /// Of which kind.
    pub channel: Option<ChannelName>,
}

impl FromStr for AssignTo {
    type Err = naru_shared::domain::InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (customer, channel) = text.split_once('/').unwrap_or((text, "*"));
        Ok(Self { customer: customer.parse()?, channel: channel.parse::<ChannelOrAll>()?.0 })
    }
}

/// A span such as `500ms`, `15s`, `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// The text is not a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number and a unit: 500ms, 15s, 2m, 1h")]
pub struct NotASpan;

impl FromStr for Span {
    type Err = NotASpan;
    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(NotASpan)?;
        let (number, unit) = text.split_at(digits);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(NotASpan),
        };
        let number: u64 = number.parse().map_err(|_| NotASpan)?;
        number.checked_mul(millis).map(|ms| Self(Duration::from_millis(ms))).ok_or(NotASpan)
    }
}

/// A rate policy as `NAME=LIMIT/SECONDSs+BURST`, for instance `burst=100/1s+200`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate(pub RatePolicy);

/// The text is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME=LIMIT/WINDOW+BURST, for instance burst=100/1s+200, all of them at least 1")]
pub struct NotARate;

impl FromStr for Rate {
    type Err = NotARate;
    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (name, rest) = text.split_once('=').ok_or(NotARate)?;
        let (limit, rest) = rest.split_once('/').ok_or(NotARate)?;
        let (window, burst) = rest.split_once('+').unwrap_or((rest, limit));
        let window: Span = window.parse().map_err(|_| NotARate)?;
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0).ok_or(NotARate);
        let seconds = u32::try_from(window.0.as_secs()).map_err(|_| NotARate)?;
        let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if seconds == 0 || !window.0.subsec_nanos().eq(&0) || name.is_empty() || !name.bytes().all(token) {
            return Err(NotARate);
        }
        let (limit, burst) = (number(limit)?, number(burst)?);
        Ok(Self(RatePolicy { name: name.to_owned(), limit, window_seconds: seconds, burst }))
    }
}

/// A rate policy as it is shown, and can be given again.
#[must_use]
pub fn rate_words(policy: &RatePolicy) -> String {
    format!("{}={}/{}s+{}", policy.name, policy.limit, policy.window_seconds, policy.burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_events_is_bounded_where_it_is_written() {
        assert_eq!(title(&"나".repeat(256)).map(|text| text.chars().count()), Ok(256));
        assert!(title(&"나".repeat(257)).unwrap_err().contains("at most 256"));
        let networks = |count| vec!["10.0.0.0/8".parse::<IpNetwork>().unwrap(); count];
        few_networks(&networks(64)).unwrap();
        assert!(few_networks(&networks(65)).unwrap_err().to_string().contains("at most 64"));
    }

    #[test]
    fn a_rate_reads_as_it_is_shown() {
        let rate: Rate = "burst=100/1s+200".parse().unwrap();
        assert_eq!(rate_words(&rate.0), "burst=100/1s+200");
        assert_eq!("slow=5/1m".parse::<Rate>().unwrap().0.window_seconds, 60);
        assert_eq!("slow=5/1m".parse::<Rate>().unwrap().0.burst, 5);
        for wrong in
            ["", "burst", "burst=0/1s", "burst=1/0s", "burst=1/500ms", "Burst=1/1s", "b=1/1", "b=1/1s+0"]
        {
            assert_eq!(wrong.parse::<Rate>(), Err(NotARate), "{wrong}");
        }
    }

    #[test]
    fn spans_need_a_unit() {
        assert_eq!("15s".parse::<Span>().unwrap().0, Duration::from_secs(15));
        assert_eq!("500ms".parse::<Span>().unwrap().0, Duration::from_millis(500));
        for wrong in ["15", "s", "-1s", "1.5s", "1 s", "99999999999999999h"] {
            assert_eq!(wrong.parse::<Span>(), Err(NotASpan), "{wrong}");
        }
    }

    #[test]
    fn an_assignment_names_a_channel_or_all() {
        let all: AssignTo = "acme".parse().unwrap();
        assert_eq!(all.channel, None);
        assert_eq!("acme/*".parse::<AssignTo>().unwrap(), all);
        assert_eq!(channel_word("acme/sms".parse::<AssignTo>().unwrap().channel.as_ref()), "sms");
    }
}
