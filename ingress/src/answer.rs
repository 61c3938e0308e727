//! What a call is answered with.

use std::borrow::Cow;

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{ALLOW, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    web,
};
use bytes::Bytes;
use naru_shared::gate::RateStanding;
use serde::Serialize;

use crate::{
    problem::{Code, Problem},
    rate_headers,
    request_id::RequestId,
    unread,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// An answer that is not a refusal of the whole call.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its type.
    pub content_type: &'static str,
    /// Its body.
    pub body: Bytes,
    /// Where what was made can be read.
    pub location: Option<String>,
    /// Seconds after which another call may succeed.
    pub retry_after: Option<u64>,
    /// Headers that only this call has.
    pub headers: Vec<(HeaderName, Cow<'static, str>)>,
}

impl Answer {
    /// A body of JSON.
    pub const fn of(status: StatusCode, body: Bytes) -> Self {
        let content_type = "application/json";
        Self { status, content_type, body, location: None, retry_after: None, headers: Vec::new() }
    }

    /// A JSON document.
    pub fn json(status: StatusCode, document: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(document).map_err(|error| {
            tracing::error!(%error, "an answer could not be written as JSON");
            Problem::from(Code::Internal)
        })?;
        Ok(Self::of(status, body.into()))
    }
}

fn head(status: StatusCode, id: &RequestId, standing: &[RateStanding]) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((REQUEST_ID, id.as_str()));
    if let Some((policy, limit)) = rate_headers::values(standing) {
        response.insert_header((RATE_LIMIT_POLICY, policy)).insert_header((RATE_LIMIT, limit));
    }
    response
}

/// The response of a call.
pub fn respond(
    result: Result<Answer, Problem>,
    id: &RequestId,
    standing: &[RateStanding],
    unread: Option<web::Payload>,
) -> HttpResponse {
    match result {
        Ok(answer) => {
            let mut response = head(answer.status, id, standing);
            response.insert_header((CONTENT_TYPE, answer.content_type));
            if let Some(location) = answer.location {
                response.insert_header((LOCATION, location));
            }
            if let Some(seconds) = answer.retry_after {
                response.insert_header((RETRY_AFTER, seconds));
            }
            for (name, value) in answer.headers {
                response.insert_header((name, value.as_ref()));
            }
            finish(&mut response, answer.body, unread)
        }
        Err(problem) => refuse(&problem, id, standing, unread),
    }
}

fn finish(response: &mut HttpResponseBuilder, body: Bytes, unread: Option<web::Payload>) -> HttpResponse {
    match unread {
        Some(call) => response.body(unread::keep(body, call)),
        None => response.body(body),
    }
}

fn refuse(
    problem: &Problem,
    id: &RequestId,
    standing: &[RateStanding],
    unread: Option<web::Payload>,
) -> HttpResponse {
    let status = problem.code.status();
    let mut response = head(status, id, standing);
    response.insert_header((CONTENT_TYPE, "application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 section 11.6.1: one for each way; a line for each, which every client can read.
        response.append_header((WWW_AUTHENTICATE, r#"Basic realm="naru", charset="UTF-8""#));
        let bearer = match problem.of_token {
            true => r#"Bearer realm="naru", error="invalid_token""#,
            false => r#"Bearer realm="naru""#,
        };
        response.append_header((WWW_AUTHENTICATE, bearer));
    }
    if let Some(seconds) = problem.retry_after {
        response.insert_header((RETRY_AFTER, seconds));
    }
    if let Some(methods) = problem.allow {
        response.insert_header((ALLOW, methods));
    }
    let body = serde_json::to_vec(&problem.document(id.as_str())).unwrap_or_default();
    finish(&mut response, body.into(), unread)
}
