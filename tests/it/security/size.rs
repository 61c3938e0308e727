//! Calls that are too large, too long or too slow.

use std::{
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use super::room::{Room, listen};
use crate::stage::message;

#[test]
fn heads_that_are_too_large() {
    let room = Room::open();
    let many: String = (0..65).map(|number| format!("X-Many-{number}: a\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "a".repeat(17 * 1024));
    for (case, header) in [("65 headers", many), ("a long one", long)] {
        let head = format!("{}\r\n", room.head("GET /v1.0/quota", &header));
        room.refuses(case, head.as_bytes(), &[431], true);
    }
    let address = format!("{}\r\n", room.head(&format!("GET /v1.0/quota?{}", "a".repeat(9_000)), ""));
    assert_eq!(room.refuses("a long address", address.as_bytes(), &[414], true).code(), "uri-too-long");
}

#[test]
fn bodies_over_the_limit() {
    let room = Room::open();
    let mut large = message("sms", "large");
    large["body"] = "a".repeat(256 * 1024).into();
    let large = large.to_string();
    let told = room.post("/v1.0/messages", "", large.as_bytes());
    assert_eq!(room.refuses("its length says so", &told, &[413], false).code(), "body-too-large");
    // Refused by its head, before the body comes.
    let head = room
        .head("POST /v1.0/messages", "Content-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n");
    assert_eq!(room.refuses("a gigabyte is told", head.as_bytes(), &[413], false).code(), "body-too-large");
    let chunks = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = format!("{}{chunks}", room.head("POST /v1.0/messages", headers));
    assert_eq!(room.refuses("in chunks", chunked.as_bytes(), &[413], false).code(), "body-too-large");
    let batch = format!("{{\"messages\":[{}]}}", vec![large; 9].join(","));
    let batch = room.post("/v1.0/messages/batch", "", batch.as_bytes());
    assert_eq!(room.refuses("a batch", &batch, &[413], false).code(), "body-too-large");
}

/// Byte after byte, until the connection is ended; after how long, and with what.
fn drips(room: &Room, begins: &[u8], drip: u8) -> (Duration, Option<u16>) {
    let mut stream = TcpStream::connect(room.gateway.listen()).unwrap();
    let began = Instant::now();
    stream.write_all(begins).unwrap();
    // Each byte comes long before anybody would call it silence.
    while began.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(250));
        let mut ended = [0];
        stream.set_nonblocking(true).unwrap();
        let seen = stream.peek(&mut ended);
        stream.set_nonblocking(false).unwrap();
        if seen.is_ok() || stream.write_all(&[drip]).is_err() {
            break;
        }
    }
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    (began.elapsed(), listen(&mut stream, began).map(|answer| answer.status))
}

#[test]
fn heads_and_bodies_that_drip() {
    let room = Room::open();
    let head = room.head("GET /v1.0/quota", "X-Slow: ");
    let headers = "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    let body = room.head("POST /v1.0/messages", headers);
    thread::scope(|scope| {
        let head = scope.spawn(|| drips(&room, head.as_bytes(), b'a'));
        let body = scope.spawn(|| drips(&room, body.as_bytes(), b' '));
        let (after, status) = head.join().unwrap();
        assert!(
            after < Duration::from_secs(9) && matches!(status, None | Some(408)),
            "head: {after:?} {status:?}"
        );
        let (after, status) = body.join().unwrap();
        assert!(
            after < Duration::from_secs(15) && matches!(status, None | Some(408)),
            "body: {after:?} {status:?}"
        );
    });
    room.took_nothing("what dripped");
    room.accepts("a paying caller", &room.good(), 1);
}
