//! What a head and a body may be.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    error::PayloadError,
    http::{
        Method,
        header::{
            AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
            TRANSFER_ENCODING, UPGRADE,
        },
    },
    web,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use naru_shared::blobs::LARGEST;

use crate::{
    meters::Call,
    problem::{Code, Problem},
};

/// The customer's key for a call (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The body of one message, an acknowledgement and the like, in bytes.
pub const BODY: usize = 256 * 1024;

/// The body of a batch, in bytes.
pub const BATCH_BODY: usize = 2 * 1024 * 1024;

/// The most bytes of a call's body.
pub const fn most(call: Call) -> usize {
    match call {
        Call::Batch => BATCH_BODY,
        Call::Attachment => LARGEST,
        _ => BODY,
    }
}

const HEAD: usize = 16 * 1024;
const HEADERS: usize = 64;
const URI: usize = 4 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);

/// Refuses a head that is too large, says a thing twice, or means something else to others than to us.
pub fn head(request: &HttpRequest) -> Result<(), Problem> {
    let line = request.uri().path().len() + request.query_string().len();
    if line > URI {
        return Err(Code::UriTooLong.into());
    }
    let headers = request.headers();
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > HEADERS || line + size > HEAD {
        return Err(Code::HeadTooLarge.into());
    }
    for name in [AUTHORIZATION, IDEMPOTENCY_KEY, CONTENT_TYPE] {
        if headers.get_all(&name).nth(1).is_some() {
            return Err(Problem::new(Code::DuplicateHeader, format!("The header {name} was sent twice.")));
        }
    }
    if headers.get(HOST).is_some_and(|host| !host.as_bytes().iter().all(is_of_host)) {
        return Err(Problem::new(Code::MalformedHead, "The header Host names no host."));
    }
    // The HTTP library would take whatever follows for the call's body, whatever its Content-Length says.
    let asks_for = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"websocket");
    if headers.get_all(UPGRADE).any(|value| asks_for(value.as_bytes())) {
        return Err(Problem::new(
            Code::MalformedHead,
            "There are no websockets here: leave the header Upgrade out.",
        ));
    }
    if request.method() == Method::CONNECT {
        return Err(Problem { allow: Some("GET, POST, DELETE"), ..Problem::from(Code::MethodNotAllowed) });
    }
    Ok(())
}

/// What a host and its port may be written with (RFC 3986 section 3.2.2).
fn is_of_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte)
}

/// Refuses a body that is compressed.
fn plain_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let plain = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).any(|coding| !plain(coding.as_bytes())) {
        return Err(Code::UnsupportedEncoding.into());
    }
    Ok(())
}

/// Refuses a body that is not plain JSON by its head.
fn media_type(headers: &HeaderMap) -> Result<(), Problem> {
    plain_coding(headers)?;
    let kind =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or(Code::UnsupportedMediaType)?;
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let parameters = parameters.trim();
    let plain = parameters.is_empty()
        || parameters.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("charset")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        });
    if essence.trim().eq_ignore_ascii_case("application/json") && plain {
        Ok(())
    } else {
        Err(Code::UnsupportedMediaType.into())
    }
}

/// Bytes of a body that need no room of their own.
pub const SMALL_BODY: usize = 16 * 1024;

/// The most bytes that are made room for before they have come.
const AT_ONCE: usize = 256 * 1024;

/// The bytes of a body, as the head tells them; none for a chunked body.
pub fn told_length(headers: &HeaderMap) -> Option<usize> {
    match headers.get(CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.trim_ascii().parse().ok(),
        None => (!headers.contains_key(TRANSFER_ENCODING)).then_some(0),
    }
}

/// Refuses a body by its head, before anything of it is read; the bytes that it may come to.
pub fn announced(headers: &HeaderMap, limit: usize) -> Result<usize, Problem> {
    media_type(headers)?;
    told_within(headers, limit)
}

/// As [`announced`], of a file.
pub fn announced_file(headers: &HeaderMap, limit: usize) -> Result<usize, Problem> {
    plain_coding(headers)?;
    told_within(headers, limit)
}

/// Refuses a body that is neither JSON nor a form by its head; whether it is a form.
pub fn is_form(headers: &HeaderMap) -> Result<bool, Problem> {
    plain_coding(headers)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(true);
    }
    media_type(headers).map(|()| false)
}

