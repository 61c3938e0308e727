//! The socket that customers connect to, and the HTTP library behind it.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_http::{
    HttpService,
    error::{DispatchError, ParseError},
};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Server},
    rt::net::TcpStream,
};
use tokio::{net::TcpSocket, runtime::Handle};

use crate::{
    arrival::Arrival,
    connection::{Connection, Connections, HEAD_TIME},
    front::Front,
    versions,
};

/// Connections that the kernel holds until a thread takes them.
const BACKLOG: u32 = 2_048;

const KEEP_ALIVE: Duration = Duration::from_secs(75);
const DISCONNECT_TIME: Duration = Duration::from_secs(2);

/// How many threads and connections there are.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Threads that serve HTTP.
    pub threads: usize,
    /// Connections on each at once; more wait in the kernel's line.
    pub connections_per_thread: usize,
}

/// Takes the address.
pub fn listen(address: SocketAddr, runtime: &Handle) -> io::Result<TcpListener> {
    let _context = runtime.enter();
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Serves what connects. `drain` is the longest that the HTTP library waits for calls under way once it is told to stop.
pub fn serve(
    listener: TcpListener,
    size: Size,
    arrival: Arrival,
    drain: Duration,
    front: Arc<Front>,
    connections: Arc<Connections>,
) -> io::Result<Server> {
    let service = move || {
        let arrival = arrival.clone();
        let (front, all, refused) = (Arc::clone(&front), Arc::clone(&connections), Arc::clone(&front.meters));
        let meters = Arc::clone(&front.meters);
        let app = App::new().configure(|config| versions::table(config, &front)).into_factory();
        let app = map_config(app.map_err(|error| error.error_response()), |()| AppConfig::default());
        let http = HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIME)
            .client_disconnect_timeout(DISCONNECT_TIME)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.calls());
            })
            .h1(app);
        fn_service(move |io: TcpStream| {
            let begun = arrival.clone().receive(io, Arc::clone(&all), Arc::clone(&meters));
            async { begun.await.map_err(DispatchError::Io) }
        })
        .and_then(http)
        .map_err(move |error| {
            if let Some(status) = refusal(&error) {
                refused.malformed(status);
            }
        })
    };
    let server = Server::build()
        .workers(size.threads)
        .max_concurrent_connections(size.connections_per_thread)
        .shutdown_timeout(drain.as_secs().max(1))
        .disable_signals()
        .listen("customers", listener, service)?
        .run();
    Ok(server)
}

/// The status with which the HTTP library answered what is no HTTP; `None` for a connection that only ended.
fn refusal(error: &DispatchError) -> Option<u16> {
    match error {
        DispatchError::Parse(ParseError::Io(_)) => None,
        DispatchError::Parse(ParseError::TooLarge) => Some(431),
        DispatchError::Parse(_) => Some(400),
        _ => None,
    }
}

/// Lets no more connections begin, while those that have begun stay in the kernel's line to be taken: closing the socket
/// would reset them, and the calls that their clients have written already.
#[cfg(target_os = "linux")]
pub fn refuse_newcomers(listener: &TcpListener) -> io::Result<()> {
    /// `BPF_RET | BPF_K`: keep so many bytes of each packet.
    const RETURN: u16 = 0x06;
    let nothing = socket2::SockFilter::new(RETURN, 0, 0, 0);
    socket2::SockRef::from(listener).attach_filter(&[nothing])
}

/// Elsewhere they are refused when the socket is closed.
#[cfg(not(target_os = "linux"))]
pub fn refuse_newcomers(_: &TcpListener) -> io::Result<()> {
    Ok(())
}
