//! `GET /openapi.json`: the contract of this release. Needs no credential.

use actix_web::{
    HttpRequest,
    http::{
        StatusCode,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, ETAG, IF_NONE_MATCH},
    },
};
use bytes::Bytes;

use crate::{answer::Answer, exchange::Exchange, openapi, problem::Problem};

/// For an hour nobody need ask again; then the tag tells whether it is another one.
const FRESH: &str = "public, max-age=3600";

/// The contract, or that it is the one that is known already.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let (text, tag) = openapi::served();
    let mut answer =
        known_or(&exchange.request, tag, "application/json", Bytes::from_static(text.as_bytes()));
    answer.headers.push((CACHE_CONTROL, FRESH.into()));
    // It holds nothing of anybody, so that tools on other pages may read it.
    answer.headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, "*".into()));
    Ok(answer)
}

/// A body with its tag; without the body for who has it (RFC 9110 section 13.1.2).
pub fn known_or(request: &HttpRequest, tag: &'static str, content_type: &'static str, body: Bytes) -> Answer {
    let asked = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let mut tags = asked.flat_map(|value| value.split(',')).map(|one| one.trim().trim_start_matches("W/"));
    let known = tags.any(|one| one == tag || one == "*");
    let (status, body) =
        if known { (StatusCode::NOT_MODIFIED, Bytes::new()) } else { (StatusCode::OK, body) };
    Answer { content_type, headers: vec![(ETAG, tag.into())], ..Answer::of(status, body) }
}
