//! What comes before a call's body.

use std::net::{Ipv4Addr, SocketAddr};

use actix_web::{
    HttpRequest,
    http::{
        Method, Uri,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
    test::TestRequest,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use futures_util::FutureExt;
use naru_shared::domain::{Environment, Timestamp};

use super::texts;
use crate::{
    ForwardedBy, accept,
    auth::{Claim, Claims, Origin, Token, UserParts, decoded},
    calls::{query::dry_run, reports},
    content_digest::Digests,
    meters::Call,
    proxy_protocol, simulate, traceparent,
};

/// When everything here happens.
const NOW: Timestamp = Timestamp::from_millis(1_618_884_473_500);

/// Headers with one name: a line each.
fn headers(name: &'static str, bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(line).ok()?);
    }
    Some(headers)
}

pub(super) fn basic_samples() -> Vec<Vec<u8>> {
    let users = ["acme-live:password:key", "a:p:w::k", "테스트:비밀번호 123£:열쇠"];
    users.iter().map(|user| BASE64.encode(user.as_bytes()).into_bytes()).collect()
}

/// What came apart is what was put together.
pub(super) fn basic(bytes: &[u8]) -> bool {
    let Some(text) = str::from_utf8(bytes).ok().and_then(decoded) else { return false };
    let Some(UserParts { id, password, api_key }) = UserParts::of(&text) else { return false };
    assert_eq!(format!("{id}:{password}:{api_key}"), text);
    assert!(
        !id.is_empty()
            && !id.contains(':')
            && !password.is_empty()
            && !api_key.is_empty()
            && !api_key.contains(':')
    );
    true
}

fn jws(header: &str, claims: &str) -> Vec<u8> {
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    format!("{}.{}.{}", part(header), part(claims), BASE64URL_NOPAD.encode(&[7; 32])).into_bytes()
}

pub(super) fn token_samples() -> Vec<Vec<u8>> {
    let claims = r#"{"iss":"acme-tokens","aud":"naru","exp":1618884773,"iat":1618884473}"#;
    vec![jws(r#"{"alg":"HS256","kid":"k"}"#, claims), jws(r#"{"typ":"JWT","alg":"ES256","kid":"k"}"#, claims)]
}

/// The parts are those of the token, and its signature is written in one way only.
pub(super) fn token(bytes: &[u8]) -> bool {
    let Some(text) = str::from_utf8(bytes).ok() else { return false };
    let Ok(token) = Token::of(text) else { return false };
    assert_eq!(format!("{}.{}", token.signed, BASE64URL_NOPAD.encode(&token.signature)), text);
    token.header().is_ok() && token.claims().is_ok()
}

pub(super) fn claims_samples() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"iss":"acme-tokens","sub":"acme-tokens","aud":["naru","other"],"exp":1618884773,"nbf":1618884400,"iat":1618884473}"#,
        r#"{"iss":"acme-tokens","aud":"naru","exp":1618884773.5}"#,
    ])
}

/// What holds is for this deployment, has an end, and that is no more than an hour ahead (and the leeway).
pub(super) fn claims(bytes: &[u8]) -> bool {
    let Ok(token) = str::from_utf8(bytes).map(|text| jws(r#"{"alg":"HS256","kid":"k"}"#, text)) else {
        return false;
    };
    let text = String::from_utf8(token).expect("base64");
    let Ok(members) = Token::of(&text).and_then(|token| token.claims()) else { return false };
    let Ok(claims) = Claims::read(&members, "naru") else { return false };
    if claims.hold(NOW).is_err() {
        return false;
    }
    let until = members["exp"].as_f64().expect("an end");
    let now = NOW.as_millis() as f64 / 1_000.0;
    assert!((now - 31.0..now + 3_661.0).contains(&until), "{until} at {now}");
    assert!(members["aud"].to_string().contains("\"naru\""), "{members:?}");
    true
}

/// A head: method and target, then a header on each line.
fn request(bytes: &[u8]) -> Option<HttpRequest> {
    let mut lines = str::from_utf8(bytes).ok()?.split('\n');
    let (method, target) = lines.next()?.split_once(' ')?;
    target.parse::<Uri>().ok()?;
    let mut request = TestRequest::default().method(method.parse::<Method>().ok()?).uri(target);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request = request.append_header((name, HeaderValue::from_str(value).ok()?));
    }
    Some(request.to_http_request())
}

