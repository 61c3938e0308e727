//! Where AWS is, as whom it is called, and how long it may take.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// The longest time for one attempt: a long poll of 20 s must fit with room to spare.
const ATTEMPT: Duration = Duration::from_secs(25);

/// The most characters of a namespace: a queue's name has 80 in all.
const NAMESPACE: usize = 8;

/// Separates deployments that share an account and region: every name begins with `naru-NAMESPACE-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AwsNamespace(String);

impl Default for AwsNamespace {
    fn default() -> Self {
        Self("main".to_owned())
    }
}

impl FromStr for AwsNamespace {
    type Err = InvalidAwsSettings;
    fn from_str(text: &str) -> Result<Self, InvalidAwsSettings> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if (1..=NAMESPACE).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAwsSettings::Namespace)
        }
    }
}

impl TryFrom<String> for AwsNamespace {
    type Error = InvalidAwsSettings;
    fn try_from(text: String) -> Result<Self, InvalidAwsSettings> {
        text.parse()
    }
}

impl From<AwsNamespace> for String {
    fn from(namespace: AwsNamespace) -> Self {
        namespace.0
    }
}

impl fmt::Display for AwsNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAwsSettings {
    /// The namespace breaks its rule.
    #[error("`namespace` must be 1 to {NAMESPACE} lower-case letters or digits")]
    Namespace,
    /// The endpoint is not an address.
    #[error("`endpoint` must begin with http:// or https://")]
    Endpoint,
    /// A number is out of its bounds.
    #[error("`{0}` must be from {1} to {2}")]
    Bounds(&'static str, u64, u64),
}

/// Where a service of AWS is and how long it may take. Nothing must be given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct AwsSettings {
    /// The region; unless it is given, what the environment says (`AWS_REGION`, the profile, the machine).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another address than the region's own: a VPC endpoint, or an emulator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// How long a connection may take to come about, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long any call but a long poll may take with all its tries, in milliseconds.
    pub call_timeout_ms: u64,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self { region: None, endpoint: None, connect_timeout_ms: 3_000, call_timeout_ms: 10_000 }
    }
}

impl AwsSettings {
    /// Refuses what could not work.
    ///
    /// # Errors
    /// Names the setting and its bounds.
    pub fn check(&self) -> Result<(), InvalidAwsSettings> {
        let is_address = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if self.endpoint.as_ref().is_some_and(|endpoint| !is_address(endpoint)) {
            return Err(InvalidAwsSettings::Endpoint);
        }
        for (name, value) in
            [("connect_timeout_ms", self.connect_timeout_ms), ("call_timeout_ms", self.call_timeout_ms)]
        {
            if !(1..=600_000).contains(&value) {
                return Err(InvalidAwsSettings::Bounds(name, 1, 600_000));
            }
        }
        Ok(())
    }

    /// Whether what is sent cannot be read on its way.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| endpoint.starts_with("https://"))
    }

    pub(super) const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// How long a call may take with all its tries.
    pub(crate) const fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    /// How long one try may take: no client of AWS has a bound of its own.
    pub(super) const fn attempt_timeout() -> Duration {
        ATTEMPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(AwsSettings::default().check().is_ok());
        let with = |change: fn(&mut AwsSettings)| {
            let mut settings = AwsSettings::default();
            change(&mut settings);
            settings.check()
        };
        assert_eq!(with(|s| s.endpoint = Some("sqs.local".to_owned())), Err(InvalidAwsSettings::Endpoint));
        assert!(with(|s| s.call_timeout_ms = 0).is_err());
        for bad in ["", "Main", "a-b", "nine-char", "123456789"] {
            assert_eq!(bad.parse::<AwsNamespace>(), Err(InvalidAwsSettings::Namespace), "{bad}");
        }
        assert!("prod1".parse::<AwsNamespace>().is_ok());
    }
}
