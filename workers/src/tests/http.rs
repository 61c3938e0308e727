//! The HTTP backend against a small server that does what it is told.

use std::{
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use naru_shared::{
    domain::{BackendConfig, HttpBackend, Outcome, Route},
    ledger::{RowRef, Work},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{Backend, BackendFactory, StandardBackends, samples};

pub(crate) fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    });
}

/// What the server does once it has read a request.
#[derive(Clone)]
pub(super) enum Act {
    /// Writes this, and goes on with the connection.
    Answer(&'static str),
    /// Writes this and closes.
    AnswerAndClose(&'static str),
    /// Writes this, and nothing more for ever.
    AnswerAndStall(&'static str),
    /// Closes with a reset.
    Reset,
}

/// A server, and what it was sent.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: String,
    pub(super) requests: Arc<Mutex<Vec<String>>>,
    pub(super) connections: Arc<Mutex<usize>>,
    act: Arc<Mutex<Act>>,
}

impl Server {
    pub(super) async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}/send", listener.local_addr().unwrap()),
            requests: Arc::default(),
            connections: Arc::default(),
            act: Arc::new(Mutex::new(act)),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *serving.connections.lock().unwrap() += 1;
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    /// Answers so from now on.
    pub(super) fn answer(&self, text: &'static str) {
        *self.act.lock().unwrap() = Act::Answer(text);
    }

    async fn serve(self, mut stream: TcpStream) {
        while let Some(request) = read_request(&mut stream).await {
            self.requests.lock().unwrap().push(request);
            let act = self.act.lock().unwrap().clone();
            match act {
                Act::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                Act::AnswerAndClose(text) => {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    return;
                }
                Act::AnswerAndStall(text) => {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                Act::Reset => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let mut chunk = [0; 4_096];
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        text.extend_from_slice(&chunk[..count]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.unwrap().parse::<usize>().unwrap() {
                return Some(so_far);
            }
        }
    }
}

fn route(url: &str, allow: &[&str]) -> Route {
    let allow_networks = allow.iter().map(|network| network.parse().unwrap()).collect();
    Route {
        backend: BackendConfig::Http(HttpBackend { url: url.to_owned(), allow_networks, provider: None }),
        attempt_timeout_ms: 600,
        ..samples::route("carrier-a")
    }
}

fn backend(url: &str) -> Arc<dyn Backend> {
    install_tls();
    StandardBackends::default().build(&route(url, &["127.0.0.0/8"])).unwrap()
}

fn work() -> Work {
    let mut message = samples::message(7, "+821012345678");
    message.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    message.key = Some("order-77".parse().unwrap());
    Work {
        row: RowRef { row: 1, id: message.id },
        account: samples::account(),
        route: "carrier-a".parse().unwrap(),
        lane: naru_shared::domain::Lane::Express,
        attempt: 2,
        possible_duplicate: true,
        expires_at: naru_shared::domain::Timestamp::MAX,
        backend_id: None,
        message: Arc::new(message),
    }
}

async fn outcome_of(act: Act) -> Outcome {
    let server = Server::start(act).await;
    backend(&server.url).deliver(&work(), &[]).await
}

#[tokio::test]
async fn a_request_says_everything_and_the_connection_is_used_again() {
    let server = Server::start(Act::Answer("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok")).await;
    let backend = backend(&server.url);
    for _ in 0..3 {
        assert_eq!(
            backend.deliver(&work(), &[]).await,
            Outcome::Delivered { detail: "HTTP 202".into(), backend_id: None }
        );
    }
    assert_eq!(*server.connections.lock().unwrap(), 1);
    let request = server.requests.lock().unwrap()[0].clone();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let id = work().message.id.to_string();
    for line in [
        "POST /send HTTP/1.1",
        "content-type: application/json",
        "user-agent: naru",
        &format!("idempotency-key: {id}"),
        "x-naru-attempt: 2",
        "x-naru-possible-duplicate: true",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ] {
        assert!(head.lines().any(|l| l == line), "{line} in {head}");
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({ "id": id, "key": "order-77", "channel": "sms", "recipient": "+821012345678",
            "sender": null, "subject": null, "body": "hello", "attachments": [], "data": {}, "lane": "express",
            "reference": null, "attempt": 2, "accepted_at": "1970-01-01T00:16:40.000Z" })
    );
}

#[tokio::test]
async fn the_head_decides_whatever_becomes_of_the_body() {
    let delivered = Outcome::Delivered { detail: "HTTP 200".into(), backend_id: None };
    for act in [
        Act::AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut"),
        Act::AnswerAndStall("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nlate"),
        Act::AnswerAndClose("HTTP/1.1 200 OK\r\n\r\nno length"),
    ] {
        let begun = std::time::Instant::now();
        assert_eq!(outcome_of(act).await, delivered);
        assert!(begun.elapsed() < Duration::from_millis(1_500), "the whole attempt is bounded");
    }
}

#[tokio::test]
async fn without_a_whole_head_it_is_uncertain() {
    for act in [
        Act::Reset,
        Act::AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-le"),
        Act::AnswerAndStall("HTTP/1.1 200 OK\r\ncontent-le"),
        Act::AnswerAndClose("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let outcome = outcome_of(act).await;
        assert!(matches!(outcome, Outcome::Uncertain { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_was_never_written_was_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let outcome = backend(&url).deliver(&work(), &[]).await;
    assert_eq!(outcome, Outcome::NotTaken { detail: "connection refused".into(), retry_after: None });
}

#[tokio::test]
async fn a_connect_that_times_out_and_a_handshake_that_fails_were_not_taken() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    // Nobody accepts: once the queue is full, a connect is not answered.
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
    {
        queued.push(stream);
    }
    let outcome = backend(&format!("http://{address}/")).deliver(&work(), &[]).await;
    assert_eq!(outcome, Outcome::NotTaken { detail: "connecting timed out".into(), retry_after: None });

    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", plain.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let outcome = backend(&url).deliver(&work(), &[]).await;
    assert!(matches!(outcome, Outcome::NotTaken { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it() {
    for (answer, asked) in [
        ("HTTP/1.1 429 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", Some(7)),
        (
            "HTTP/1.1 503 No\r\ndate: Sun, 22 Nov 2026 09:00:00 GMT\r\nretry-after: Sun, 22 Nov 2026 09:01:00 GMT\r\n\
             content-length: 0\r\n\r\n",
            Some(60),
        ),
        ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", None),
        ("HTTP/1.1 503 No\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n", Some(0)),
        ("HTTP/1.1 503 No\r\nretry-after: -7\r\ncontent-length: 0\r\n\r\n", None),
        ("HTTP/1.1 503 No\r\nretry-after: +7\r\ncontent-length: 0\r\n\r\n", None),
        ("HTTP/1.1 503 No\r\nretry-after: \r\ncontent-length: 0\r\n\r\n", None),
        (
            "HTTP/1.1 503 No\r\nretry-after: 99999999999999999999999\r\ncontent-length: 0\r\n\r\n",
            Some(u64::MAX),
        ),
        (
            "HTTP/1.1 503 No\r\nretry-after: Sun, 22 Nov 2015 09:01:00 GMT\r\ncontent-length: 0\r\n\r\n",
            Some(0),
        ),
        ("HTTP/1.1 503 No\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", None),
    ] {
        let Outcome::NotTaken { retry_after, .. } = outcome_of(Act::Answer(answer)).await else {
            panic!("{answer}")
        };
        assert_eq!(retry_after, asked.map(Duration::from_secs), "{answer}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let outcome = outcome_of(Act::Answer(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    assert_eq!(outcome, Outcome::Failed { detail: "HTTP 302".into() });
}

#[tokio::test]
async fn a_destination_that_is_not_allowed_is_never_connected_to() {
    install_tls();
    let server = Server::start(Act::Answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let by_name = server.url.replace("127.0.0.1", "localhost");
    for url in [&server.url, &by_name] {
        let backend = StandardBackends::default().build(&route(url, &[])).unwrap();
        let refused = Outcome::Failed { detail: "destination not allowed".into() };
        assert_eq!(backend.deliver(&work(), &[]).await, refused, "{url}");
    }
    assert_eq!(*server.connections.lock().unwrap(), 0);
    let allowed = StandardBackends::default().build(&route(&by_name, &["127.0.0.0/8"])).unwrap();
    assert!(matches!(allowed.deliver(&work(), &[]).await, Outcome::Delivered { .. }));
}

#[test]
fn a_url_that_cannot_be_posted_to_makes_no_backend() {
    install_tls();
    for url in
        ["", "ftp://a.example/", "http://u:p@a.example/", "http://a.example/#f", "http:///x y", "a.example"]
    {
        assert!(StandardBackends::default().build(&route(url, &[])).is_err(), "{url}");
    }
}
