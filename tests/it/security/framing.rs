//! Where a call begins and ends.

use super::stage::{Answer, Visit, lossy, must_be_alike, text};

/// Each of these is refused with an empty body, cannot be told from the others, and ends the connection.
fn all_are_refused(visit: &Visit, cases: &[(&str, Vec<u8>)], status: u16) {
    let mut answers: Vec<(String, Answer)> = Vec::new();
    for (case, bytes) in cases {
        let answer = visit.closes(case, bytes);
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{case}");
        answers.push(((*case).to_owned(), answer));
    }
    must_be_alike(&answers);
    visit.made(0, 0);
}

/// A call with these headers of its own and this body.
fn framed(visit: &Visit, headers: &[&str], body: &str) -> Vec<u8> {
    let mut call = visit.head("POST", "/v1.0/messages") + "Content-Type: application/json\r\n";
    for header in headers {
        call.push_str(header);
        call.push_str("\r\n");
    }
    (call + "\r\n" + body).into_bytes()
}

#[test]
fn a_length_and_chunks_in_either_order() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("Content-Length: {}", body.len());
    let coding = "Transfer-Encoding: chunked";
    let cases = [
        ("length first", framed(&visit, &[&length, coding], &chunks)),
        ("chunked first", framed(&visit, &[coding, &length], &chunks)),
        ("a length of none first", framed(&visit, &["Content-Length: 0", coding], &chunks)),
        ("in capitals", framed(&visit, &[&length, "TRANSFER-ENCODING: CHUNKED"], &chunks)),
    ];
    all_are_refused(&visit, &cases, 400);
}

#[test]
fn a_length_that_is_repeated() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let length = format!("Content-Length: {}", body.len());
    let list = format!("Content-Length: {0}, {0}", body.len());
    let cases = [
        ("the same", framed(&visit, &[&length, &length], &body)),
        ("another, shorter", framed(&visit, &[&length, "Content-Length: 0"], &body)),
        ("another, longer", framed(&visit, &["Content-Length: 0", &length], &body)),
        ("a list of the same", framed(&visit, &[&list], &body)),
        ("a list of others", framed(&visit, &["Content-Length: 0, 5"], &body)),
    ];
    all_are_refused(&visit, &cases, 400);
}

#[test]
fn a_length_that_is_none() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let length = body.len();
    let values = [
        format!("+{length}"),
        format!("-{length}"),
        format!("0x{length:x}"),
        format!("{length}.0"),
        format!("{length} {length}"),
        "5, 5".to_owned(),
        "18446744073709551616".to_owned(),
        "9".repeat(400),
        String::new(),
        "all".to_owned(),
    ];
    let cases: Vec<(&str, Vec<u8>)> = (values.iter())
        .map(|value| (value.as_str(), framed(&visit, &[&format!("Content-Length: {value}")], &body)))
        .collect();
    all_are_refused(&visit, &cases, 400);
}

/// A call in these chunks; behind them stands a call that is good.
fn chunked(visit: &Visit, chunks: &str) -> Vec<u8> {
    framed(visit, &["Transfer-Encoding: chunked"], chunks)
}

/// Each of these is refused as a body whose framing is damaged.
fn all_are_damaged(visit: &Visit, cases: &[(&str, String)]) {
    let mut answers = Vec::new();
    for (case, chunks) in cases {
        let answer = visit.closes(case, &chunked(visit, chunks));
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed-json"), "{case}");
        answers.push(((*case).to_owned(), answer));
    }
    must_be_alike(&answers);
    visit.made(0, 0);
}

#[test]
fn a_chunk_whose_size_is_none() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let sizes = ["zz", "-1", "+5", "0x5", "", " ", "5 5", "5\0", "g", "5.0", "\u{b}5"];
    let cases = sizes.map(|size| (size, format!("{size}\r\n{body}\r\n0\r\n\r\n")));
    all_are_damaged(&visit, &cases);
}

#[test]
fn a_chunk_whose_size_overflows() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let sizes = ["ffffffffffffffffff", "10000000000000000", "100000000000000000000000000000005"];
    let cases = sizes.map(|size| (size, format!("{size}\r\n{body}\r\n0\r\n\r\n")));
    all_are_damaged(&visit, &cases);
}

#[test]
fn a_chunk_whose_lines_do_not_end() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let (size, short) = (format!("{:x}", body.len()), format!("{:x}", body.len() - 1));
    let cases = [
        ("no end behind the data", format!("{size}\r\n{body}0\r\n\r\n")),
        ("a line feed behind the data", format!("{size}\r\n{body}\n0\r\n\r\n")),
        ("a carriage return behind the data", format!("{size}\r\n{body}\r0\r\n\r\n")),
        ("a line feed behind the size", format!("{size}\n{body}\r\n0\r\n\r\n")),
        ("a carriage return behind the size", format!("{size}\r{body}\r\n0\r\n\r\n")),
        ("more data than its size", format!("{short}\r\n{body}\r\n0\r\n\r\n")),
    ];
    all_are_damaged(&visit, &cases);
}

