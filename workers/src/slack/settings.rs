//! Settings of the posts to Slack.

use std::{fmt, time::Duration};

use naru_shared::domain::IpNetwork;
use serde::{Deserialize, Serialize, Serializer};

use super::rules::{self, Rule};
use crate::backend::{egress::Egress, http::parse};

/// What is shown instead of the URL.
const MASKED: &str = "(secret)";

/// The incoming webhook's URL: whoever knows it may post. Never shown: whatever prints or writes it gets `(secret)`.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct SlackUrl(String);

impl SlackUrl {
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SlackUrl {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SlackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASKED)
    }
}

impl Serialize for SlackUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASKED)
    }
}

/// The section `[slack]`. Only `url` must be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlackConfig {
    /// The incoming webhook.
    pub url: SlackUrl,
    /// Whose posts these are: the beginning of every header.
    pub title: String,
    /// How long events are gathered for one post, in milliseconds.
    pub window_ms: u64,
    /// Posts in a minute at the most, by this process.
    pub per_minute: u32,
    /// Private networks that may be called all the same.
    pub allow_networks: Vec<IpNetwork>,
    /// Which events, and how loud; the first that fits decides, and what none fits is ignored.
    pub rules: Vec<Rule>,
}

impl Default for SlackConfig {
    fn default() -> Self {
        Self {
            url: SlackUrl::default(),
            title: "Naru".to_owned(),
            window_ms: 10_000,
            per_minute: 20,
            allow_networks: Vec::new(),
            rules: rules::standard(),
        }
    }
}

/// Why nothing can be posted with these settings. None of these sentences repeats the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSlackConfig {
    /// There is no URL.
    #[error("slack.url must be given: the incoming webhook's URL, better in a file (slack.url.file)")]
    NoUrl,
    /// It cannot be posted to.
    #[error("slack.url must be https, with a host, without credentials or fragment")]
    Url,
    /// Everybody on the way could read what is posted, and the URL.
    #[error(
        "slack.url is not https: what is posted, and the URL itself, could be read on its way. Within a network of yours \
         http is enough: name it in slack.allow_networks"
    )]
    Plain,
    /// The guard refuses it.
    #[error("slack.url is private, loopback or reserved: allow its network in slack.allow_networks")]
    NotAllowed,
    /// A number is out of bounds.
    #[error("slack.{0} must be within {1} and {2}")]
    Bounds(&'static str, u64, u64),
    /// A title that says nothing, or too much.
    #[error("slack.title must be 1 to 40 characters")]
    Title,
    /// A pattern that no kind of events can fit.
    #[error("slack.rules: `{0}` is no kind of events such as `naru.message.failed` or `naru.route.*`")]
    Rule(String),
    /// Events would come back while they are gathered.
    #[error(
        "slack.window_ms = {0} is more than a quarter of the topic's visibility ({1} ms): events would come back while they are \
         being gathered and posted"
    )]
    Window(u64, u64),
}

/// Rules at the most.
const RULES: usize = 100;

impl SlackConfig {
    /// Whether everything is within its bounds, on a topic that leaves events in hand for so long.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self, visibility: Duration) -> Result<(), InvalidSlackConfig> {
        if self.url.secret().is_empty() {
            return Err(InvalidSlackConfig::NoUrl);
        }
        let url = parse(self.url.secret()).map_err(|_secret| InvalidSlackConfig::Url)?;
        if Egress::new(self.allow_networks.clone()).check_literal(&url).is_err() {
            return Err(InvalidSlackConfig::NotAllowed);
        }
        if url.scheme() != "https" && self.allow_networks.is_empty() {
            return Err(InvalidSlackConfig::Plain);
        }
        if !(1..=40).contains(&self.title.chars().count()) {
            return Err(InvalidSlackConfig::Title);
        }
        if !(1..=60).contains(&self.per_minute) {
            return Err(InvalidSlackConfig::Bounds("per_minute", 1, 60));
        }
        if !(100..=600_000).contains(&self.window_ms) {
            return Err(InvalidSlackConfig::Bounds("window_ms", 100, 600_000));
        }
        let visible = u64::try_from(visibility.as_millis()).unwrap_or(u64::MAX);
        if self.window_ms > visible / 4 {
            return Err(InvalidSlackConfig::Window(self.window_ms, visible));
        }
        if self.rules.len() > RULES {
            return Err(InvalidSlackConfig::Bounds("rules", 0, 100));
        }
        match self.rules.iter().find(|rule| !rule.is_sound()) {
            Some(rule) => Err(InvalidSlackConfig::Rule(rule.kind.chars().take(80).collect())),
            None => Ok(()),
        }
    }

    pub(super) const fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn with(change: impl Fn(&mut SlackConfig)) -> Result<(), InvalidSlackConfig> {
        let url = SlackUrl::from("https://hooks.slack.example/services/T/B/x");
        let mut config = SlackConfig { url, ..SlackConfig::default() };
        change(&mut config);
        config.check(MINUTE)
    }

    #[test]
    fn only_the_url_must_be_given_and_what_is_unsafe_is_named() {
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|c| c.url = "".into()), Err(InvalidSlackConfig::NoUrl));
        assert_eq!(with(|c| c.url = "ftp://a.example/".into()), Err(InvalidSlackConfig::Url));
        assert_eq!(with(|c| c.url = "https://u:p@a.example/".into()), Err(InvalidSlackConfig::Url));
        assert_eq!(with(|c| c.url = "http://a.example/".into()), Err(InvalidSlackConfig::Plain));
        assert_eq!(with(|c| c.url = "https://127.0.0.1/".into()), Err(InvalidSlackConfig::NotAllowed));
        let local = |c: &mut SlackConfig| {
            c.url = "http://127.0.0.1:1/".into();
            c.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
        };
        assert_eq!(with(local), Ok(()));
        assert_eq!(with(|c| c.window_ms = 15_001), Err(InvalidSlackConfig::Window(15_001, 60_000)));
        assert_eq!(with(|c| c.window_ms = 99), Err(InvalidSlackConfig::Bounds("window_ms", 100, 600_000)));
        assert_eq!(with(|c| c.per_minute = 61), Err(InvalidSlackConfig::Bounds("per_minute", 1, 60)));
        assert_eq!(with(|c| c.title = String::new()), Err(InvalidSlackConfig::Title));
        let rule = |c: &mut SlackConfig| c.rules[0].kind = "<!here>".to_owned();
        assert_eq!(with(rule), Err(InvalidSlackConfig::Rule("<!here>".to_owned())));
    }

    #[test]
    fn the_url_is_never_shown() {
        let config = SlackConfig { url: "https://hooks.example/T/B/x".into(), ..SlackConfig::default() };
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(shown.contains("(secret)") && !shown.contains("hooks"), "{shown}");
    }
}
