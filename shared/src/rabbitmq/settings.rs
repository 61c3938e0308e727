//! How RabbitMQ is reached and used.

use std::{fmt, path::PathBuf, time::Duration};

use lapin::uri::{AMQPScheme, AMQPUri};
use serde::{Deserialize, Serialize};

use crate::domain::Namespace;

/// The longest heartbeat, in seconds: a connection that died unseen is found after twice as long.
const LONGEST_HEARTBEAT: u16 = 60;

/// The largest prefetch: quorum queues of RabbitMQ 3.10 keep no more in a consumer's hands.
const LARGEST_PREFETCH: u16 = 2_000;

/// Settings of a RabbitMQ: the same for the queue and the topic if they are to share its connections.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RabbitMqSettings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS; the vhost is percent-encoded.
    pub url: String,
    /// Separates deployments that share a vhost: every name begins with `naru.NAMESPACE.`.
    pub namespace: Namespace,
    /// A PEM file of authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to come about, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long any call may take, in milliseconds; a publish that is not confirmed by then is in doubt.
    pub call_timeout_ms: u64,
    /// Seconds between heartbeats; a connection without any sign for twice as long is dropped.
    pub heartbeat_s: u16,
    /// Messages of one queue that the broker may leave in this process's hands.
    pub prefetch: u16,
    /// Bytes published and not yet confirmed, at the most; beyond them a publish waits, then is refused.
    pub in_flight_bytes: u32,
}

impl Default for RabbitMqSettings {
    fn default() -> Self {
        Self {
            url: "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned(),
            namespace: Namespace::default(),
            ca_file: None,
            connect_timeout_ms: 5_000,
            call_timeout_ms: 4_000,
            heartbeat_s: 10,
            prefetch: 256,
            in_flight_bytes: 64 << 20,
        }
    }
}

impl fmt::Debug for RabbitMqSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL holds a password.
        f.debug_struct("RabbitMqSettings").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL is not one; its text is not shown, it may hold a password.
    #[error("`url` is not an AMQP address (amqp://user:password@host:port/vhost): {0}")]
    Url(String),
    /// The file of authorities cannot be read.
    #[error("`ca_file` cannot be read")]
    Authorities(#[source] std::io::Error),
    /// A number is out of its bounds.
    #[error("`{0}` must be from 1 to {1}")]
    Bounds(&'static str, u64),
}

impl RabbitMqSettings {
    /// The address with what is to be negotiated.
    pub(super) fn uri(&self) -> Result<AMQPUri, SettingsError> {
        let mut uri: AMQPUri = self.url.parse().map_err(SettingsError::Url)?;
        uri.query.heartbeat = Some(self.heartbeat_s);
        Ok(uri)
    }

    /// Authorities to trust besides the system's, as PEM.
    pub(super) fn authorities(&self) -> Result<Option<String>, SettingsError> {
        self.ca_file.as_ref().map(std::fs::read_to_string).transpose().map_err(SettingsError::Authorities)
    }

    /// Whether what is sent cannot be read on its way.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.url.parse::<AMQPUri>().is_ok_and(|uri| uri.scheme == AMQPScheme::AMQPS)
    }

    /// Refuses what could not work.
    ///
    /// # Errors
    /// Names the setting and its bounds.
    pub fn check(&self) -> Result<(), SettingsError> {
        let bounds: [(&'static str, u64, u64); 5] = [
            ("connect_timeout_ms", self.connect_timeout_ms, 600_000),
            ("call_timeout_ms", self.call_timeout_ms, 600_000),
            ("heartbeat_s", self.heartbeat_s.into(), LONGEST_HEARTBEAT.into()),
            ("prefetch", self.prefetch.into(), LARGEST_PREFETCH.into()),
            ("in_flight_bytes", self.in_flight_bytes.into(), 1 << 30),
        ];
        for (name, value, most) in bounds {
            if !(1..=most).contains(&value) {
                return Err(SettingsError::Bounds(name, most));
            }
        }
        self.uri().map(drop)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(super) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_and_the_password_is_not_shown() {
        let with = |change: fn(&mut RabbitMqSettings)| {
            let mut settings = RabbitMqSettings::default();
            change(&mut settings);
            settings.check()
        };
        assert!(with(|_| ()).is_ok());
        assert!(matches!(with(|s| s.prefetch = 0), Err(SettingsError::Bounds("prefetch", 2_000))));
        assert!(matches!(with(|s| s.heartbeat_s = 61), Err(SettingsError::Bounds("heartbeat_s", 60))));
        assert!(matches!(with(|s| s.url = "http://a:secret@b/".to_owned()), Err(SettingsError::Url(_))));
        let settings = RabbitMqSettings { url: "amqps://a:secret@b/".to_owned(), ..Default::default() };
        assert!(settings.is_encrypted());
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
