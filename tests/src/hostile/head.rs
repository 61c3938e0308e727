//! What can be done to an address, to headers, and to whose call it is.

use data_encoding::BASE64;

use super::call::{Call, Deed, Done, Target, basic};

/// All of it, by name.
pub const DEEDS: &[(&str, Deed)] = &[
    ("a path that leads elsewhere", path),
    ("an address that is absolute", absolute),
    ("a long address", long_address),
    ("an odd query", query),
    ("another's message", anothers),
    ("a header twice", twice),
    ("a forged origin", forged),
    ("many headers", many),
    ("a long header", long),
    ("an odd header", odd),
    ("an odd type", media),
    ("a compressed body", compressed),
    ("nobody's credential", nobody),
    ("a wrong secret", wrong_secret),
    ("no Basic", no_basic),
    ("another scheme", scheme),
    ("another environment", environment),
    ("an odd key", key),
    ("an odd trace", trace),
];

fn path(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let (path, query) = match call.path.split_once('?') {
        Some((path, query)) => (path.to_owned(), format!("?{query}")),
        None => (call.path.clone(), String::new()),
    };
    let odd = [
        format!("{path}/.."),
        format!("{path}/../messages"),
        format!("/x/..{path}"),
        format!("/%2e%2e{path}"),
        format!("/%252e%252e{path}"),
        format!("/{path}"),
        format!("{path}/"),
        format!("{path};x=1"),
        format!("{path}%00"),
        format!("{path}%2f"),
        path.replacen("/v1.0/", "/v1.0//", 1),
        path.replacen('/', "%2F", 2),
        path.replace("messages", "m%65ssages"),
        path.replace("v1.0", "v1.0%20"),
        path.replace("v1.0", "V1.0"),
        format!("{path}\\..\\"),
        format!("*{path}"),
        path.trim_start_matches('/').to_owned(),
    ];
    let chosen = rng.choice(odd.iter().filter(|odd| **odd != path).collect::<Vec<_>>())?;
    call.path = format!("{chosen}{query}");
    // An escaped letter is the letter itself (RFC 3986 section 6.2.2.2): whether it is taken for it is open.
    Some(if chosen.contains("%65") { Done::Open } else { Done::Refused })
}

fn absolute(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let before = [
        "http://localhost",
        "http://example.org:80",
        "https://[::1]",
        "ftp://a",
        "http://a@b",
        "//example.org",
    ];
    call.path = format!("{}{}", rng.choice(before)?, call.path);
    Some(Done::Open)
}

fn long_address(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let long = "a".repeat(rng.usize(4_097..9_000));
    call.path = if rng.bool() { format!("{}/{long}", call.path) } else { format!("{}?q={long}", call.path) };
    Some(Done::Refused)
}

fn query(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let odd = [
        "wait=99999999999999999999",
        "limit=-1",
        "wait=0&wait=0",
        "%",
        "%zz=1",
        "limit=%00",
        "&&&",
        "=",
        "wait=1e9",
        "limit=\u{e9}",
    ];
    let odd = rng.choice(odd)?;
    call.path = format!("{}{}{odd}", call.path, if call.path.contains('?') { "&" } else { "?" });
    Some(Done::Open)
}

fn anothers(call: &mut Call, target: &Target, _: &mut fastrand::Rng) -> Option<Done> {
    call.path =
        call.path.contains(&target.ids[0]).then(|| call.path.replace(&target.ids[0], &target.ids[1]))?;
    Some(Done::Refused)
}

fn twice(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let names: [&[u8]; 3] = [b"Authorization:", b"Idempotency-Key:", b"Content-Type:"];
    let once: Vec<Vec<u8>> =
        call.head.iter().filter(|line| names.iter().any(|name| line.starts_with(name))).cloned().collect();
    let line = rng.choice(once)?;
    call.head.push(line);
    Some(Done::Refused)
}

fn forged(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let forged = [
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Host: example.org",
        "X-Forwarded-Proto: https",
        "Forwarded: for=127.0.0.1;host=example.org",
        "X-Real-IP: 10.0.0.1",
        "X-Original-URL: /metrics",
        "X-HTTP-Method-Override: DELETE",
        "X-Naru-Attempt: 9",
    ];
    call.head.push(rng.choice(forged)?.as_bytes().to_vec());
    Some(Done::Open)
}

fn many(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    call.head.extend((0..rng.usize(65..200)).map(|number| format!("X-{number}: 1").into_bytes()));
    Some(Done::Refused)
}

fn long(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    call.head.push(format!("X-Long: {}", "a".repeat(rng.usize(16_400..70_000))).into_bytes());
    Some(Done::Refused)
}

