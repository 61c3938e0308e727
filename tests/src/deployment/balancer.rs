//! haproxy before the fronts, configured as it would be anywhere.

use std::{
    fmt::Write,
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use rustix::process::Signal;

use crate::{
    engines::{Server, free_port, program},
    wire::Wire,
};

const PACKAGE: &str = "haproxy";

/// How long it may take to listen, to know of a front that is ready, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What does not depend on the fronts.
///
/// A call is sent to another front only if not a byte of it was written (`conn-failure`): a second `POST` would be a second
/// message. A front that drains says so at `/readyz`, is given nothing new, and ends what it has. Time-outs: a caller may be
/// slow up to the gateway's own limits (head 5 s, body 10 s) and idle for 75 s; the longest answer is a long poll of 20 s.
const FIXED: &str = "\
defaults
    mode http
    option forwardfor
    timeout connect 1s
    timeout http-request 10s
    timeout client 30s
    timeout http-keep-alive 75s
    timeout server 30s
    timeout queue 2s
    timeout check 2s
    retries 3
    option redispatch 1
    retry-on conn-failure
";

/// A running haproxy.
#[derive(Debug)]
pub struct Balancer {
    server: Server,
    address: SocketAddr,
}

impl Balancer {
    /// Starts one before fronts: where each listens for customers, and where for the operator.
    pub(super) fn start(fronts: &[(SocketAddr, SocketAddr)]) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let server = Server::prepare("haproxy")?;
        let config = server.home().join("haproxy.cfg");
        fs::write(&config, configuration(address, fronts)?)?;
        let mut balancer = Self { server, address };
        let mut command = Command::new(program("/usr/sbin/haproxy", PACKAGE)?);
        balancer.server.start(command.arg("-db").arg("-f").arg(&config))?;
        let listens = || Wire::new(address, Duration::from_secs(1)).call("GET", "/", &[], b"").is_ok();
        balancer.server.await_ready(PATIENCE, listens)?;
        Ok(balancer)
    }

    /// Where customers call.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Waits until it has a front to send calls to.
    ///
    /// # Errors
    /// If it has none in time.
    pub fn await_open(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut wire = Wire::new(self.address, Duration::from_secs(2));
        // Whatever a front says of this address, it is not what the balancer says when it has none.
        while !wire.call("GET", "/", &[], b"").is_ok_and(|reply| reply.status != 503) {
            ensure!(Instant::now() < deadline, "the balancer knows no front that is ready");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Its keeper removes the rest, and ends it if this did not.
        drop(self.server.end(Signal::TERM, PATIENCE));
    }
}

fn configuration(address: SocketAddr, fronts: &[(SocketAddr, SocketAddr)]) -> anyhow::Result<String> {
    let mut text = String::from("global\n    maxconn 4096\n    nbthread 1\n    hard-stop-after 30s\n\n");
    text.push_str(FIXED);
    write!(text, "\nfrontend customers\n    bind {address}\n    default_backend ingress\n")?;
    text.push_str("\nbackend ingress\n    balance leastconn\n    http-reuse safe\n");
    text.push_str(
        "    option httpchk\n    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host naru\n",
    );
    text.push_str("    http-check expect status 200\n    default-server inter 250ms fall 2 rise 1\n");
    for (number, (listen, operator)) in fronts.iter().enumerate() {
        writeln!(text, "    server ingress{number} {listen} check port {}", operator.port())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haproxy_takes_the_configuration_without_a_warning() {
        let home = tempfile::tempdir().unwrap();
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let file = home.path().join("haproxy.cfg");
        fs::write(&file, configuration(at(1), &[(at(2), at(3)), (at(4), at(5))]).unwrap()).unwrap();
        let mut command = Command::new(program("/usr/sbin/haproxy", PACKAGE).unwrap());
        let output = command.arg("-c").arg("-f").arg(&file).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !words.contains("WARNING"), "{words}");
    }
}
