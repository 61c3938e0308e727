//! How the queue on SQS is reached and used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    aws::{AwsNamespace, AwsSettings, InvalidAwsSettings},
    doorbell::DoorbellSettings,
};

/// The longest that SQS leaves anything in hand, in milliseconds: 12 hours.
const LONGEST_VISIBILITY: u64 = 43_200_000;

/// The most requests that ask one queue at once.
const MOST_RECEIVERS: u64 = 256;

/// What a message must have room for: a claim check and its attributes.
const LEAST_BYTES: u32 = 4_096;

/// What SQS takes.
const MOST_BYTES: u32 = 1_048_576;

/// Settings of a queue on SQS. Nothing must be given. They stand here one by one, and not as a part of others, so that a
/// misspelt one is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqsSettings {
    /// See [`AwsSettings::region`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// See [`AwsSettings::endpoint`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Separates deployments that share an account and region: every name begins with `naru-NAMESPACE-`.
    pub namespace: AwsNamespace,
    /// See [`AwsSettings::connect_timeout_ms`].
    pub connect_timeout_ms: u64,
    /// See [`AwsSettings::call_timeout_ms`]; a publish that is not confirmed by then is in doubt.
    pub call_timeout_ms: u64,
    /// How long a received pack stays in hand before it comes back, in milliseconds; SQS counts whole seconds.
    pub visibility_ms: u64,
    /// Whether a process makes queues that are missing, in place of `naru infra apply`.
    pub create: bool,
    /// Requests that ask one queue at once under load, at the most.
    pub receivers: u32,
    /// The longest message that the queues take, in bytes (`MaximumMessageSize`): less where they, or what speaks as SQS does, take less
    /// than SQS. A pack that would be longer is kept among the blobs.
    pub message_bytes: u32,
    /// What wakes idle receivers; without it they ask every 20 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doorbell: Option<DoorbellSettings>,
}

impl Default for SqsSettings {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            namespace: AwsNamespace::default(),
            connect_timeout_ms: 1_500,
            call_timeout_ms: 4_000,
            visibility_ms: 120_000,
            create: false,
            receivers: 16,
            message_bytes: MOST_BYTES,
            doorbell: None,
        }
    }
}

impl SqsSettings {
    /// Where AWS is and how long it may take.
    #[must_use]
    pub fn aws(&self) -> AwsSettings {
        AwsSettings {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            connect_timeout_ms: self.connect_timeout_ms,
            call_timeout_ms: self.call_timeout_ms,
        }
    }

    /// How long a received pack stays in hand.
    #[must_use]
    pub const fn visibility(&self) -> Duration {
        Duration::from_millis(self.visibility_ms)
    }

    /// Refuses what could not work.
    ///
    /// # Errors
    /// Names the setting and its bounds.
    pub fn check(&self) -> Result<(), InvalidAwsSettings> {
        self.aws().check()?;
        for (name, value, least, most) in [
            ("visibility_ms", self.visibility_ms, 1_000, LONGEST_VISIBILITY),
            ("receivers", self.receivers.into(), 1, MOST_RECEIVERS),
            ("message_bytes", self.message_bytes.into(), LEAST_BYTES.into(), MOST_BYTES.into()),
        ] {
            if !(least..=most).contains(&value) {
                return Err(InvalidAwsSettings::Bounds(name, least, most));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused() {
        assert_eq!(SqsSettings::default().check(), Ok(()));
        let with = |change: fn(&mut SqsSettings)| {
            let mut settings = SqsSettings::default();
            change(&mut settings);
            settings.check().is_err()
        };
        assert!(with(|s| s.visibility_ms = 999));
        assert!(with(|s| s.visibility_ms = LONGEST_VISIBILITY + 1));
        assert!(with(|s| s.receivers = 0));
        assert!(with(|s| s.message_bytes = 4_095));
        assert!(with(|s| s.message_bytes = 1_048_577));
        assert!(with(|s| s.endpoint = Some("sqs".to_owned())));
    }
}
