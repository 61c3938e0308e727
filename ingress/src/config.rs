//! What an operator may set about the HTTP front.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use naru_shared::domain::{IpNetwork, WRITTEN};
use serde::{Deserialize, Serialize};

use crate::tls::TlsFiles;

/// In which header proxies tell from whom they forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, which most write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Settings of the HTTP front; every field has a default that protects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngressConfig {
    /// Where customers call.
    pub listen: SocketAddr,
    /// Threads that serve HTTP; 0: one for each core.
    pub threads: usize,
    /// Connections at once, over all threads; more wait in the kernel's line.
    pub max_connections: usize,
    /// Listen beyond loopback without TLS: only behind something that ends TLS, since Basic credentials are readable.
    pub allow_plain_http: bool,
    /// Speak TLS: the file with the certificate and what leads from it to an authority (PEM). It is read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// The file with the certificate's private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Every connection begins with a header of the PROXY protocol (version 1 or 2), and comes from a trusted proxy.
    pub proxy_protocol: bool,
    /// Networks of the proxies whose word is believed on where a call comes from; from everybody else such headers are ignored.
    pub trusted_proxies: Vec<IpNetwork>,
    /// In which header they tell it; the other one is ignored.
    pub forwarded_by: ForwardedBy,
    /// What this deployment is called in `aud` of tokens (RFC 7519 section 4.1.3); with another name in each, a token of one is none in
    /// another.
    pub token_audience: String,
    /// How long each further `401` to an address waits that has been refused too often of late, in milliseconds, at most 5000; 0: not
    /// at all. Nothing else waits.
    pub guess_wait_ms: u64,
    /// Messages between their check and the queue's confirm, each counted once per 4 KiB begun. One customer gets
    /// half of it at most, and a batch of 1,000 needs 1,000 to 1,512 at once.
    pub publish_in_flight: usize,
    /// How long a publish may take, in milliseconds, before its outcome counts as unknown.
    pub publish_timeout_ms: u64,
    /// The version of the envelopes that are written. Workers of an older release leave a newer version alone: it is raised
    /// once all of them read it.
    pub envelope_version: u32,
    /// How long a server that was asked to stop still accepts as ever, while its readiness says no already, in milliseconds: as
    /// long as whatever spreads calls over several servers needs to notice. Then comes `drain_grace_ms`; a part of the time
    /// that a drain may take.
    pub drain_notice_ms: u64,
    /// How long a server that was asked to stop still answers on open and on new connections, accepts with `503`, in
    /// milliseconds; a part of the time that a drain may take.
    pub drain_grace_ms: u64,
    /// Serve `/docs`, a page to read and try the API.
    pub docs: bool,
    /// Messages of everybody that may wait on a route before accepts of it are refused.
    pub route_backlog: u64,
    /// Messages of one customer that may wait on a route before its accepts are refused.
    pub customer_backlog: u64,
}

impl Default for IngressConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            threads: 0,
            max_connections: 25_000,
            allow_plain_http: false,
            tls_certificate: None,
            tls_key: None,
            proxy_protocol: false,
            trusted_proxies: Vec::new(),
            forwarded_by: ForwardedBy::XForwardedFor,
            token_audience: "naru".to_owned(),
            guess_wait_ms: 1_000,
            publish_in_flight: 16_384,
            publish_timeout_ms: 5_000,
            envelope_version: WRITTEN,
            drain_notice_ms: 0,
            drain_grace_ms: 1_500,
            docs: true,
            route_backlog: 5_000_000,
            customer_backlog: 1_000_000,
        }
    }
}

impl IngressConfig {
    /// The files to speak TLS with, if the listener does.
    ///
    /// # Errors
    /// If only one of them is named.
    pub fn tls_files(&self) -> Result<Option<TlsFiles>, &'static str> {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                Ok(Some(TlsFiles { certificate: certificate.clone(), key: key.clone() }))
            }
            (None, None) => Ok(None),
            _ => Err("tls_certificate and tls_key are given together, or neither"),
        }
    }
}
