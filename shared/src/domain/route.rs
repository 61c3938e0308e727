//! Where messages go: a backend and a policy.

use std::{fmt, net::IpAddr, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    ChannelName, CustomerId, Environment, Reporting, RouteName, TableBackend, Trade,
    stored_backend::StoredBackend,
};

/// What happens to a message of which it cannot be known whether the backend took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum OnUncertain {
    /// Sent again, labelled as a possible duplicate.
    Retry,
    /// Waits for a person; the charge stays reserved.
    Hold,
    /// Failed with code `uncertain`; the charge is released. A duplicate harms more than a failure that is told.
    #[default]
    Fail,
}

impl OnUncertain {
    /// The word used in tables and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hold => "hold",
            Self::Fail => "fail",
        }
    }
}

/// A network in CIDR notation (RFC 4632; RFC 4291 section 2.3): `127.0.0.0/8`, `::1/128`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

/// Text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network such as 10.0.0.0/8 or ::1/128")]
pub struct InvalidNetwork(String);

impl IpNetwork {
    /// Whether an address lies in it. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                (u32::from(net) ^ u32::from(ip)).checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                (u128::from(net) ^ u128::from(ip)).checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for IpNetwork {
    type Err = InvalidNetwork;
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let wrong = || InvalidNetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| wrong())?;
        if prefix > bits { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

impl TryFrom<String> for IpNetwork {
    type Error = InvalidNetwork;
    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<IpNetwork> for String {
    fn from(network: IpNetwork) -> Self {
        network.to_string()
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A backend that takes messages over HTTP: JSON by `POST`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpBackend {
    /// `http` or `https`, without credentials or fragment.
    pub url: String,
    /// Private, loopback and link-local networks that may be connected to all the same.
    #[serde(default)]
    pub allow_networks: Vec<IpNetwork>,
    /// How a provider's own API is spoken; its URL is in there, and `url` is empty. A release that knows no providers finds no
    /// URL then, and lets the messages wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderDocument>,
}

/// The description of a provider's API as the catalog keeps it, its secrets sealed. Workers read it, whole or not at all: one that a
/// newer release wrote may say what an older one does not know, such as a signature, and must not be acted upon in part.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderDocument(pub serde_json::Value);

impl ProviderDocument {
    /// A text of it that others may see: of the URL what stands before path and query.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
}

impl fmt::Debug for ProviderDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderDocument(…)")
    }
}

/// How fast a route's attempts may follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pacing {
    /// The most attempts that begin in a second, over all workers; `None`: as many as there are permits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<NonZeroU32>,
    /// Of a hundred messages that are tried for the first time, so many may be tried again in one worker process, beside
    /// [`Pacing::RETRIES_PER_SECOND`]; what exceeds it waits longer.
    pub retry_percent: u32,
}

impl Pacing {
    /// Attempts in a second that are no first ones, whatever the percentage says.
    pub const RETRIES_PER_SECOND: u32 = 10;
}

impl Default for Pacing {
    fn default() -> Self {
        Self { per_second: None, retry_percent: 20 }
    }
}

/// A backend that sends nothing: the recipient's last digits choose what happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SimulatorBackend {}

/// What takes the message in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredBackend", into = "StoredBackend")]
pub enum BackendConfig {
    /// Sends nothing.
    Simulator(SimulatorBackend),
    /// Sends over HTTP.
    Http(HttpBackend),
    /// Inserts into a table.
    Table(Box<TableBackend>),
}

impl BackendConfig {
    /// The word used in tables and on the command line.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Simulator(_) => "simulator",
            Self::Http(_) => "http",
            Self::Table(_) => "table",
        }
    }

    /// Whether its reports come later, by themselves.
    #[must_use]
    pub const fn reports_by_itself(&self) -> bool {
        matches!(self, Self::Table(_))
    }
}

/// Where messages of a customer and channel go: a queue with lanes, a backend, a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Named for ever.
    pub name: RouteName,
    /// Live routes carry live messages only, sandbox routes sandbox messages.
    pub environment: Environment,
    /// What takes the message in the end.
    pub backend: BackendConfig,
    /// What happens when it cannot be known.
    pub on_uncertain: OnUncertain,
    /// The backend ignores a second request with the same `Idempotency-Key`: what is uncertain may be retried.
    pub idempotent: bool,
    /// Attempts under way at once in one worker process.
    pub concurrency: u32,
    /// The whole attempt, the answer's body included, in milliseconds.
    pub attempt_timeout_ms: u32,
    /// Attempts in all before a message that is never taken fails.
    pub max_attempts: u32,
    /// No attempt begins; intake goes on.
    pub paused: bool,
    /// How fast attempts follow each other.
    #[serde(default)]
    pub pacing: Pacing,
    /// What its messages count and cost.
    #[serde(default)]
    pub trade: Trade,
    /// Where messages go that it cannot begin, in this order: of the same environment, and never in a circle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<RouteName>,
    /// How reports come that come later, and what it means if they do not.
    #[serde(default)]
    pub reports: Reporting,
    /// Grows with every change of this row.
    pub version: u64,
}

impl Route {
    /// Routes that messages may go on to from one, at the most.
    pub const FALLBACKS: usize = 4;

    /// A route with the defaults that protect.
    #[must_use]
    pub fn new(name: RouteName, environment: Environment, backend: BackendConfig) -> Self {
        Self {
            name,
            environment,
            backend,
            on_uncertain: OnUncertain::default(),
            idempotent: false,
            concurrency: 64,
            attempt_timeout_ms: 15_000,
            max_attempts: 50,
            paused: false,
            pacing: Pacing::default(),
            trade: Trade::default(),
            fallback: Vec::new(),
            reports: Reporting::default(),
            version: 0,
        }
    }
}

/// A route as anybody may see it: without the secrets in the address of a table.
#[derive(Debug, Clone, Copy)]
pub struct ShownRoute<'a>(pub &'a Route);

impl Serialize for ShownRoute<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut route = serde_json::to_value(self.0).map_err(serde::ser::Error::custom)?;
        if let BackendConfig::Table(table) = &self.0.backend {
            route["backend"] = serde_json::json!({ "kind": "table", "url": table.url.to_string(), "mapping": table.mapping });
        }
        route.serialize(serializer)
    }
}

/// Which route takes a customer's channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Whose messages.
    pub customer: CustomerId,
    /// `None`: every channel that has no assignment of its own, written `*`.
    pub channel: Option<ChannelName>,
    /// Where they go.
    pub route: RouteName,
    /// Grows with every change of this row.
    pub version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let holds = |net: &str, ip: &str| net.parse::<IpNetwork>().unwrap().contains(ip.parse().unwrap());
        assert!(holds("127.0.0.0/8", "127.9.9.9") && !holds("127.0.0.0/8", "128.0.0.1"));
        assert!(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.4"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(
            holds("::/0", "2001:db8::1") && holds("fc00::/7", "fd00::1") && !holds("fc00::/7", "2001:db8::1")
        );
        for bad in ["", "10.0.0.0/33", "::1/129", "10.0.0/8", "a", "1.2.3.4/"] {
            assert!(bad.parse::<IpNetwork>().is_err(), "{bad}");
        }
    }
}
