//! Where SNS is, and how the topic is used there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    aws::{AwsAccount, AwsNamespace, AwsSettings, InvalidAccount, InvalidAwsSettings},
    doorbell::DoorbellSettings,
};

/// The longest that SQS leaves anything in hand, in milliseconds: 12 hours.
const LONGEST_VISIBILITY: u64 = 43_200_000;

/// The most requests that ask one queue at once.
const MOST_RECEIVERS: u64 = 256;

/// The topic on SNS. Nothing must be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnsSettings {
    /// See [`AwsSettings::region`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// See [`AwsSettings::endpoint`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// See [`AwsSettings::connect_timeout_ms`].
    pub connect_timeout_ms: u64,
    /// See [`AwsSettings::call_timeout_ms`].
    pub call_timeout_ms: u64,
    /// Separates deployments in one account and region.
    pub namespace: AwsNamespace,
    /// The account's number; unless it is given, STS is asked whose the credentials are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How long a received event stays in hand before it comes back, in milliseconds.
    pub visibility_ms: u64,
    /// Requests that ask one subscription's queue at once under load, at the most.
    pub receivers: u32,
    /// What wakes idle subscribers; without it they ask every 20 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doorbell: Option<DoorbellSettings>,
    /// Whether a process makes what is missing; else `naru infra apply` does.
    pub create: bool,
}

impl Default for SnsSettings {
    fn default() -> Self {
        let AwsSettings { region, endpoint, connect_timeout_ms, call_timeout_ms } = AwsSettings::default();
        Self {
            region,
            endpoint,
            connect_timeout_ms,
            call_timeout_ms,
            namespace: AwsNamespace::default(),
            account: None,
            visibility_ms: 60_000,
            receivers: 8,
            doorbell: None,
            create: false,
        }
    }
}

/// Settings of the topic that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSnsSettings {
    /// As for every service.
    #[error(transparent)]
    Aws(#[from] InvalidAwsSettings),
    /// The account is none.
    #[error("`account`: {0}")]
    Account(#[from] InvalidAccount),
    /// The doorbell cannot be reached so.
    #[error("`doorbell`: {0}")]
    Doorbell(String),
}

impl SnsSettings {
    /// Where AWS is.
    #[must_use]
    pub fn aws(&self) -> AwsSettings {
        AwsSettings {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            connect_timeout_ms: self.connect_timeout_ms,
            call_timeout_ms: self.call_timeout_ms,
        }
    }

    /// Refuses what could not work.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self) -> Result<(), InvalidSnsSettings> {
        self.aws().check()?;
        if let Some(number) = &self.account {
            AwsAccount::new("", number)?;
        }
        for (name, value, least, most) in [
            ("visibility_ms", self.visibility_ms, 1_000, LONGEST_VISIBILITY),
            ("receivers", self.receivers.into(), 1, MOST_RECEIVERS),
        ] {
            if !(least..=most).contains(&value) {
                return Err(InvalidAwsSettings::Bounds(name, least, most).into());
            }
        }
        if let Some(doorbell) = &self.doorbell {
            doorbell.check().map_err(|error| InvalidSnsSettings::Doorbell(error.to_string()))?;
        }
        Ok(())
    }

    pub(crate) const fn visibility(&self) -> Duration {
        Duration::from_millis(self.visibility_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused() {
        assert_eq!(SnsSettings::default().check(), Ok(()));
        let account = SnsSettings { account: Some("42".to_owned()), ..SnsSettings::default() };
        assert_eq!(account.check(), Err(InvalidSnsSettings::Account(InvalidAccount)));
        let short = SnsSettings { visibility_ms: 999, ..SnsSettings::default() };
        assert_eq!(
            short.check(),
            Err(InvalidAwsSettings::Bounds("visibility_ms", 1_000, LONGEST_VISIBILITY).into())
        );
        let endpoint = SnsSettings { endpoint: Some("x".to_owned()), ..SnsSettings::default() };
        assert!(matches!(endpoint.check(), Err(InvalidSnsSettings::Aws(_))));
    }
}
