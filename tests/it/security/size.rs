//! How much, and how slowly.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

use naru_tests::customer::Customer;
use socket2::{Domain, Socket, Type};

use super::stage::{Answer, PATIENCE, Visit, must_be_alike, text, to_end};

const BODY: usize = 256 * 1024;
const BATCH_BODY: usize = 2 * 1024 * 1024;

/// A good call with these headers besides its own.
fn with_headers(visit: &Visit, headers: &str) -> Vec<u8> {
    let body = text("large").to_string();
    let head = visit.head("POST", "/v1.0/messages");
    let own = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    format!("{head}{own}{headers}\r\n{body}").into_bytes()
}

/// So many headers, each of this size.
fn headers(count: usize, size: usize) -> String {
    (0..count).map(|n| format!("X-{n}: {}\r\n", "a".repeat(size))).collect()
}

#[test]
fn too_many_headers() {
    let visit = Visit::begin();
    // Host, Authorization, Content-Type and Content-Length are four.
    let most = visit.answer("64 headers", &with_headers(&visit, &headers(60, 1)));
    assert_eq!(most.status, 202, "64 headers are within the limit");
    let mut told = Vec::new();
    for count in [65, 80, 96] {
        let answer = visit.answer("many headers", &with_headers(&visit, &headers(count - 4, 1)));
        assert_eq!((answer.status, answer.code().as_str()), (431, "head-too-large"), "{count} headers");
        told.push((format!("{count} headers"), answer));
    }
    must_be_alike(&told);
    for count in [97, 1_000, 5_000] {
        let answer = visit.closes("a great many headers", &with_headers(&visit, &headers(count - 4, 1)));
        assert!(matches!(answer.status, 400 | 431), "{count} headers: {}", answer.status);
    }
    visit.made(1, 0);
}

#[test]
fn a_header_that_is_too_long() {
    let visit = Visit::begin();
    assert_eq!(visit.answer("15 KiB", &with_headers(&visit, &headers(1, 15 << 10))).status, 202);
    let mut told = Vec::new();
    for (case, lines) in [("one of 17 KiB", headers(1, 17 << 10)), ("many of 1 KiB", headers(17, 1 << 10))] {
        let answer = visit.answer(case, &with_headers(&visit, &lines));
        assert_eq!((answer.status, answer.code().as_str()), (431, "head-too-large"), "{case}");
        told.push((case.to_owned(), answer));
    }
    must_be_alike(&told);
    for size in [200 << 10, 2 << 20] {
        let answer = visit.closes("a huge header", &with_headers(&visit, &headers(1, size)));
        assert!(matches!(answer.status, 400 | 431), "{size} bytes: {}", answer.status);
    }
    visit.made(1, 0);
}

#[test]
fn an_address_that_is_too_long() {
    let visit = Visit::begin();
    let get = |target: &str| format!("{}\r\n", visit.head("GET", target)).into_bytes();
    let mut told = Vec::new();
    for (case, target) in [
        ("a path", format!("/v1.0/messages/{}", "a".repeat(4_096))),
        ("a query", format!("/v1.0/quota?{}", "a".repeat(4_096))),
        ("a path nowhere", format!("/{}", "a".repeat(8_192))),
        ("escapes", format!("/v1.0/messages/{}", "%41".repeat(1_400))),
    ] {
        let answer = visit.answer(case, &get(&target));
        assert_eq!((answer.status, answer.code().as_str()), (414, "uri-too-long"), "{case}");
        told.push((case.to_owned(), answer));
    }
    must_be_alike(&told);
    for size in [70 << 10, 200 << 10, 2 << 20] {
        let answer = visit.closes("a huge path", &get(&format!("/v1.0/messages/{}", "a".repeat(size))));
        assert!(matches!(answer.status, 400 | 414 | 431), "{size} bytes: {}", answer.status);
    }
    visit.made(0, 0);
}

/// A head of a call with a body, without the empty line behind it.
fn posting(visit: &Visit, target: &str, framing: &str) -> Vec<u8> {
    let head = visit.head("POST", target);
    format!("{head}Content-Type: application/json\r\n{framing}\r\n\r\n").into_bytes()
}

