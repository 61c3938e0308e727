//! Where the server is and how long it may take.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::release::Release;

/// The settings of a pool. Only `url` must be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`. Beyond loopback and Unix sockets the server's
    /// certificate and name are verified unless `sslmode` says otherwise.
    pub url: String,
    /// Connections at the most.
    #[serde(default = "connections")]
    pub connections: u32,
    /// How long a call waits for a free connection, or a new one, in milliseconds.
    #[serde(default = "acquire_ms")]
    pub acquire_ms: u64,
    /// How long one statement may take, in milliseconds; the server ends it then.
    #[serde(default = "statement_ms")]
    pub statement_ms: u64,
    /// How long a statement waits for a lock, in milliseconds.
    #[serde(default = "lock_ms")]
    pub lock_ms: u64,
    /// How long a whole call may take, all its tries together, in milliseconds.
    #[serde(default = "call_ms")]
    pub call_ms: u64,
    /// The version that the tables must have at the least: what the release needs, and no setting.
    #[serde(skip, default = "tables")]
    pub tables: i32,
}

const fn tables() -> i32 {
    Release::THIS.tables()
}

const fn connections() -> u32 {
    8
}

const fn acquire_ms() -> u64 {
    2_000
}

const fn statement_ms() -> u64 {
    8_000
}

const fn lock_ms() -> u64 {
    4_000
}

const fn call_ms() -> u64 {
    15_000
}

/// A URL that leads to no PostgreSQL server. It is not repeated here: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("the URL of PostgreSQL is not valid: {0}")]
pub struct InvalidUrl(String);

impl PostgresSettings {
    /// These defaults at that address.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            connections: connections(),
            acquire_ms: acquire_ms(),
            statement_ms: statement_ms(),
            lock_ms: lock_ms(),
            call_ms: call_ms(),
            tables: tables(),
        }
    }

    /// The same with another address.
    #[must_use]
    pub fn with_url(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// How to connect. Every session's time-outs and its ways of planning are set as it begins.
    ///
    /// # Errors
    /// If the URL is none of PostgreSQL.
    pub(super) fn options(&self, name: &str) -> Result<PgConnectOptions, InvalidUrl> {
        let options = self.address()?;
        let milliseconds = |ms: u64| format!("{ms}ms");
        Ok(options.application_name(&format!("naru-{name}")).statement_cache_capacity(256).options([
            ("search_path", "naru".to_owned()),
            ("statement_timeout", milliseconds(self.statement_ms)),
            ("lock_timeout", milliseconds(self.lock_ms)),
            ("idle_in_transaction_session_timeout", milliseconds(self.call_ms)),
            // Arrays of ids differ in length from call to call: one plan, made for few of them, which looks each up in an index.
            // It may be made while the tables are empty, when reading them whole would seem cheap, and stay until they are large.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("enable_seqscan", "off".to_owned()),
            ("enable_mergejoin", "off".to_owned()),
            ("random_page_cost", "1.1".to_owned()),
            ("jit", "off".to_owned()),
        ]))
    }

    /// How to connect to a database whose tables are not ours: its own ways of planning, and our time-outs.
    ///
    /// # Errors
    /// If the URL is none of PostgreSQL.
    pub(crate) fn foreign(&self, name: &str) -> Result<PgConnectOptions, InvalidUrl> {
        let milliseconds = |ms: u64| format!("{ms}ms");
        Ok(self.address()?.application_name(name).options([
            ("TimeZone", "UTC".to_owned()),
            ("statement_timeout", milliseconds(self.statement_ms)),
            ("lock_timeout", milliseconds(self.lock_ms)),
            ("idle_in_transaction_session_timeout", milliseconds(self.call_ms)),
            ("jit", "off".to_owned()),
        ]))
    }

    fn address(&self) -> Result<PgConnectOptions, InvalidUrl> {
        if !self.url.starts_with("postgres://") && !self.url.starts_with("postgresql://") {
            return Err(InvalidUrl("it does not begin with postgres://".to_owned()));
        }
        let options: PgConnectOptions = self.url.parse().map_err(|error| match error {
            sqlx::Error::Configuration(source) => InvalidUrl(source.to_string()),
            _ => InvalidUrl("it cannot be parsed".to_owned()),
        })?;
        Ok(if self.says_ssl_mode() {
            options
        } else if is_local(&options) {
            options.ssl_mode(PgSslMode::Prefer)
        } else {
            options.ssl_mode(PgSslMode::VerifyFull)
        })
    }

    fn says_ssl_mode(&self) -> bool {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        query.split('&').any(|pair| pair.starts_with("sslmode=") || pair.starts_with("ssl-mode="))
    }

    pub(super) const fn acquire(&self) -> Duration {
        Duration::from_millis(self.acquire_ms)
    }

    pub(super) const fn call(&self) -> Duration {
        Duration::from_millis(self.call_ms)
    }
}

/// Whether the way to the server never leaves this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_matches(['[', ']']);
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> String {
        format!("{:?}", PostgresSettings::at(url).options("test").unwrap().get_ssl_mode())
    }

    #[test]
    fn certificates_are_verified_wherever_the_way_leaves_this_machine() {
        assert_eq!(mode("postgres://u:p@db.example:5432/naru"), "VerifyFull");
        assert_eq!(mode("postgres://u:p@10.0.0.7/naru?sslrootcert=/etc/ca.pem"), "VerifyFull");
        assert_eq!(mode("postgres://u@127.0.0.1/naru"), "Prefer");
        assert_eq!(mode("postgres://u@[::1]/naru"), "Prefer");
        assert_eq!(mode("postgres://u@localhost/naru"), "Prefer");
        assert_eq!(mode("postgres://u@%2Frun%2Fpostgresql/naru"), "Prefer");
        assert_eq!(mode("postgres://u@db.example/naru?sslmode=require"), "Require");
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_it() {
        for url in ["", "mysql://u:secret@h/x", "postgres://u:secret@h/x?sslmode=secret"] {
            let refused = PostgresSettings::at(url).options("test").unwrap_err().to_string();
            assert!(!refused.contains("secret@"), "{refused}");
        }
    }
}
