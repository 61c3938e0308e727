//! What can be done to where a call begins and ends.

use super::call::{Call, Deed, Done, Framing, Target};

/// All of it, by name.
pub const DEEDS: &[(&str, Deed)] = &[
    ("length and chunks", length_and_chunks),
    ("two lengths", two_lengths),
    ("a length that is none", odd_length),
    ("chunks that are none", odd_chunks),
    ("a coding that is not known", odd_coding),
    ("bare line feeds", bare_line_feeds),
    ("a bare carriage return", bare_carriage_return),
    ("a folded line", folded),
    ("no host", no_host),
    ("two hosts", two_hosts),
    ("a body that is cut", cut),
    ("chunked", chunked),
    ("another version", version),
    ("another method", method),
];

/// The header, the empty line and what follows.
fn raw(call: &mut Call, headers: &str, rest: &[u8]) {
    call.framing = Framing::Raw([headers.as_bytes(), b"\r\n\r\n", rest].concat());
}

fn length_and_chunks(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let chunks = format!("{:x}\r\n{}\r\n0\r\n\r\n", call.body.len(), String::from_utf8_lossy(&call.body));
    let (length, coding) = (format!("Content-Length: {}", rng.usize(0..20)), "Transfer-Encoding: chunked");
    let headers = if rng.bool() { format!("{length}\r\n{coding}") } else { format!("{coding}\r\n{length}") };
    raw(call, &headers, chunks.as_bytes());
    call.hide(target);
    Some(Done::Refused)
}

fn two_lengths(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let (length, other) = (call.body.len(), rng.usize(0..10));
    let headers = match rng.u8(0..3) {
        0 => format!("Content-Length: {other}\r\nContent-Length: {}", length + 1),
        1 => format!("Content-Length: {}, {other}", length + 10),
        _ => format!("Content-Length: {}\r\nContent-Length: {other}", length + 10),
    };
    let body = call.body.clone();
    raw(call, &headers, &body);
    call.hide(target);
    Some(Done::Refused)
}

fn odd_length(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let length = call.body.len();
    let odd = [
        format!("+{length}"),
        format!("-{length}"),
        format!("0x{length:x}"),
        format!("{length}.0"),
        format!("{length} {length}"),
        format!("{length}e0"),
        "18446744073709551616".to_owned(),
        "nothing".to_owned(),
        String::new(),
    ];
    let headers = format!("Content-Length: {}", rng.choice(&odd)?);
    let body = call.body.clone();
    raw(call, &headers, &body);
    call.hide(target);
    Some(Done::Refused)
}

fn odd_chunks(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let sizes = ["zz", "-1", "0x5", "ffffffffffffffffff", "+5", "", " ", "5\u{0}", "5 5"];
    let chunks = format!("{}\r\n{}\r\n0\r\n\r\n", rng.choice(sizes)?, String::from_utf8_lossy(&call.body));
    raw(call, "Transfer-Encoding: chunked", chunks.as_bytes());
    call.hide(target);
    Some(if call.reads_body { Done::Refused } else { Done::Open })
}

fn odd_coding(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let codings = [
        "gzip, chunked",
        "chunked, chunked",
        "xchunked",
        "chunked, identity",
        "\u{b}chunked",
        "cow",
        "chunked;q=1",
    ];
    let chunks = format!("{:x}\r\n{}\r\n0\r\n\r\n", call.body.len(), String::from_utf8_lossy(&call.body));
    raw(call, &format!("Transfer-Encoding: {}", rng.choice(codings)?), chunks.as_bytes());
    call.hide(target);
    Some(Done::Refused)
}

fn bare_line_feeds(call: &mut Call, target: &Target, _: &mut fastrand::Rng) -> Option<Done> {
    call.end = b"\n";
    call.hide(target);
    Some(Done::Refused)
}

fn bare_carriage_return(call: &mut Call, target: &Target, _: &mut fastrand::Rng) -> Option<Done> {
    call.head.push(b"X-Odd: a\rX-Other: b".to_vec());
    call.hide(target);
    Some(Done::Refused)
}

fn folded(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    call.head.push(if rng.bool() { b"X-Odd: a\r\n b".to_vec() } else { b"X-Odd:\r\n\tb".to_vec() });
    call.hide(target);
    Some(Done::Refused)
}

fn no_host(call: &mut Call, _: &Target, _: &mut fastrand::Rng) -> Option<Done> {
    call.host = false;
    Some(Done::Refused)
}

fn two_hosts(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    call.head.push(if rng.bool() { b"Host: localhost".to_vec() } else { b"host: example.org".to_vec() });
    Some(Done::Refused)
}

fn cut(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    if !call.reads_body || call.body.is_empty() || call.has_behind() {
        return None;
    }
    let (length, kept) = (call.body.len(), rng.usize(0..call.body.len()));
    let body = call.body[..kept].to_vec();
    if rng.bool() {
        raw(call, &format!("Content-Length: {length}"), &body);
    } else {
        let chunk = [format!("{length:x}\r\n").as_bytes(), &body].concat();
        raw(call, "Transfer-Encoding: chunked", &chunk);
    }
    Some(Done::Refused)
}

fn chunked(call: &mut Call, _: &Target, _: &mut fastrand::Rng) -> Option<Done> {
    // What is hidden behind a call that ends well is a call.
    if call.has_behind() {
        return None;
    }
    call.framing = Framing::Chunked;
    Some(Done::Open)
}

fn version(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let versions = [
        "HTTP/1.0",
        "HTTP/2.0",
        "HTTP/9.9",
        "HTTP/1",
        "http/1.1",
        "HTTP/1.1 ",
        "HTTP/0.9",
        "HTP/1.1",
        "",
        "HTTP/1.10",
    ];
    call.version = (*rng.choice(&versions)?).to_owned();
    Some(Done::Open)
}

fn method(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let methods =
        ["TRACE", "CONNECT", "PATCH", "PUT", "OPTIONS", "BREW", "PRI", "get", "PO ST", "P\u{0}ST", ""];
    call.method = (*rng.choice(&methods)?).to_owned();
    Some(Done::Refused)
}