#[test]
fn a_body_that_is_said_to_be_too_large_is_refused_before_it_is_read() {
    let visit = Visit::begin();
    let mut told = Vec::new();
    for (target, length) in [
        ("/v1.0/messages", (BODY + 1).to_string()),
        ("/v1.0/messages", "18446744073709551615".to_owned()),
        ("/v1.0/messages/batch", (BATCH_BODY + 1).to_string()),
        ("/v1.0/reports/ack", (BODY + 1).to_string()),
    ] {
        let case = format!("{target} {length}");
        // Not a byte of the body is sent.
        let answer = visit.answer(&case, &posting(&visit, target, &format!("Content-Length: {length}")));
        assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"), "{case}");
        told.push((case, answer));
    }
    let head = visit.head("POST", "/v1.0/attachments") + "Content-Type: image/png\r\n";
    let file = format!("{head}Content-Length: {}\r\n\r\n", 10 * 1024 * 1024 + 1);
    told.push(("a file".to_owned(), visit.answer("a file", file.as_bytes())));
    must_be_alike(&told);
    visit.made(0, 0);
}

#[test]
fn a_body_in_chunks_that_is_too_large() {
    let visit = Visit::begin();
    let mut told = Vec::new();
    for (target, most, piece) in [
        ("/v1.0/messages", BODY, 4_096),
        ("/v1.0/messages", BODY, BODY + 1),
        ("/v1.0/messages/batch", BATCH_BODY, 65_536),
    ] {
        let case = format!("{target} in pieces of {piece}");
        let mut call = posting(&visit, target, "Transfer-Encoding: chunked");
        for _ in 0..=most / piece {
            call.extend(format!("{piece:x}\r\n{}\r\n", " ".repeat(piece)).into_bytes());
        }
        call.extend(b"0\r\n\r\n");
        let answer = visit.answer(&case, &call);
        assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"), "{case}");
        told.push((case, answer));
    }
    must_be_alike(&told);
    visit.made(0, 0);
}

#[test]
fn a_body_without_end_is_not_read_on() {
    let visit = Visit::begin();
    let mut stream = visit.open();
    stream.write_all(&posting(&visit, "/v1.0/messages", "Transfer-Encoding: chunked")).unwrap();
    let piece = format!("10000\r\n{}\r\n", " ".repeat(65_536)).into_bytes();
    // It is given a moment to read the answer in, however much it writes, and then cut off.
    let took = floods(&mut stream, &piece);
    assert!(took < Duration::from_secs(6), "it went on reading for {took:?}");
    visit.made(0, 0);
}

/// Writes these bytes again and again until the other side ends it, and how long that took.
fn floods(stream: &mut TcpStream, piece: &[u8]) -> Duration {
    let began = Instant::now();
    while began.elapsed() < PATIENCE && stream.write_all(piece).is_ok() {}
    began.elapsed()
}