#[test]
fn extensions_of_a_chunk_that_are_none() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let size = format!("{:x}", body.len());
    // A line feed or a NUL within one is where readers part ways.
    let cases = [
        ("a line feed", format!("{size};a\nb\r\n{body}\r\n0\r\n\r\n")),
        ("a line feed at its end", format!("{size};\n{body}\r\n0\r\n\r\n")),
        ("a NUL", format!("{size};a\0b\r\n{body}\r\n0\r\n\r\n")),
    ];
    all_are_damaged(&visit, &cases);
}

/// The last chunk and its trailers must end as lines do: a good call that stands behind less is not one.
#[test]
fn trailers_that_do_not_end() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let size = format!("{:x}", body.len());
    let ends = ["0\r\n\n", "0\n\n", "0\n\r\n", "0\r\nX: a\n\n", "0\r\r\n", "0\r\nX: a\r\r"];
    let mut made = 0;
    for end in ends {
        let answers = visit.all(end, &chunked(&visit, &format!("{size}\r\n{body}\r\n{end}")));
        let accepted = answers.iter().filter(|answer| answer.status == 202).count();
        assert!(accepted <= 1, "{end:?}: what stood behind it was executed");
        made += accepted;
    }
    visit.made(made, 0);
}

/// What RFC 9112 lets a caller send is passed over, and is never taken for anything else.
#[test]
fn extensions_and_trailers_that_are_proper() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let size = format!("{:x}", body.len());
    let long = "a".repeat(64 << 10);
    let cases = [
        ("an extension", format!("{size};name=value\r\n{body}\r\n0\r\n\r\n")),
        ("a long extension", format!("{size};{long}\r\n{body}\r\n0\r\n\r\n")),
        ("a trailer", format!("{size}\r\n{body}\r\n0\r\nX-Sum: 1\r\n\r\n")),
        (
            "a trailer that proves another",
            format!("{size}\r\n{body}\r\n0\r\nAuthorization: Basic YTpiOmM=\r\n\r\n"),
        ),
        ("a trailer that is a length", format!("{size}\r\n{body}\r\n0\r\nContent-Length: 5\r\n\r\n")),
    ];
    for (case, chunks) in &cases {
        let answer = visit.answer(case, &chunked(&visit, chunks));
        assert_eq!(answer.status, 202, "{case}: {}", lossy(&answer.body));
    }
    visit.made(cases.len(), 0);
}

#[test]
fn a_coding_that_is_not_spoken() {
    let visit = Visit::begin();
    let body = text("framed").to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let codings = [
        "gzip, chunked",
        "chunked, chunked",
        "xchunked",
        "chunked, identity",
        "\u{b}chunked",
        "cow",
        "chunked;q=1",
        "identity",
        "",
    ];
    let cases =
        codings.map(|coding| (coding, framed(&visit, &[&format!("Transfer-Encoding: {coding}")], &chunks)));
    all_are_refused(&visit, &cases, 400);
}

/// A head with this line among its own.
fn with_line(visit: &Visit, line: &str) -> Vec<u8> {
    let proof = visit.proof();
    format!("GET /v1.0/quota HTTP/1.1\r\nHost: naru\r\n{line}{proof}\r\n").into_bytes()
}

#[test]
fn a_line_that_is_folded() {
    let visit = Visit::begin();
    let lines = [
        "X-Odd: a\r\n b\r\n",
        "X-Odd:\r\n\tb\r\n",
        "X-Odd: a\r\n \r\n",
        "Content-Length: 0\r\n 5\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
    ];
    let mut cases: Vec<(&str, Vec<u8>)> = lines.map(|line| (line, with_line(&visit, line))).to_vec();
    let first = format!("GET /v1.0/quota HTTP/1.1\r\n X-Odd: a\r\nHost: naru\r\n{}\r\n", visit.proof());
    cases.push(("the first line", first.into_bytes()));
    all_are_refused(&visit, &cases, 400);
}

#[test]
fn a_bare_carriage_return() {
    let visit = Visit::begin();
    let proof = visit.proof();
    let mut cases: Vec<(&str, Vec<u8>)> = [
        "X-Odd: a\rb\r\n",
        "X-Odd: a\rContent-Length: 5\r\n",
        "X-Odd\r: a\r\n",
        "\rX-Odd: a\r\n",
        "X-Odd: a\r\r\n",
    ]
    .map(|line| (line, with_line(&visit, line)))
    .to_vec();
    let request = |line: &str| format!("{line}Host: naru\r\n{proof}\r\n").into_bytes();
    cases.push(("ends the request's line", request("GET /v1.0/quota HTTP/1.1\r")));
    cases.push(("in the request's line", request("GET /v1.0/quota\r HTTP/1.1\r\n")));
    all_are_refused(&visit, &cases, 400);
}

