//! `GET /reports`: unread reports, waited for up to 20 seconds.

use std::time::Duration;

use actix_web::http::StatusCode;
use naru_shared::domain::Report;
use schemars::JsonSchema;
use serde::Serialize;

use super::reading::{ANSWER, within};
use crate::{
    answer::Answer,
    exchange::Exchange,
    problem::{Code, Problem},
};

/// How long what was handed out is not handed out again.
const LEASE: Duration = Duration::from_secs(60);

/// How many reports may be asked for, and how many are without a word.
pub const LIMIT: (u64, u64) = (1, 500);
pub const LIMIT_DEFAULT: u64 = 100;

/// How many seconds may be waited.
pub const WAIT: (u64, u64) = (0, 20);

/// What the query asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    /// Reports at the most.
    pub limit: usize,
    /// Seconds to wait for the first.
    pub wait: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Reports", description = "Unread reports, the oldest first.")]
pub struct Page {
    reports: Vec<Report>,
    more: bool,
    lease_seconds: u64,
}

/// Unread reports, oldest first.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let caller = exchange.caller(0).await?;
    let ask = parse(exchange.request.query_string())?;
    let front = &exchange.front;
    let wait = if front.draining.is_cancelled() { Duration::ZERO } else { Duration::from_secs(ask.wait) };
    let _place = exchange.reading(&caller)?;
    let read = front.reads.reports(&caller.account, ask.limit, wait, LEASE);
    let read = tokio::select! {
        read = within(front, wait + ANSWER, read) => read?,
        // A server that stops does not wait for news; nothing has been handed out yet.
        () = front.draining.cancelled() => (Vec::new(), false),
    };
    let page = Page { reports: read.0, more: read.1, lease_seconds: LEASE.as_secs() };
    Answer::json(StatusCode::OK, &page)
}

/// Reads the query.
pub fn parse(query: &str) -> Result<Ask, Problem> {
    let (mut limit, mut wait) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (slot, range, sentence) = match name {
            "limit" => (&mut limit, LIMIT.0..=LIMIT.1, "limit is a whole number from 1 to 500, given once."),
            "wait" => {
                (&mut wait, WAIT.0..=WAIT.1, "wait is a whole number of seconds from 0 to 20, given once.")
            }
            _ => return Err(Problem::new(Code::InvalidParameter, "The parameters are limit and wait.")),
        };
        let digits = !value.is_empty() && value.len() <= 4 && value.bytes().all(|b| b.is_ascii_digit());
        let number = value.parse::<u64>().ok().filter(|n| digits && range.contains(n));
        if slot.is_some() || number.is_none() {
            return Err(Problem::new(Code::InvalidParameter, sentence));
        }
        *slot = number;
    }
    let limit = usize::try_from(limit.unwrap_or(LIMIT_DEFAULT)).unwrap_or(usize::MAX);
    Ok(Ask { limit, wait: wait.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_within_its_ranges() {
        let ask = |limit, wait| Some(Ask { limit, wait });
        assert_eq!(parse("").ok(), ask(100, 0));
        assert_eq!(parse("limit=500&wait=20").ok(), ask(500, 20));
        for bad in
            ["limit=0", "limit=501", "wait=21", "wait=-1", "limit=1&limit=1", "limit", "limit=+1", "page=1"]
        {
            assert_eq!(parse(bad).map_err(|p| p.code), Err(Code::InvalidParameter), "{bad}");
        }
    }
}
