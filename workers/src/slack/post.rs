//! One post, and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use serde_json::Value;

use super::{SlackConfig, blocks};
use crate::callbacks::{Answered, Caller, TargetError};

/// The longest post, the answer's body included.
pub(super) const TOTAL: Duration = Duration::from_secs(10);

const AGENT: &str = concat!("naru/", env!("CARGO_PKG_VERSION"), " (slack)");

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stands in the channel.
    Posted,
    /// Too many; after a time, if one was named.
    Limited(Option<Duration>),
    /// Slack did not like the message itself: others may be liked.
    Disliked,
    /// The webhook is revoked, the channel archived: a person must look, and it is tried again all the same.
    Refused,
    /// No answer, or one that says nothing about the message.
    Away(Option<Duration>),
}

impl Verdict {
    pub(super) fn of(answered: &Answered) -> Self {
        match answered.status {
            Some(200..=299) => Self::Posted,
            Some(429) => Self::Limited(answered.retry_after),
            Some(400 | 413 | 422) => Self::Disliked,
            Some(401..=499) => Self::Refused,
            _ => Self::Away(answered.retry_after),
        }
    }

    /// The word of the metric.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::Limited(_) => "limited",
            Self::Disliked | Self::Refused => "refused",
            Self::Away(_) => "failed",
        }
    }
}

/// Posts a message; never takes longer than `within` and a moment.
pub(super) async fn post(
    caller: &Caller,
    config: &SlackConfig,
    message: &Value,
    within: Duration,
) -> Answered {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    caller.send(config.url.secret(), headers, Bytes::from(message.to_string()), within).await
}

/// Posts a message that says it is a test, now, through the same guard.
///
/// # Errors
/// If no client can be made.
pub async fn test(config: &SlackConfig) -> Result<Answered, TargetError> {
    let caller = Caller::new(config.allow_networks.clone())?;
    Ok(post(&caller, config, &blocks::test(&config.title), TOTAL).await)
}

/// What Slack said, fit for a terminal or a log: one short line.
#[must_use]
pub fn told(answered: &Answered) -> String {
    if answered.body.is_empty() {
        return answered.detail.clone();
    }
    format!("{}: {}", answered.detail, blocks::answer(&answered.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_decides_by_its_status() {
        let pause = Some(Duration::from_secs(7));
        for (status, verdict) in [
            (Some(200), Verdict::Posted),
            (Some(204), Verdict::Posted),
            (Some(302), Verdict::Away(pause)),
            (Some(400), Verdict::Disliked),
            (Some(403), Verdict::Refused),
            (Some(404), Verdict::Refused),
            (Some(410), Verdict::Refused),
            (Some(429), Verdict::Limited(pause)),
            (Some(500), Verdict::Away(pause)),
            (None, Verdict::Away(pause)),
        ] {
            let body = b"no_service\n<!here>".to_vec();
            let answered = Answered {
                status,
                detail: "HTTP".to_owned(),
                retry_after: pause,
                body,
                took: Duration::ZERO,
            };
            assert_eq!(Verdict::of(&answered), verdict, "{status:?}");
            assert_eq!(told(&answered), "HTTP: no_service\u{fffd}&lt;!here&gt;");
        }
    }
}
