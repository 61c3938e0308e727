//! Makes one connection: name, TCP, TLS, AMQP, all within one time-out, and with a way to cut it.

use std::{
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::Arc,
    time::Duration,
};

use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties, ErrorKind,
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    settings::{RabbitMqSettings, SettingsError},
    trouble::Trouble,
};

/// How long an orderly end may take.
const CLOSING: Duration = Duration::from_secs(1);

/// Where to and how; the same for every attempt.
#[derive(Clone)]
pub(super) struct Dial {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    patience: Duration,
    name: String,
}

/// A connection that was made.
pub(super) struct Made {
    pub(super) connection: Arc<Connection>,
    cut: Cut,
}

impl Made {
    /// Ends it, in order if the broker still answers.
    pub(super) async fn close(self) {
        // Whatever the broker says to it, the connection ends.
        drop(timeout(CLOSING, self.connection.close(200, "naru ends".into())).await);
        drop(self.cut);
    }
}

/// Shuts the socket when it goes: the library's thread ends with its socket, however little the other side says.
struct Cut(TcpStream);

impl Drop for Cut {
    fn drop(&mut self) {
        // It may be shut already.
        drop(self.0.shutdown(Shutdown::Both));
    }
}

impl Dial {
    pub(super) fn new(settings: &RabbitMqSettings, role: &str) -> Result<Self, SettingsError> {
        let tls = OwnedTLSConfig { identity: None, cert_chain: settings.authorities()? };
        let name = format!("naru {role} {}", std::process::id());
        Ok(Self { uri: settings.uri()?, tls, patience: settings.connect_timeout(), name })
    }

    /// One attempt.
    pub(super) async fn connect(&self) -> Result<Made, Trouble> {
        match timeout(self.patience, self.attempt()).await {
            Ok(made) => made,
            Err(_elapsed) => Err(Trouble::Silent(self.patience)),
        }
    }

    async fn attempt(&self) -> Result<Made, Trouble> {
        let authority = &self.uri.authority;
        let runtime = lapin::runtime::default_runtime()?;
        let resolved = tokio::net::lookup_host((authority.host.as_str(), authority.port)).await;
        let addresses: Vec<_> = resolved.map_err(|error| Trouble::away(&error))?.collect();
        let connecting = AsyncTcpStream::connect(&runtime, addresses);
        let stream = connecting.await.map_err(|error| Trouble::away(&error))?;
        let socket = match &stream {
            AsyncTcpStream::Plain(plain) => plain.get_ref().as_fd().try_clone_to_owned(),
            _ => Err(std::io::Error::from(std::io::ErrorKind::InvalidInput)),
        };
        let cut = Cut(TcpStream::from(socket.map_err(|error| Trouble::away(&error))?));
        let stream = match self.uri.scheme {
            AMQPScheme::AMQP => Ok(stream),
            AMQPScheme::AMQPS => stream.into_tls(&authority.host, self.tls.as_ref()).await,
        };
        let stream = Mutex::new(Some(stream.map_err(|error| Trouble::away(&error))?));
        // The library's thread asks for a socket once: it is not to connect again by itself.
        let hand_over = async move |_uri, _runtime| {
            let again = ErrorKind::InvalidConnectionState(lapin::ConnectionState::Closed);
            stream.lock().take().ok_or_else(|| again.into())
        };
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let made = Connection::connector(self.uri.clone(), runtime, hand_over, properties).await;
        let connection = Arc::new(made.map_err(|error| Trouble::away(&error))?);
        Ok(Made { connection, cut })
    }
}