fn odd(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let lines: [&[u8]; 9] = [
        b"X Odd: 1",
        b"X-Odd : 1",
        b": 1",
        b"no colon",
        b"X-Odd: a\0b",
        b"X-\xffOdd: 1",
        b"X-Odd: \xff\xfe",
        b"X-Odd: \x1b[31m",
        b"Expect: 100-continue",
    ];
    let line = *rng.choice(&lines)?;
    call.head.push(line.to_vec());
    Some(Done::Open)
}

fn media(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    if !call.is_json() {
        return None;
    }
    let odd = [
        "text/plain",
        "application/jsonx",
        "application/json; charset=utf-16",
        "",
        "multipart/form-data",
        "application/json, text/plain",
        "application\\json",
    ];
    call.head.retain(|line| !line.starts_with(b"Content-Type:"));
    call.head.push(format!("Content-Type: {}", rng.choice(odd)?).into_bytes());
    Some(Done::Refused)
}

fn compressed(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    if !call.reads_body {
        return None;
    }
    call.head.push(
        format!("Content-Encoding: {}", rng.choice(["gzip", "br", "deflate", "zstd", "identity, gzip"])?)
            .into_bytes(),
    );
    Some(Done::Refused)
}

fn nobody(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let user = format!("nobody-{}:{}:{}", rng.u16(..), rng.u64(..), rng.u64(..));
    call.proved.then(|| call.authorize(basic(&user).as_bytes()))?;
    Some(Done::Refused)
}

fn wrong_secret(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let mut user = target.user.clone().into_bytes();
    let begins = user.iter().position(|byte| *byte == b':')? + 1;
    let at = rng.usize(begins..user.len());
    user[at] = if user[at] == b'a' { b'b' } else { b'a' };
    let wrong = String::from_utf8(user).ok()?;
    call.proved.then(|| call.authorize(basic(&wrong).as_bytes()))?;
    Some(Done::Refused)
}

fn no_basic(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let huge = format!("{}:{}:k", "a".repeat(9), "p".repeat(7_000));
    let bytes: Vec<u8> = (0..rng.usize(0..60)).map(|_| rng.u8(..)).collect();
    let odd: [Vec<u8>; 8] = [
        b"Basic".to_vec(),
        b"Basic ".to_vec(),
        format!("Basic {}", BASE64.encode(b"no colon")).into_bytes(),
        format!("Basic {}=", basic(&target.user)).into_bytes(),
        format!("Basic {}", BASE64.encode(huge.as_bytes())).into_bytes(),
        format!("Basic {}", BASE64.encode(&bytes)).into_bytes(),
        [b"Basic ".as_slice(), &bytes.iter().map(|byte| byte | 0x80).collect::<Vec<u8>>()].concat(),
        Vec::new(),
    ];
    let value = rng.choice(odd)?;
    call.proved.then(|| call.authorize(&value))?;
    Some(Done::Refused)
}

fn scheme(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.";
    let odd = [
        format!("Bearer {none}"),
        "Bearer a.b.c".to_owned(),
        "Bearer".to_owned(),
        "Digest username=\"a\"".to_owned(),
        format!("Basicx {}", BASE64.encode(target.user.as_bytes())),
        "Negotiate YII=".to_owned(),
    ];
    let value = rng.choice(odd)?;
    call.proved.then(|| call.authorize(value.as_bytes()))?;
    Some(Done::Refused)
}

fn environment(call: &mut Call, target: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let sandboxed = format!("Authorization: {}", basic(&target.sandbox)).into_bytes();
    // Done twice it is a good call of the sandbox.
    if !call.proved || call.path.starts_with("/sandbox") || call.head.contains(&sandboxed) {
        return None;
    }
    if rng.bool() {
        call.authorize(basic(&target.sandbox).as_bytes());
    } else {
        call.path = format!("/sandbox{}", call.path);
    }
    Some(Done::Refused)
}

fn key(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    if !(call.method == "POST" && call.path.ends_with("/messages")) {
        return None;
    }
    let long = "k".repeat(256);
    let odd: [&[u8]; 6] = [b"", b"\"", b"\"a\"b", b"a\tb", b"\xed\x95\x9c", long.as_bytes()];
    call.head.retain(|line| !line.starts_with(b"Idempotency-Key:"));
    call.head.push([b"Idempotency-Key: ".as_slice(), rng.choice(odd)?].concat());
    Some(Done::Refused)
}

fn trace(call: &mut Call, _: &Target, rng: &mut fastrand::Rng) -> Option<Done> {
    let odd = [
        "00-0-0-0",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "\u{1b}",
        "00-00000000000000000000000000000000-0000000000000000-00",
    ];
    call.head.push(format!("traceparent: {}", rng.choice(odd)?).into_bytes());
    Some(Done::Open)
}
