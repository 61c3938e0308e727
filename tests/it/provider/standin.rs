//! A provider inside the test's own process, plain or over TLS: it hands every request to a function, and sends what that says.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) at: Instant,
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case, and values.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }
}

/// What is answered: a status, more lines of the head, a body, and whether the body is cut in the middle.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) more: &'static str,
    pub(super) body: String,
    pub(super) cut: bool,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl ToString) -> Self {
        Self { status, more: "", body: body.to_string(), cut: false }
    }
}

type Answer = dyn Fn(&Call) -> Reply + Send + Sync;

/// See the module. It ends when dropped.
pub(super) struct StandIn {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    over: Arc<AtomicBool>,
}

impl StandIn {
    pub(super) fn start(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(None, answer)
    }

    /// With the certificate of a folder; it demands one of the same authority from whoever calls.
    pub(super) fn start_tls(home: &Path, answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let certificates = |name: &str| {
            let found = CertificateDer::pem_file_iter(home.join(name)).unwrap();
            found.collect::<Result<Vec<_>, _>>().unwrap()
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        certificates("ca.pem").into_iter().for_each(|certificate| roots.add(certificate).unwrap());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let key = PrivateKeyDer::from_pem_file(home.join("key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(certificates("cert.pem"), key)
            .unwrap();
        Self::serve(Some(Arc::new(config)), answer)
    }

    fn serve(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stand_in =
            Self { address: listener.local_addr().unwrap(), calls: Arc::default(), over: Arc::default() };
        let (calls, over) = (Arc::clone(&stand_in.calls), Arc::clone(&stand_in.over));
        let answer: Arc<Answer> = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if over.load(Ordering::Acquire) {
                    return;
                }
                let (calls, answer, tls) = (Arc::clone(&calls), Arc::clone(&answer), tls.clone());
                // A connection that breaks ends its thread; the test looks at what came.
                thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                    stream.set_nodelay(true).unwrap();
                    drop(match tls {
                        None => converse(stream, &calls, answer.as_ref()),
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            converse(StreamOwned::new(connection, stream), &calls, answer.as_ref())
                        }
                    });
                });
            }
        });
        stand_in
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// What came, in the order in which it came.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // Wakes whoever accepts, so that it sees the end.
        drop(TcpStream::connect(self.address));
    }
}

fn converse(stream: impl Read + Write, calls: &Mutex<Vec<Call>>, answer: &Answer) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(call) = read(&mut stream)? {
        let reply = answer(&call);
        calls.lock().push(call);
        let length = reply.body.len();
        let mut text =
            format!("HTTP/1.1 {} X\r\n{}Content-Length: {length}\r\n\r\n", reply.status, reply.more);
        let end = if reply.cut { length / 2 } else { length };
        text.push_str(&reply.body[..end]);
        stream.get_mut().write_all(text.as_bytes())?;
        stream.get_mut().flush()?;
        if reply.cut {
            break;
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Call>> {
    let (mut headers, mut line) = (Vec::new(), String::new());
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut head = line.split(' ').map(str::to_owned);
    let (method, target) = (head.next().unwrap_or_default(), head.next().unwrap_or_default());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Some(Call { at: Instant::now(), method, target, headers, body }))
}
