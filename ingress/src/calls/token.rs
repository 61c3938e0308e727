//! `POST /tokens`: a short-lived token for a Basic credential, so that its secrets travel seldom.

use std::time::Duration;

use actix_web::http::{StatusCode, header::CACHE_CONTROL};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    accept::malformed,
    answer::Answer,
    auth::{LONGEST_LIFE, Way, of_tokens_made_here},
    exchange::Exchange,
    limits,
    problem::{Code, Problem},
    strict_json,
};

/// Seconds that a token lives unless asked otherwise.
pub const USUAL_LIFE: u32 = 900;

/// Seconds that a token lives at least.
pub const SHORTEST_LIFE: u32 = 60;

/// The answer of RFC 6749 section 5.1.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token", description = "A token, as RFC 6749 section 5.1 answers with it.")]
pub struct Made {
    access_token: String,
    token_type: &'static str,
    expires_in: u32,
}

/// Makes a token; one counts as a message against the rates.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let caller = exchange.caller(1).await?;
    if caller.proved.way != Way::Basic || !of_tokens_made_here(&caller.proved.credential) {
        return Err(Code::BasicNeeded.into());
    }
    let expires_in = match limits::told_length(exchange.request.headers()) {
        Some(0) => USUAL_LIFE,
        _ => life(&exchange.body(&caller, limits::SMALL_BODY).await?.bytes)?,
    };
    let (front, life) = (&exchange.front, Duration::from_secs(u64::from(expires_in)));
    let access_token = front.tokens.issue(&caller.proved.credential, front.clock.now(), life);
    let made = Made { access_token, token_type: "Bearer", expires_in };
    // A secret that nobody may keep (RFC 6749 section 5.1).
    let headers = vec![(CACHE_CONTROL, "no-store".into())];
    Ok(Answer { headers, ..Answer::json(StatusCode::OK, &made)? })
}

/// The life that a body asks for.
pub fn life(body: &[u8]) -> Result<u32, Problem> {
    strict_json::check(body).map_err(|error| malformed(&error))?;
    let Value::Object(fields) = serde_json::from_slice(body).map_err(|error| malformed(&error))? else {
        return Err(Problem::new(Code::InvalidMessage, "The body is an object."));
    };
    if fields.keys().any(|name| name != "expires_in") {
        return Err(Problem::new(Code::UnknownField, "The only field is expires_in."));
    }
    let asked = match fields.get("expires_in") {
        None | Some(Value::Null) => return Ok(USUAL_LIFE),
        Some(asked) => asked.as_u64().and_then(|seconds| u32::try_from(seconds).ok()),
    };
    asked.filter(|seconds| (SHORTEST_LIFE..=LONGEST_LIFE).contains(seconds)).ok_or_else(|| {
        Problem::new(Code::InvalidMessage, "expires_in is a whole number of seconds from 60 to 3600.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_asked_for_within_its_bounds() {
        let asked = |body: &str| life(body.as_bytes()).map_err(|problem| problem.code);
        for (body, seconds) in [
            ("{}", 900),
            (r#"{"expires_in":null}"#, 900),
            (r#"{"expires_in":60}"#, 60),
            (r#"{"expires_in":3600}"#, 3_600),
        ] {
            assert_eq!(asked(body), Ok(seconds), "{body}");
        }
        for (body, code) in [
            (r#"{"expires_in":59}"#, Code::InvalidMessage),
            (r#"{"expires_in":3601}"#, Code::InvalidMessage),
            (r#"{"expires_in":-1}"#, Code::InvalidMessage),
            (r#"{"expires_in":900.5}"#, Code::InvalidMessage),
            (r#"{"expires_in":"900"}"#, Code::InvalidMessage),
            (r#"{"expires_in":4294967356}"#, Code::InvalidMessage),
            (r#"{"scope":"send"}"#, Code::UnknownField),
            (r#"{"expires_in":60,"expires_in":60}"#, Code::MalformedJson),
            ("[]", Code::InvalidMessage),
            ("", Code::MalformedJson),
        ] {
            assert_eq!(asked(body), Err(code), "{body}");
        }
    }
}
