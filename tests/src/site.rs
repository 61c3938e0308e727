//! What is under test, as those outside see it: one gateway, or a whole deployment.

use std::net::SocketAddr;

use crate::{customer::Customer, deployment::Deployment, gateway::Gateway};

/// Something that takes customers' calls.
pub trait Site {
    /// Where customers call.
    fn target(&self) -> SocketAddr;

    /// Live customers: `ID:PW:API_KEY` of each.
    fn users(&self) -> &[String];

    /// Ends every process as an operator would.
    ///
    /// # Errors
    /// If one does not end by itself in time, or not with success.
    fn drain(&mut self) -> anyhow::Result<()>;

    /// A live customer's client.
    fn customer(&self, index: usize) -> Customer {
        Customer::live(self.target(), &self.users()[index], std::time::Duration::from_secs(25))
    }
}

impl Site for Gateway {
    fn target(&self) -> SocketAddr {
        self.listen()
    }

    fn users(&self) -> &[String] {
        &self.users.live
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        Self::drain(self).map(drop)
    }
}

impl Site for Deployment {
    fn target(&self) -> SocketAddr {
        self.balancer.address()
    }

    fn users(&self) -> &[String] {
        &self.users.live
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        Self::drain(self)
    }
}
