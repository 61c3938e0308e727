//! An answer given before the call's body was read to its end.
//!
//! The HTTP library discards the rest of a chunked body whose reader is gone, for as long as it comes, and keeps the
//! connection. So the reader is kept until the answer is written: then the library ends the connection instead.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    HttpRequest,
    body::{BodySize, BoxBody, MessageBody},
    http::header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    web,
};
use bytes::Bytes;

/// The answer's body, which keeps the call's.
struct Unread {
    answer: Option<Bytes>,
    _call: web::Payload,
}

impl MessageBody for Unread {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.answer.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.answer.take().map(Ok))
    }
}

/// Whether a call's head announces a body.
pub fn has_body(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// The body of an answer to a call whose own body was not read to its end.
pub fn keep(answer: Bytes, call: web::Payload) -> BoxBody {
    BoxBody::new(Unread { answer: Some(answer), _call: call })
}
