//! Where a backend may be: never inside the operator's own networks, unless a route allows them by name.
//!
//! The address that was checked is the one connected to: names are resolved here, once, and literals are checked as the
//! URL parser normalised them (decimal, octal and hexadecimal spellings included).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use naru_shared::domain::IpNetwork;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How long a look-up may take; within the time for a connect.
const RESOLVE: Duration = Duration::from_secs(3);

/// The most addresses of one name that are tried.
const ADDRESSES: usize = 16;

/// The address is not one to connect to; says nothing about what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("destination not allowed")]
pub(crate) struct NotAllowed;

/// Decides about addresses.
#[derive(Debug, Clone)]
pub(crate) struct Egress {
    allow: Vec<IpNetwork>,
}

impl Egress {
    /// A guard that makes an exception for these networks.
    pub(crate) const fn new(allow: Vec<IpNetwork>) -> Self {
        Self { allow }
    }

    /// Whether this address may be connected to.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(address)) || is_public(address)
    }

    /// Checks a URL whose host is an address; a name is checked when it is resolved.
    pub(crate) fn check_literal(&self, url: &Url) -> Result<(), NotAllowed> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.permits(address) { Ok(()) } else { Err(NotAllowed) }
    }
}

impl Resolve for Egress {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let look_up = tokio::net::lookup_host((name.as_str(), 0));
            let found: Vec<SocketAddr> =
                tokio::time::timeout(RESOLVE, look_up).await??.take(ADDRESSES).collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|address| guard.permits(address.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(NotAllowed.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public Internet (IANA special-purpose registries, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT, RFC 6598
        || (a == 192 && b == 0 && c == 0) // protocol assignments, RFC 6890
        || (a == 192 && b == 88 && c == 99) // 6to4 relays, RFC 7526
        || (a == 198 && (b == 18 || b == 19)) // benchmarking, RFC 2544
        || a >= 240; // reserved, RFC 1112
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    // Global unicast is 2000::/3; what carries an IPv4 address inside (mapped, NAT64, 6to4, Teredo) could reach any
    // private address through a translator, so it is refused whole.
    let global = s[0] & 0xe000 == 0x2000;
    let special = match s[0] {
        // Protocol assignments, Teredo among them (RFC 2928); documentation (RFC 3849).
        0x2001 => s[1] < 0x0200 || s[1] == 0x0db8,
        // 6to4 (RFC 3056).
        0x2002 => true,
        // Documentation (RFC 9637).
        0x3fff => s[1] < 0x1000,
        _ => false,
    };
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &[&str] = &[
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://0xa9fea9fe/",
        "http://100.64.0.1/",
        "http://100.127.255.255/",
        "http://192.0.0.192/",
        "http://192.0.2.1/",
        "http://198.18.0.1/",
        "http://198.19.255.255/",
        "http://198.51.100.1/",
        "http://203.0.113.1/",
        "http://192.88.99.1/",
        "http://224.0.0.1/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        "http://[::]/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[64:ff9b:1::1]/",
        "http://[2002:7f00:1::1]/",
        "http://[2001:0:1::1]/",
        "http://[2001:db8::1]/",
        "http://[3fff::1]/",
        "http://[fc00::1]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://[ff02::1]/",
    ];

    #[test]
    fn no_spelling_of_an_inner_address_is_allowed() {
        let guard = Egress::new(Vec::new());
        for text in REFUSED {
            let url: Url = text.parse().unwrap();
            assert_eq!(guard.check_literal(&url), Err(NotAllowed), "{text}");
        }
        for text in [
            "http://8.8.8.8/",
            "http://100.128.0.1/",
            "http://172.32.0.1/",
            "http://[2606:4700::1]/",
            "https://a.example/",
        ] {
            assert_eq!(guard.check_literal(&text.parse().unwrap()), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_allowed_network_is_allowed_and_nothing_beside_it() {
        let guard = Egress::new(vec!["127.0.0.0/8".parse().unwrap()]);
        assert!(guard.permits("127.0.0.1".parse().unwrap()));
        assert!(guard.permits("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!guard.permits("::1".parse().unwrap()));
        assert!(!guard.permits("10.0.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_name_of_an_inner_address_is_refused_when_it_is_resolved() {
        let closed = Egress::new(Vec::new());
        let Err(refused) = closed.resolve("localhost".parse().unwrap()).await else { panic!("resolved") };
        assert!(refused.is::<NotAllowed>());
        let open = Egress::new(vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        assert!(open.resolve("localhost".parse().unwrap()).await.unwrap().count() > 0);
    }
}