pub(super) fn signature_samples() -> Vec<Vec<u8>> {
    let mac = BASE64.encode(&[7; 32]);
    let post = format!(
        "POST /v1.0/messages?dry_run=true\nhost: example.com\ncontent-length: 18\nidempotency-key: order-7\n\
         content-digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:\n\
         signature-input: sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\" \"idempotency-key\");\
         created=1618884473;nonce=\"0123456789abcdef0123456789abcdef\";keyid=\"acme-hmac\"\nsignature: sig1=:{mac}:"
    );
    let get = format!(
        "GET /v1.0/reports\nhost: example.com:8080\nsignature-input: a=(\"@method\" \"@authority\" \"@path\" \"@query\");\
         created=1618884473;expires=1618884773;nonce=\"0123456789abcdef\";keyid=\"acme-hmac\";alg=\"hmac-sha256\"\nsignature: a=:{mac}:"
    );
    vec![post.into_bytes(), get.into_bytes()]
}

/// What is taken names everything that a call means in what is signed.
pub(super) fn signature(bytes: &[u8]) -> bool {
    let Some(request) = request(bytes) else { return false };
    let Ok(claim) = Claim::read(&request, NOW) else { return false };
    let signs = |line: String| {
        assert!(claim.base.lines().any(|other| other == line), "{line} is not in {}", claim.base)
    };
    signs(format!("\"@method\": {}", request.method()));
    signs(format!("\"@path\": {}", request.uri().path()));
    signs(format!("\"@query\": ?{}", request.uri().query().unwrap_or_default()));
    // Lines of one field are one list; a call that has two keys is refused for that.
    let keys: Vec<&str> =
        request.headers().get_all("idempotency-key").filter_map(|key| key.to_str().ok()).collect();
    if !keys.is_empty() {
        signs(format!(
            "\"idempotency-key\": {}",
            keys.iter().map(|key| key.trim()).collect::<Vec<_>>().join(", ")
        ));
    }
    assert!(
        claim.base.lines().last().is_some_and(|line| line.starts_with("\"@signature-params\": (")),
        "{}",
        claim.base
    );
    true
}

pub(super) fn digest_samples() -> Vec<Vec<u8>> {
    texts(&[
        "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:, unixsum=:AAAA:",
    ])
}

/// Nobody has a body for a digest that was changed.
pub(super) fn digest(bytes: &[u8]) -> bool {
    let Some(Ok(Some(digests))) = headers("content-digest", bytes).map(|headers| Digests::of(&headers))
    else {
        return false;
    };
    assert!(!digests.fit(b"another body"));
    true
}

pub(super) fn key_samples() -> Vec<Vec<u8>> {
    texts(&["order-7", "\"order 7 \\\"quoted\\\"\"", "8e03978e-40d5-43e8-bc93-6894a57f9324"])
}

/// A key is 1 to 255 printable characters of ASCII, however it was written.
pub(super) fn key(bytes: &[u8]) -> bool {
    let Ok(key) = accept::key_header::parse(bytes) else { return false };
    let text = key.as_str();
    assert!(
        (1..=255).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{text:?}"
    );
    let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    assert_eq!(accept::key_header::parse(quoted.as_bytes()).ok(), Some(key.clone()), "{quoted}");
    true
}

pub(super) fn simulate_samples() -> Vec<Vec<u8>> {
    texts(&["failed;code=\"30003\";report=5", "delivered;delay=1;report=2;twice", "not-taken;times=3"])
}

/// What travels with a message is what was asked for, and is understood again.
pub(super) fn simulate(bytes: &[u8]) -> bool {
    let asked =
        |headers: &HeaderMap| simulate::asked(headers, Environment::Sandbox, Call::Message).ok().flatten();
    let Some(headers) = headers("naru-simulate", bytes) else { return false };
    let Some(text) = asked(&headers) else { return false };
    assert!(text.len() <= simulate::LONGEST && text.is_ascii());
    let again = self::headers("naru-simulate", text.as_bytes()).expect("it came so");
    assert_eq!(asked(&again), Some(text));
    true
}

