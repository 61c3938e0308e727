//! `naru health`: asks a process that serves, through its operator's listener.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use serde_json::json;

use crate::{exit::Failure, output::Output};

/// How long it may take to answer; a probe of each engine takes a second at the most.
const PATIENCE: Duration = Duration::from_secs(3);

/// Does it.
///
/// # Errors
/// [`Failure::Unavailable`] if it does not answer, or says that it is not ready.
pub async fn run(listen: SocketAddr, ready: bool, out: Output) -> anyhow::Result<()> {
    let (path, word) = if ready { ("readyz", "ready") } else { ("healthz", "alive") };
    let url = format!("http://{}/{path}", reachable(listen));
    // Nothing is encrypted on this way: no authorities are read, which a container may lack.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build()?;
    let unavailable = |why: String| anyhow::Error::from(Failure::Unavailable(why));
    let answer = client.get(&url).send().await.map_err(|_| unavailable(format!("{url} does not answer")))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|_| unavailable(format!("{url} does not end its answer")))?;
    if !status.is_success() {
        return Err(unavailable(format!("not {word}: {}", text.trim())));
    }
    out.said(&json!({ "health": word }), word)
}

/// Where a listener on every address is reached from the same machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_over_loopback() {
        assert_eq!(reachable("0.0.0.0:8081".parse().unwrap()), "127.0.0.1:8081".parse().unwrap());
        assert_eq!(reachable("[::]:8081".parse().unwrap()), "[::1]:8081".parse().unwrap());
        assert_eq!(reachable("127.0.0.2:1".parse().unwrap()), "127.0.0.2:1".parse().unwrap());
    }
}