/// Refuses a body by the length that its head tells; the bytes that it may come to.
pub fn told_within(headers: &HeaderMap, limit: usize) -> Result<usize, Problem> {
    let told = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match told.map(usize::try_from) {
        None => Ok(limit),
        Some(Ok(length)) if length <= limit => Ok(length),
        Some(_) => Err(Code::BodyTooLarge.into()),
    }
}

/// Reads a body of at most `limit` bytes, in at most 10 seconds.
pub async fn body(payload: &mut web::Payload, limit: usize) -> Result<Bytes, Problem> {
    let whole = collect(payload, limit, AT_ONCE);
    tokio::time::timeout(BODY_TIME, whole).await.map_err(|_| Code::RequestTimeout)?
}

/// Reads a file of at most `most` bytes, for which there is room, as [`body`] does: it is never moved while it grows.
pub async fn file(payload: &mut web::Payload, most: usize) -> Result<Bytes, Problem> {
    let whole = collect(payload, most, most);
    let read = tokio::time::timeout(BODY_TIME, whole).await.map_err(|_| Code::RequestTimeout)?;
    // What was cut is no JSON here.
    read.map_err(|problem| match problem.code {
        Code::MalformedJson => Problem { code: Code::InvalidAttachment, ..problem },
        _ => problem,
    })
}

/// Reads a body of at most `limit` bytes as [`body`] does, and keeps nothing of it.
pub async fn pass(
    payload: &mut web::Payload,
    limit: usize,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Problem> {
    let whole = async {
        let mut size = 0;
        while let Some(piece) = payload.next().await {
            let piece = piece.map_err(|error| cut(&error))?;
            size += piece.len();
            if size > limit {
                return Err(Code::BodyTooLarge.into());
            }
            each(&piece);
        }
        Ok(())
    };
    tokio::time::timeout(BODY_TIME, whole).await.map_err(|_| Code::RequestTimeout)?
}

/// Most bodies come in one piece, which is then not copied.
async fn collect(payload: &mut web::Payload, limit: usize, at_once: usize) -> Result<Bytes, Problem> {
    let first = match payload.next().await {
        Some(piece) => piece.map_err(|error| cut(&error))?,
        None => return Ok(Bytes::new()),
    };
    let mut whole = BytesMut::new();
    let mut size = first.len();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|error| cut(&error))?;
        if whole.is_empty() {
            // Growing step by step would copy the whole each time.
            whole.reserve(limit.min(at_once));
            whole.extend_from_slice(&first);
        }
        size += piece.len();
        if size > limit {
            return Err(Code::BodyTooLarge.into());
        }
        whole.extend_from_slice(&piece);
    }
    if size > limit {
        return Err(Code::BodyTooLarge.into());
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn cut(error: &PayloadError) -> Problem {
    match error {
        PayloadError::Overflow => Code::BodyTooLarge.into(),
        _ => Problem::new(Code::MalformedJson, "The body was cut off, or its framing is damaged."),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn media(name: &'static str, value: &'static str) -> Result<(), Problem> {
        media_type(TestRequest::default().insert_header((name, value)).to_http_request().headers())
    }

    #[test]
    fn only_plain_json_is_read() {
        for good in
            ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
        {
            assert_eq!(media("content-type", good), Ok(()), "{good}");
        }
        for bad in ["text/plain", "application/jsonx", "application/json; charset=latin1", ""] {
            assert_eq!(media("content-type", bad).unwrap_err().code, Code::UnsupportedMediaType, "{bad}");
        }
        assert_eq!(media("content-encoding", "gzip").unwrap_err().code, Code::UnsupportedEncoding);
    }

    #[test]
    fn a_head_is_bounded_and_says_a_thing_once() {
        let code = |request: TestRequest| head(&request.to_http_request()).map_err(|p| p.code);
        assert_eq!(code(TestRequest::default()), Ok(()));
        let long = TestRequest::default().insert_header(("x-long", "a".repeat(HEAD)));
        assert_eq!(code(long), Err(Code::HeadTooLarge));
        let many = (0..65).fold(TestRequest::default(), |r, n| r.append_header((format!("x-{n}"), "1")));
        assert_eq!(code(many), Err(Code::HeadTooLarge));
        assert_eq!(code(TestRequest::with_uri(&format!("/{}", "a".repeat(URI)))), Err(Code::UriTooLong));
        for name in ["authorization", "idempotency-key", "content-type"] {
            let twice = TestRequest::default().append_header((name, "a")).append_header((name, "a"));
            assert_eq!(code(twice), Err(Code::DuplicateHeader), "{name}");
        }
    }
}
