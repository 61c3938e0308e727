//! How to reach a Redis.

use std::{fs, path::PathBuf, time::Duration};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsCertificates,
    io::tcp::TcpSettings,
};

/// Where it is, and how long it may take.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://[user:password@]host:port/db`; `rediss://` is TLS, with the certificate verified.
    pub url: String,
    /// Certificates (PEM) that are trusted in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// What every key begins with.
    pub prefix: String,
    /// The longest that one call waits for an answer.
    pub timeout: Duration,
}

/// The settings do not say how to reach a Redis.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL cannot be read. It is not shown: it may hold a password.
    #[error("the URL of Redis cannot be read: expected redis://[user:password@]host:port/db or rediss://…")]
    Url(#[source] redis::RedisError),
    /// Certificates for a connection that has none.
    #[error("certificates were given for a URL without TLS: it must begin with rediss://")]
    Plain,
    /// The certificates cannot be read.
    #[error("cannot read the certificates in {0}")]
    Certificates(PathBuf, #[source] std::io::Error),
    /// Any certificate would do.
    #[error("the URL asks that certificates are not verified, which is refused")]
    Unverified,
}

impl RedisSettings {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn client(&self) -> Result<Client, SettingsError> {
        self.client_of(self.info()?)
    }

    /// The same, whose connections can be told what they did not ask for (RESP3).
    pub(super) fn listening_client(&self) -> Result<Client, SettingsError> {
        let info = self.info()?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        self.client_of(info.set_redis_settings(settings))
    }

    fn info(&self) -> Result<ConnectionInfo, SettingsError> {
        self.url.as_str().into_connection_info().map_err(SettingsError::Url)
    }

    fn client_of(&self, info: ConnectionInfo) -> Result<Client, SettingsError> {
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = info.set_tcp_settings(tcp);
        if let ConnectionAddr::TcpTls { insecure: true, .. } = info.addr() {
            return Err(SettingsError::Unverified);
        }
        let Some(path) = &self.ca_file else { return Client::open(info).map_err(SettingsError::Url) };
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Err(SettingsError::Plain);
        }
        let root = fs::read(path).map_err(|error| SettingsError::Certificates(path.clone(), error))?;
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(root) };
        Client::build_with_tls(info, certificates).map_err(SettingsError::Url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, ca_file: Option<&str>) -> RedisSettings {
        let ca_file = ca_file.map(PathBuf::from);
        RedisSettings {
            url: url.to_owned(),
            ca_file,
            prefix: "naru".to_owned(),
            timeout: Duration::from_millis(40),
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_showing_a_password() {
        for (url, ca) in [
            ("http://u:hidden@h", None),
            ("nonsense-hidden", None),
            ("redis://u:hidden@h:1", Some("/ca.pem")),
            ("rediss://u:hidden@h:1", Some("/does/not/exist.pem")),
            ("rediss://u:hidden@h:1/#insecure", None),
        ] {
            let error = settings(url, ca).client().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
        assert!(settings("redis://127.0.0.1:1/2", None).client().is_ok());
    }
}
