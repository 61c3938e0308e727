//! From a socket that was just accepted to a connection on which calls may come: what a balancer says of it is read, and TLS begun.

use std::{io, net::SocketAddr, sync::Arc};

use actix_web::rt::net::TcpStream;
use naru_shared::{domain::IpNetwork, metrics as names};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{Connection, Connections, HEAD_TIME, Open},
    meters::Meters,
    proxy_protocol,
    tls::Tls,
    wire::Wire,
};

/// What is asked of a socket before anything on it is taken for a call.
#[derive(Clone)]
pub struct Arrival {
    /// Whose word on where a connection comes from is believed, if connections are to begin with one.
    pub balancers: Option<Arc<[IpNetwork]>>,
    /// Ciphers, if the listener does.
    pub tls: Option<Arc<Tls>>,
}

/// Why a socket did not become a connection.
enum Refused {
    /// The PROXY protocol was spoken by somebody who is not to be believed.
    Stranger,
    /// What came is no header of the PROXY protocol.
    Proxy(io::Error),
    /// What came is no handshake of TLS, or one that cannot be agreed on.
    Tls(io::Error),
    /// It took too long.
    Late,
}

impl Refused {
    /// As metrics name it, and what there is to say about it.
    fn told(&self) -> (&'static str, Option<&io::Error>) {
        match self {
            Self::Stranger => ("stranger", None),
            Self::Proxy(error) => ("proxy", Some(error)),
            Self::Tls(error) => ("tls", Some(error)),
            Self::Late => ("late", None),
        }
    }
}

impl Arrival {
    /// Has the files of TLS read again when they change, until the token ends it.
    pub fn follow_tls(&self, runtime: &Handle, ends: &CancellationToken) {
        if let Some(tls) = &self.tls {
            // Ends with the token; what it holds is only read.
            drop(runtime.spawn(Arc::clone(tls).follow(ends.clone())));
        }
    }

    /// The connection, and where it comes from. What is asked takes at most five seconds, as long as a head may.
    ///
    /// # Errors
    /// If the socket is no good; it is closed, and counted.
    pub async fn receive(
        self,
        socket: TcpStream,
        all: Arc<Connections>,
        meters: Arc<Meters>,
    ) -> io::Result<(Connection, Option<SocketAddr>)> {
        // It counts as open from here on, so that a server that ends waits for it.
        let open = Open::new(all);
        let peer = socket.peer_addr().ok();
        if self.balancers.is_none() && self.tls.is_none() {
            return Ok((Connection::new(Wire::Plain(socket), open, meters), peer));
        }
        let begun = timeout(HEAD_TIME, self.begin(socket, peer)).await.unwrap_or(Err(Refused::Late));
        match begun {
            Ok((wire, source)) => Ok((Connection::new(wire, open, meters), source)),
            Err(refused) => {
                let (reason, error) = refused.told();
                names::HTTP_UNBEGUN.of(&[("reason", reason)]).increment(1);
                tracing::debug!(
                    reason,
                    error = error.map(tracing::field::display),
                    "a connection did not begin"
                );
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    async fn begin(
        &self,
        mut socket: TcpStream,
        peer: Option<SocketAddr>,
    ) -> Result<(Wire, Option<SocketAddr>), Refused> {
        let mut source = peer;
        if let Some(balancers) = &self.balancers {
            let peer = peer.map(|peer| peer.ip());
            if !peer.is_some_and(|peer| balancers.iter().any(|net| net.contains(peer))) {
                return Err(Refused::Stranger);
            }
            source = proxy_protocol::source(&mut socket).await.map_err(Refused::Proxy)?.or(source);
        }
        let wire = match &self.tls {
            None => Wire::Plain(socket),
            Some(tls) => Wire::Tls(Box::new(tls.acceptor().accept(socket).await.map_err(Refused::Tls)?)),
        };
        Ok((wire, source))
    }
}