#[test]
fn a_bare_line_feed() {
    let visit = Visit::begin();
    let proof = visit.proof();
    let bare = proof.replace("\r\n", "\n");
    let cases = [
        ("everywhere", format!("GET /v1.0/quota HTTP/1.1\nHost: naru\n{bare}\n")),
        ("ends the request's line", format!("GET /v1.0/quota HTTP/1.1\nHost: naru\r\n{proof}\r\n")),
        ("ends a header", format!("GET /v1.0/quota HTTP/1.1\r\nHost: naru\n{proof}\r\n")),
        ("ends the head", format!("GET /v1.0/quota HTTP/1.1\r\nHost: naru\r\n{proof}\n")),
        ("in a header", format!("GET /v1.0/quota HTTP/1.1\r\nHost: naru\r\nX-Odd: a\nX: b\r\n{proof}\r\n")),
        ("before all", format!("\nGET /v1.0/quota HTTP/1.1\r\nHost: naru\r\n{proof}\r\n")),
    ];
    all_are_refused(&visit, &cases.map(|(case, head)| (case, head.into_bytes())), 400);
}

#[test]
fn a_name_that_is_none() {
    let visit = Visit::begin();
    let lines = [
        "X-Odd : a\r\n",
        "Content-Length : 5\r\n",
        ": a\r\n",
        "X Odd: a\r\n",
        "X\0Odd: a\r\n",
        "no colon\r\n",
        "X-Odd: a\0b\r\n",
    ];
    all_are_refused(&visit, &lines.map(|line| (line, with_line(&visit, line))), 400);
}

#[test]
fn no_host_and_two_hosts() {
    let visit = Visit::begin();
    let proof = visit.proof();
    let head = |hosts: &str| format!("GET /v1.0/quota HTTP/1.1\r\n{hosts}{proof}\r\n").into_bytes();
    let cases = [
        ("none", head("")),
        ("two", head("Host: naru\r\nHost: example.org\r\n")),
        ("twice the same", head("Host: naru\r\nhost: naru\r\n")),
        ("three", head("Host: naru\r\nHOST: a\r\nHost: naru\r\n")),
    ];
    all_are_refused(&visit, &cases, 400);
}

#[test]
fn an_echo_and_a_tunnel() {
    let visit = Visit::begin();
    for (method, target, status) in [
        ("TRACE", "/v1.0/messages", 405),
        ("TRACE", "/v1.0/quota", 405),
        ("TRACE", "/nowhere", 404),
        ("CONNECT", "naru:443", 405),
        ("CONNECT", "/v1.0/messages", 405),
    ] {
        let case = format!("{method} {target}");
        let answer = visit.closes(&case, format!("{}\r\n", visit.head(method, target)).as_bytes());
        assert_eq!(answer.status, status, "{case}");
        assert!(!lossy(&answer.body).contains("Host"), "{case}: it is echoed");
    }
    visit.made(0, 0);
}

#[test]
fn methods_that_a_path_does_not_take() {
    let visit = Visit::begin();
    let mut told = Vec::new();
    for method in ["BREW", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "PRI"] {
        let head = visit.head(method, "/v1.0/messages");
        let answer = visit.answer(method, format!("{head}Connection: close\r\n\r\n").as_bytes());
        assert_eq!(answer.status, 405, "{method}");
        if method != "HEAD" {
            told.push((method.to_owned(), answer));
        }
    }
    must_be_alike(&told);
    visit.made(0, 0);
}

#[test]
fn versions_that_are_not_spoken() {
    let visit = Visit::begin();
    let proof = visit.proof();
    let line = |line: &str| format!("{line}\r\nHost: naru\r\n{proof}\r\n").into_bytes();
    let cases = [
        ("0.9, whole", line("GET /v1.0/quota HTTP/0.9")),
        ("0.9, without a version", b"GET /v1.0/quota\r\n\r\n".to_vec()),
        ("2.0 in the line", line("GET /v1.0/quota HTTP/2.0")),
        ("9.9", line("GET /v1.0/quota HTTP/9.9")),
        ("none of HTTP", line("GET /v1.0/quota HTP/1.1")),
        ("more behind it", line("GET /v1.0/quota HTTP/1.1 HTTP/1.1")),
        ("the beginning of 2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
    ];
    all_are_refused(&visit, &cases, 400);
}