pub(super) fn trace_samples() -> Vec<Vec<u8>> {
    texts(&[
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
    ])
}

/// It is carried on to backends: nothing but hexadecimal digits and dashes.
pub(super) fn trace(bytes: &[u8]) -> bool {
    let Some(headers) = headers("traceparent", bytes) else { return false };
    let Some(trace) = traceparent::of(&headers) else { return false };
    assert!(
        trace.len() == 55 && trace.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()),
        "{trace}"
    );
    true
}

pub(super) fn forwarded_samples() -> Vec<Vec<u8>> {
    texts(&[
        "203.0.113.9, 10.0.0.2",
        "2001:db8::7\n203.0.113.9",
        "for=203.0.113.9;proto=https, for=\"[2001:db8::7]:4711\"",
        "for=\"[2001:db8::7]\";by=10.0.0.2",
    ])
}

/// The word of a proxy that is not trusted moves nobody.
pub(super) fn forwarded(bytes: &[u8]) -> bool {
    let (Some(x), Some(standard)) = (headers("x-forwarded-for", bytes), headers("forwarded", bytes)) else {
        return false;
    };
    let at = |octets: [u8; 4]| SocketAddr::from((Ipv4Addr::from(octets), 5_000));
    let (proxy, stranger) = (at([10, 0, 0, 1]), at([192, 0, 2, 7]));
    let mut told = false;
    for (by, headers) in [(ForwardedBy::XForwardedFor, x), (ForwardedBy::Forwarded, standard)] {
        let origin = Origin::new(vec!["10.0.0.0/8".parse().expect("a network")], by);
        assert_eq!(origin.of(Some(stranger), &headers), Ok(Some(stranger.ip())));
        told |=
            origin.of(Some(proxy), &headers).is_ok_and(|from| from.is_some_and(|from| from != proxy.ip()));
    }
    told
}

pub(super) fn proxy_samples() -> Vec<Vec<u8>> {
    let second = |rest: &[u8]| [&b"\r\n\r\n\0\r\nQUIT\n"[..], rest].concat();
    let mut samples = texts(&[
        "PROXY TCP4 203.0.113.9 10.0.0.1 51000 443\r\nGET / HTTP/1.1\r\n",
        "PROXY TCP6 2001:db8::7 2001:db8::1 51000 443\r\n",
        "PROXY UNKNOWN\r\n",
    ]);
    samples.push(second(&[0x21, 0x11, 0, 12, 203, 0, 113, 9, 10, 0, 0, 1, 0xc7, 0x38, 1, 0xbb]));
    samples.push(second(&[0x20, 0, 0, 0]));
    samples
}

/// Nothing behind the header is read, and no header is longer than it may be.
pub(super) fn proxy(bytes: &[u8]) -> bool {
    let mut left = bytes;
    // Reading of bytes that are there waits for nothing.
    let read = proxy_protocol::source(&mut left).now_or_never().expect("nothing is waited for");
    let taken = bytes.len() - left.len();
    assert!(taken <= 16 + 4 * 1024, "{taken}");
    if read.is_ok() && bytes.starts_with(b"PROXY") {
        assert!(bytes[..taken].ends_with(b"\r\n") && taken <= 107, "{}", bytes[..taken].escape_ascii());
    }
    read.is_ok()
}

pub(super) fn query_samples() -> Vec<Vec<u8>> {
    texts(&["dry_run=true", "&dry_run=false&", "limit=100&wait=20", "wait=0"])
}

/// Both queries, of which a text is at most one.
pub(super) fn query(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let (dry, report) = (dry_run(text), reports::parse(text));
    assert!(dry != Ok(true) || report.is_err(), "{text}");
    if let Ok(ask) = &report {
        assert!((1..=500).contains(&ask.limit) && ask.wait <= 20, "{text}");
    }
    dry.is_ok() || report.is_ok()
}
