//! Where the doorbell is.

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::redis::{RedisSettings, SettingsError};

/// How long Redis may take to answer; nobody who publishes or receives waits for it.
const ANSWER: Duration = Duration::from_secs(1);

/// A doorbell in Redis. Only `url` must be given.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorbellSettings {
    /// Where it is: see [`RedisSettings::url`].
    pub url: String,
    /// Certificates (PEM) that are trusted in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// What every key begins with.
    #[serde(default = "prefix")]
    pub prefix: String,
}

fn prefix() -> String {
    "naru".to_owned()
}

impl fmt::Debug for DoorbellSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("DoorbellSettings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl DoorbellSettings {
    /// How to reach it.
    #[must_use]
    pub fn settings(&self) -> RedisSettings {
        let (url, ca_file, prefix) = (self.url.clone(), self.ca_file.clone(), self.prefix.clone());
        RedisSettings { url, ca_file, prefix, timeout: ANSWER }
    }

    /// Refuses what could not work.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.settings().client().map(drop)
    }
}
