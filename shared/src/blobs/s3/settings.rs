//! Where the bucket is, and how it is used.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::aws::{AwsSettings, InvalidAwsSettings};

/// The most characters of a prefix.
const PREFIX: usize = 128;

/// When checksums of the protocol's own are sent and asked for. Digests are compared by whoever reads, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksums {
    /// Wherever the protocol has them: the store refuses what was damaged on its way.
    #[default]
    Supported,
    /// Only where the protocol demands them: for stores that do not know the newer ones.
    Required,
}

/// A bucket of S3, or of a store that speaks as it does. Only `bucket` must be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Settings {
    /// The bucket. Must be given. Encryption at rest is the bucket's own.
    pub bucket: String,
    /// What every key begins with, before a `/`.
    pub prefix: String,
    /// Makes the bucket if it is missing: for trials. Else `naru infra apply` makes it, with its rules.
    pub create: bool,
    /// When checksums are sent and asked for.
    pub checksums: Checksums,
    /// See [`AwsSettings::region`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// See [`AwsSettings::endpoint`]. With one, the bucket stands in the path and not in the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// An endpoint beyond loopback without TLS: only in a network of the operator's own, since what is kept would travel
    /// readable.
    pub allow_plain_http: bool,
    /// See [`AwsSettings::connect_timeout_ms`].
    pub connect_timeout_ms: u64,
    /// How long any call may take with all its tries, in milliseconds.
    pub call_timeout_ms: u64,
}

impl Default for S3Settings {
    fn default() -> Self {
        let AwsSettings { region, endpoint, connect_timeout_ms, call_timeout_ms } = AwsSettings::default();
        Self {
            bucket: String::new(),
            prefix: "naru-main".to_owned(),
            create: false,
            checksums: Checksums::default(),
            region,
            endpoint,
            allow_plain_http: false,
            connect_timeout_ms,
            call_timeout_ms,
        }
    }
}

/// Settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidS3Settings {
    /// The bucket's name breaks the rules of S3.
    #[error("`bucket` must be given: 3 to 63 lower-case letters, digits, `-` or `.`")]
    Bucket,
    /// The prefix would make keys that mean something else.
    #[error("`prefix` must be 1 to {PREFIX} letters, digits, `-`, `_`, `.` or single `/` inside")]
    Prefix,
    /// What is kept would travel readable.
    #[error(
        "`endpoint` is beyond loopback and without TLS: use https, or keep it in a network of your own and say so with \
         `allow_plain_http = true`"
    )]
    Plain,
    /// What it shares with other adapters.
    #[error(transparent)]
    Aws(#[from] InvalidAwsSettings),
}

impl S3Settings {
    /// What it shares with other adapters for AWS.
    #[must_use]
    pub fn aws(&self) -> AwsSettings {
        AwsSettings {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            connect_timeout_ms: self.connect_timeout_ms,
            call_timeout_ms: self.call_timeout_ms,
        }
    }

    /// What every key of this deployment begins with: for the bucket's rule that removes what is old.
    #[must_use]
    pub fn keys(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// Refuses what could not work.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self) -> Result<(), InvalidS3Settings> {
        let of_bucket = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        if !(3..=63).contains(&self.bucket.len()) || !self.bucket.bytes().all(of_bucket) {
            return Err(InvalidS3Settings::Bucket);
        }
        let of_part = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let part = |part: &str| !part.is_empty() && part.bytes().all(of_part) && part != "." && part != "..";
        if self.prefix.len() > PREFIX || !self.prefix.split('/').all(part) {
            return Err(InvalidS3Settings::Prefix);
        }
        self.aws().check()?;
        let plain = self.endpoint.as_deref().and_then(|endpoint| endpoint.strip_prefix("http://"));
        match plain {
            Some(place) if !self.allow_plain_http && !is_loopback(place) => Err(InvalidS3Settings::Plain),
            _ => Ok(()),
        }
    }
}

/// Whether `host:port/path` is on this machine.
fn is_loopback(place: &str) -> bool {
    let place = place.split('/').next().unwrap_or_default();
    let host = match place.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => place.rsplit_once(':').map_or(place, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused() {
        let with = |change: fn(&mut S3Settings)| {
            let mut settings = S3Settings { bucket: "naru-blobs".to_owned(), ..S3Settings::default() };
            change(&mut settings);
            settings.check()
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|s| s.prefix = "a/b".to_owned()), Ok(()));
        for bad in ["", "ab", "Bucket", "a_b_c"] {
            let settings = S3Settings { bucket: bad.to_owned(), ..S3Settings::default() };
            assert_eq!(settings.check(), Err(InvalidS3Settings::Bucket), "{bad}");
        }
        assert_eq!(with(|s| s.prefix = String::new()), Err(InvalidS3Settings::Prefix));
        assert_eq!(with(|s| s.prefix = "/a".to_owned()), Err(InvalidS3Settings::Prefix));
        assert_eq!(with(|s| s.prefix = "a/../b".to_owned()), Err(InvalidS3Settings::Prefix));
        assert!(matches!(with(|s| s.endpoint = Some("x".to_owned())), Err(InvalidS3Settings::Aws(_))));
        let at = |endpoint: &str, allow_plain_http| {
            let (bucket, endpoint) = ("naru-blobs".to_owned(), Some(endpoint.to_owned()));
            S3Settings { bucket, endpoint, allow_plain_http, ..S3Settings::default() }.check()
        };
        for near in ["http://127.0.0.1:9000", "http://localhost/x", "http://[::1]:9000", "https://s3.example"]
        {
            assert_eq!(at(near, false), Ok(()), "{near}");
        }
        for far in ["http://10.0.0.1:9000", "http://s3.example", "http://127.0.0.1.example/"] {
            assert_eq!(at(far, false), Err(InvalidS3Settings::Plain), "{far}");
            assert_eq!(at(far, true), Ok(()), "{far}");
        }
    }
}