/// What the gateway's process holds, in KiB.
fn resident(visit: &Visit) -> u64 {
    let status = format!("/proc/{}/status", visit.gateway().pid().unwrap());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn an_extension_and_a_trailer_without_end() {
    let visit = Visit::begin();
    let before = resident(&visit);
    let beginnings = ["5;", "0\r\nX-Endless: ", "5\r\n     \r\n0\r\n", "000000000000000"];
    thread::scope(|scope| {
        for beginning in beginnings {
            let visit = &visit;
            scope.spawn(move || {
                let mut stream = visit.open();
                let mut call = posting(visit, "/v1.0/messages", "Transfer-Encoding: chunked");
                call.extend(beginning.as_bytes());
                stream.write_all(&call).unwrap();
                let piece = match beginning {
                    "5\r\n     \r\n0\r\n" => b"X: a\r\n".repeat(10_000),
                    "000000000000000" => b"0".repeat(65_536),
                    _ => b"a".repeat(65_536),
                };
                let took = floods(&mut stream, &piece);
                assert!(took < Duration::from_secs(15), "{beginning:?}: it went on reading for {took:?}");
            });
        }
    });
    let after = resident(&visit);
    assert!(after < before + (64 << 10), "it grew from {before} KiB to {after} KiB");
    visit.made(0, 0);
}

/// Reads to the end; when it came.
fn ends_after(stream: &mut TcpStream, began: Instant) -> (Vec<u8>, Duration) {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    assert!(ended.is_ok() || ended.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "it does not end");
    (bytes, began.elapsed())
}

#[test]
fn a_head_that_comes_slowly() {
    let visit = Visit::begin();
    let head = visit.head("GET", "/v1.0/quota");
    thread::scope(|scope| {
        let stops = scope.spawn(|| {
            let (mut stream, began) = (visit.open(), Instant::now());
            stream.write_all(&head.as_bytes()[..20]).unwrap();
            ends_after(&mut stream, began)
        });
        let drips = scope.spawn(|| {
            let (mut stream, began) = (visit.open(), Instant::now());
            // One byte at a time is progress, and yet too slow.
            for byte in head.as_bytes() {
                if stream.write_all(&[*byte]).is_err() || began.elapsed() > PATIENCE {
                    break;
                }
                thread::sleep(Duration::from_millis(200));
            }
            ends_after(&mut stream, began)
        });
        let silent = scope.spawn(|| {
            let (mut stream, began) = (visit.open(), Instant::now());
            ends_after(&mut stream, began)
        });
        for (case, thread) in [("stops", stops), ("drips", drips), ("silent", silent)] {
            let (bytes, took) = thread.join().unwrap();
            // Who never began is owed no answer.
            let answered = super::stage::lossy(&bytes);
            let expected = if case == "silent" { "" } else { "HTTP/1.1 408 Request Timeout\r\n" };
            assert!(
                answered.starts_with(expected) && (case != "silent" || bytes.is_empty()),
                "{case}: {answered}"
            );
            assert!(took > Duration::from_secs(3) && took < Duration::from_secs(9), "{case}: {took:?}");
        }
    });
    visit.made(0, 0);
}

#[test]
fn a_body_that_comes_slowly() {
    let visit = Visit::begin();
    let whole = text("slow").to_string();
    let framings = [format!("Content-Length: {}", whole.len()), "Transfer-Encoding: chunked".to_owned()];
    let told: Vec<(String, Answer)> = thread::scope(|scope| {
        let all = framings.map(|framing| {
            let (visit, whole) = (&visit, &whole);
            scope.spawn(move || {
                let mut stream = visit.open();
                stream.write_all(&posting(visit, "/v1.0/messages", &framing)).unwrap();
                let began = Instant::now();
                let mut writer = stream.try_clone().unwrap();
                let chunked = framing.starts_with('T');
                let byte = move |byte: u8| match chunked {
                    true => vec![b'1', b'\r', b'\n', byte, b'\r', b'\n'],
                    false => vec![byte],
                };
                let drips = scope.spawn(move || {
                    for one in whole.as_bytes().iter().take(60) {
                        if writer.write_all(&byte(*one)).is_err() {
                            return;
                        }
                        thread::sleep(Duration::from_millis(200));
                    }
                });
                let (answer, behind) = to_end(&mut stream, &framing);
                let took = began.elapsed();
                assert!(behind.is_empty(), "{framing}: it was answered twice");
                assert!(
                    took > Duration::from_secs(9) && took < Duration::from_secs(14),
                    "{framing}: {took:?}"
                );
                drop(stream.shutdown(Shutdown::Both));
                drips.join().unwrap();
                (framing, answer)
            })
        });
        all.map(|thread| thread.join().unwrap()).into()
    });
    for (case, answer) in &told {
        assert_eq!((answer.status, answer.code().as_str()), (408, "request-timeout"), "{case}");
    }
    must_be_alike(&told);
    visit.made(0, 0);
}

#[test]
fn a_caller_that_reads_slowly_is_cut_off_and_others_are_not_kept_waiting() {
    let visit = Visit::begin();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(&visit.gateway().address().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let many = format!("{}\r\n", visit.head("GET", "/openapi.json")).repeat(1_000).into_bytes();
    let mut written = 0;
    let began = Instant::now();
    // Until the answers that nobody reads keep it from reading on.
    while written < 64 << 20 {
        match stream.write(&many) {
            Ok(count) => written += count,
            Err(_) => break,
        }
    }
    assert!(written < 64 << 20, "it reads on without end");
    let mut paying = Customer::live(visit.gateway().address(), visit.live(), PATIENCE);
    let call = Instant::now();
    assert_eq!(paying.send(&text("meanwhile"), None).unwrap().status, 202);
    assert!(call.elapsed() < Duration::from_secs(2), "others wait: {:?}", call.elapsed());
    // It is still written to: only an end of the connection ends this.
    let cut = loop {
        match stream.write(&many[..1]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break true,
            Ok(_) => {}
        }
        if began.elapsed() > Duration::from_secs(40) {
            break false;
        }
    };
    assert!(cut, "the connection is held for ever");
    visit.made(1, 0);
}
