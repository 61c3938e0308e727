//! haproxy before the fronts, configured as `compose/` has it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use rustix::process::Signal;

use crate::{
    compose,
    engines::{Server, free_port, program},
    wire::Wire,
};

const PACKAGE: &str = "haproxy";

/// How long it may take to listen, to know of a front that is ready, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running haproxy.
#[derive(Debug)]
pub struct Balancer {
    server: Server,
    address: SocketAddr,
}

impl Balancer {
    /// Starts one before fronts: where each listens for customers, and where for the operator.
    pub(crate) fn start(fronts: &[(SocketAddr, SocketAddr)]) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let health = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let listens = move || Wire::new(address, Duration::from_secs(1)).call("GET", "/", &[], b"").is_ok();
        Self::with(address, &compose::haproxy(address, health, fronts)?, listens)
    }

    /// Starts one that hands connections to a front as they are, and says first where each comes from, by the PROXY protocol:
    /// `send-proxy` by version 1, `send-proxy-v2` by version 2.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn passing(front: SocketAddr, word: &str) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let config = format!(
            "defaults\n  mode tcp\n  timeout connect 3s\n  timeout client 90s\n  timeout server 90s\n\
             listen passing\n  bind {address}\n  server front {front} {word}\n"
        );
        Self::with(address, &config, move || TcpStream::connect(address).is_ok())
    }

    fn with(address: SocketAddr, config: &str, listens: impl Fn() -> bool) -> anyhow::Result<Self> {
        let server = Server::prepare("haproxy")?;
        let file = server.home().join("haproxy.cfg");
        fs::write(&file, config)?;
        let mut balancer = Self { server, address };
        let mut command = Command::new(program("/usr/sbin/haproxy", PACKAGE)?);
        balancer.server.start(command.arg("-db").arg("-f").arg(&file))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haproxy_takes_the_configuration_without_a_warning() {
        let home = tempfile::tempdir().unwrap();
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let file = home.path().join("haproxy.cfg");
        let fronts = [(at(2), at(3)), (at(4), at(5))];
        fs::write(&file, compose::haproxy(at(1), at(6), &fronts).unwrap()).unwrap();
        let mut command = Command::new(program("/usr/sbin/haproxy", PACKAGE).unwrap());
        let output = command.arg("-c").arg("-f").arg(&file).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !words.contains("WARNING"), "{words}");
    }
}
