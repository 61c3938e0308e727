//! Where SNS is, and how the topic is used there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::aws::{AwsAccount, AwsNamespace, AwsSettings, InvalidAccount, InvalidAwsSettings};

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
    /// SQS counts in seconds, and knows no more than twelve hours.
    #[error("`visibility_ms` must be from 1000 to 43200000")]
    Visibility,
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
        if !(1_000..=43_200_000).contains(&self.visibility_ms) {
            return Err(InvalidSnsSettings::Visibility);
        }
        Ok(())
    }

    pub(super) const fn visibility(&self) -> Duration {
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
        assert_eq!(short.check(), Err(InvalidSnsSettings::Visibility));
        let endpoint = SnsSettings { endpoint: Some("x".to_owned()), ..SnsSettings::default() };
        assert!(matches!(endpoint.check(), Err(InvalidSnsSettings::Aws(_))));
    }
}
