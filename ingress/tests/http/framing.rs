//! Bytes that others may read otherwise than we do, and callers that take their time.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};

use crate::{
    gateway::{Gateway, JSON, LIVE, request, sms},
    wire::{Reply, Wire},
};

/// What is answered to bytes that are followed by a call which must not be made.
async fn smuggling(gateway: &Gateway, bytes: &str) -> (Option<Reply>, bool) {
    let mut wire = Wire::open(gateway.addr).await;
    let inner = request("POST", "/v1.0/messages", &[LIVE, JSON], &sms("smuggled").to_string());
    wire.send(&[bytes.as_bytes(), &inner].concat()).await;
    let reply = wire.reply().await;
    (reply, wire.ends().await)
}

fn authorization() -> String {
    format!("{}: {}\r\n", LIVE.0, LIVE.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_line_feed_ends_no_line_of_a_head() {
    let gateway = Gateway::spawn().await;
    let own = authorization();
    for head in [
        format!("GET /v1.0/quota HTTP/1.1\nHost: naru\n{}\n", own.replace("\r\n", "\n")),
        format!("GET /v1.0/quota HTTP/1.1\r\nHost: naru\n{own}\r\n"),
        format!("GET /v1.0/quota HTTP/1.1\r\nHost: naru\r\n{own}\n"),
        format!("GET /v1.0/quota HTTP/1.1\r\nHost: naru\r\nX: a\rb\r\n{own}\r\n"),
    ] {
        let (reply, ended) = smuggling(&gateway, &head).await;
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.body.len(), ended), (400, 0, true), "{head:?}");
    }
    // A later head on the same connection, in pieces; and the line feeds of a body are its own.
    let mut wire = Wire::open(gateway.addr).await;
    for _ in 0..2 {
        let pretty = serde_json::to_string_pretty(&sms("fine")).unwrap();
        wire.send(&request("POST", "/v1.0/messages", &[LIVE, JSON], &pretty)).await;
        assert_eq!(wire.reply().await.unwrap().status, 202);
    }
    wire.send(format!("GET /v1.0/quota HTTP/1.1\r\nHost: naru\r\n{own}").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    wire.send(b"X: a\n\r\n").await;
    assert_eq!(wire.reply().await.unwrap().status, 400);
    assert!(wire.ends().await);
    assert_eq!(gateway.messages().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_not_waited_for_are_read_wherever_their_bytes_are_cut() {
    let gateway = Gateway::spawn().await;
    let pretty = serde_json::to_string_pretty(&sms("fine")).unwrap();
    let two =
        [request("GET", "/nowhere", &[], ""), request("POST", "/v1.0/messages", &[LIVE, JSON], &pretty)];
    for size in [1, 2, 3, 7, 50, 1_000] {
        let mut wire = Wire::open(gateway.addr).await;
        for piece in two.concat().repeat(6).chunks(size) {
            wire.send(piece).await;
            if size > 2 {
                tokio::task::yield_now().await;
            }
        }
        for call in 0..12 {
            let reply = wire.reply().await.unwrap_or_else(|| panic!("{size}: {call} is not answered"));
            assert_eq!(reply.status, [404, 202][call % 2], "{size}: {call}");
        }
    }
    assert_eq!(gateway.messages().await.len(), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_asks_for_a_websocket_does_not_swallow_the_next() {
    let gateway = Gateway::spawn().await;
    let own = authorization();
    let body = sms("asked for more").to_string();
    for upgrade in ["Upgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: WebSocket\r\n"] {
        let length = body.len();
        let call = format!(
            "POST /v1.0/messages HTTP/1.1\r\nHost: naru\r\n{own}{upgrade}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let began = Instant::now();
        let (reply, ended) = smuggling(&gateway, &call).await;
        assert_eq!((reply.unwrap().code().as_str(), ended), ("malformed-head", true), "{upgrade}");
        assert!(began.elapsed() < Duration::from_secs(4), "it is not waited for");
    }
    assert!(gateway.messages().await.is_empty());
    // What Java's client asks for on its first call is not given, and does no harm.
    let h2c = [
        LIVE,
        JSON,
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAA"),
    ];
    assert_eq!(gateway.call("POST", "/v1.0/messages", &h2c, &body).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_none_and_a_tunnel_are_refused() {
    let gateway = Gateway::spawn().await;
    let own = authorization();
    for host in ["a/b", "a b", "user@naru", "naru#x", "naru\\x"] {
        let call = format!("GET /v1.0/quota HTTP/1.1\r\nHost: {host}\r\n{own}\r\n");
        assert_eq!(gateway.raw(call.as_bytes()).await.code(), "malformed-head", "{host}");
    }
    for host in ["naru", "naru:8080", "[::1]:8080", ""] {
        let call = format!("GET /v1.0/quota HTTP/1.1\r\nHost: {host}\r\n{own}\r\n");
        assert_eq!(gateway.raw(call.as_bytes()).await.status, 200, "{host}");
    }
    let (reply, ended) =
        smuggling(&gateway, &format!("CONNECT naru:443 HTTP/1.1\r\nHost: naru\r\n{own}\r\n")).await;
    assert_eq!((reply.unwrap().status, ended), (405, true));
    assert!(gateway.messages().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_header_does_not_hide_behind_the_first() {
    let gateway = Gateway::spawn().await;
    let body = sms("a").to_string();
    let coded = [LIVE, JSON, ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")];
    let reply = gateway.call("POST", "/v1.0/messages", &coded, &body).await;
    assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported-encoding"));
    let traces =
        ["01", "02"].map(|last| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902{last}-01"));
    let traced = [LIVE, JSON, ("traceparent", &traces[0]), ("traceparent", &traces[1])];
    assert_eq!(gateway.call("POST", "/v1.0/messages", &traced, &body).await.status, 202);
    let messages = gateway.messages().await;
    assert_eq!(messages.iter().map(|(_, message)| message.traceparent.clone()).collect::<Vec<_>>(), [None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_reads_nothing_is_cut_off() {
    let gateway = Gateway::spawn().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(gateway.addr).await.unwrap();
    let call = request("GET", "/nowhere", &[], "");
    let many = call.repeat(1_000);
    // Until the answers that nobody reads keep the server from reading on.
    let mut written = 0;
    while timeout(Duration::from_secs(2), stream.write_all(&many)).await.is_ok_and(|sent| sent.is_ok()) {
        written += 1_000;
        assert!(written < 10_000_000, "it reads on without end");
    }
    let began = Instant::now();
    // It still writes: only an end of the connection ends this.
    let ended = timeout(Duration::from_secs(30), async { while stream.write_all(&call).await.is_ok() {} });
    assert!(ended.await.is_ok(), "the connection is held for ever");
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
    drop(stream.read(&mut [0]).await);
    assert_eq!(gateway.get("/v1.0/quota").await.status, 200);
}
