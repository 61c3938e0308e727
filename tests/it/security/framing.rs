//! Where a call begins and ends: what others may read otherwise is refused, its connection ended, and what hides behind it is no call.

use super::room::Room;
use crate::stage::message;

const REFUSED: &[u16] = &[400, 405, 413, 501];

/// A call to send whose length is told by these headers.
fn sized(room: &Room, headers: &str, rest: &str) -> Vec<u8> {
    let head = room.head("POST /v1.0/messages", "Content-Type: application/json\r\n");
    format!("{head}{headers}\r\n{rest}").into_bytes()
}

#[test]
fn a_length_together_with_chunks() {
    let room = Room::open();
    let body = message("sms", "two ends").to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let (length, coding) = (format!("Content-Length: {}\r\n", body.len()), "Transfer-Encoding: chunked\r\n");
    for (case, headers) in [
        ("the length first", format!("{length}{coding}")),
        ("the chunks first", format!("{coding}{length}")),
        ("no length, and chunks", format!("Content-Length: 0\r\n{coding}")),
    ] {
        room.refuses(case, &sized(&room, &headers, &chunks), REFUSED, true);
    }
}

#[test]
fn lengths_that_are_repeated_or_none() {
    let room = Room::open();
    let body = message("sms", "odd length").to_string();
    let n = body.len();
    for value in [
        format!("{n}\r\nContent-Length: {}", n + 1),
        format!("{n}, {}", n + 1),
        format!("+{n}"),
        format!("-{n}"),
        format!("0x{n:x}"),
        format!("{n}.0"),
        format!("{n} {n}"),
        format!("{n}e0"),
        "18446744073709551616".to_owned(),
        "99999999999999999999999999".to_owned(),
        "nothing".to_owned(),
    ] {
        room.refuses(&value, &sized(&room, &format!("Content-Length: {value}\r\n"), &body), REFUSED, true);
    }
}

#[test]
fn chunks_whose_size_is_none() {
    let room = Room::open();
    let body = message("sms", "odd chunk").to_string();
    for size in ["zz", "-1", "0x5", "ffffffffffffffffff", "+5", "", " ", "5 5", "5\u{0}"] {
        let chunks = format!("{size}\r\n{body}\r\n0\r\n\r\n");
        room.refuses(size, &sized(&room, "Transfer-Encoding: chunked\r\n", &chunks), REFUSED, true);
    }
    let short = format!("{:x}\r\n{body}XX0\r\n\r\n", body.len());
    room.refuses(
        "a chunk without its end",
        &sized(&room, "Transfer-Encoding: chunked\r\n", &short),
        REFUSED,
        true,
    );
    for coding in ["gzip, chunked", "chunked, chunked", "xchunked", "chunked, identity", "cow"] {
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        room.refuses(
            coding,
            &sized(&room, &format!("Transfer-Encoding: {coding}\r\n"), &chunks),
            REFUSED,
            true,
        );
    }
}

#[test]
fn lines_that_are_folded_or_end_otherwise() {
    let room = Room::open();
    for (case, header) in [
        ("folded by a blank", "X-Odd: a\r\n b\r\n"),
        ("folded by a tab", "X-Odd:\r\n\tb\r\n"),
        ("a bare CR", "X-Odd: a\rX-Other: b\r\n"),
        ("a bare LF", "X-Odd: a\nX-Other: b\r\n"),
        ("a blank before the colon", "X-Odd : a\r\n"),
        ("no name", ": a\r\n"),
        ("no colon", "X-Odd\r\n"),
        ("a zero byte", "X-Odd: a\0b\r\n"),
    ] {
        let head = room.head("GET /v1.0/quota", header);
        room.refuses(case, format!("{head}\r\n").as_bytes(), REFUSED, true);
    }
}

#[test]
fn no_host_or_two() {
    let room = Room::open();
    let own = room.authorization();
    for (case, hosts) in [
        ("none", String::new()),
        ("two", "Host: localhost\r\nHost: localhost\r\n".to_owned()),
        ("two that differ", "Host: localhost\r\nhost: example.org\r\n".to_owned()),
        ("no name of a host", "Host: a/b\r\n".to_owned()),
        ("a user", "Host: user@localhost\r\n".to_owned()),
    ] {
        room.refuses(case, format!("GET /v1.0/quota HTTP/1.1\r\n{hosts}{own}\r\n").as_bytes(), REFUSED, true);
    }
}

#[test]
fn methods_and_versions_that_are_not_spoken() {
    let room = Room::open();
    let own = room.authorization();
    for method in ["TRACE", "CONNECT"] {
        let call = format!("{method} /v1.0/messages HTTP/1.1\r\nHost: localhost\r\n{own}\r\n");
        let answer = room.refuses(method, call.as_bytes(), &[400, 405, 501], method == "CONNECT");
        assert!(
            !String::from_utf8_lossy(&answer.body).contains("Authorization"),
            "nothing is sent back: {answer:?}"
        );
    }
    for (case, bytes) in [
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("HTTP/3.0", format!("GET /v1.0/quota HTTP/3.0\r\nHost: localhost\r\n{own}\r\n")),
        ("no version", format!("GET /v1.0/quota\r\nHost: localhost\r\n{own}\r\n")),
        ("a handshake of TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}".to_owned()),
    ] {
        room.refuses(case, bytes.as_bytes(), &[400, 405, 501, 505], true);
    }
}
