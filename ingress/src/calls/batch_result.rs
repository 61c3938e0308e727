//! What a batch is answered with: a word about each item, and one status for all.

use actix_web::http::StatusCode;
use naru_shared::domain::{Key, MessageId, Units};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    accept::Rehearsal,
    problem::{Document, Problem},
};

/// What became of one item.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It was accepted, now or by the first call with its key.
    Accepted(MessageId, Units),
    /// It would be accepted, if this were no rehearsal.
    Rehearsed(Rehearsal),
    /// It had no effect.
    Refused(Problem),
    /// It cannot be known.
    Unknown(Problem),
}

/// The answer's body.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BatchResult", description = "What became of each item, in order.")]
pub struct Summary<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    accepted: usize,
    refused: usize,
    unknown: usize,
    results: Vec<Line<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BatchLine", description = "What became of one item.")]
struct Line<'a> {
    index: usize,
    key: Option<&'a Key>,
    /// With `accepted` come `id` and `units`, else a `problem`.
    #[schemars(extend("enum" = ["accepted", "refused", "unknown"]))]
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<Units>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Document<'a>>,
}

impl<'a> Summary<'a> {
    /// Of the fates of all items, in order; `instance` is the request's id.
    pub fn of(fates: &'a [(Option<Key>, Fate)], dry_run: bool, instance: &'a str) -> Self {
        let results = Vec::with_capacity(fates.len());
        let mut summary = Self { dry_run, accepted: 0, refused: 0, unknown: 0, results };
        for (index, (key, fate)) in fates.iter().enumerate() {
            let (id, units, route, problem) = (None, None, None, None);
            let line = Line { index, key: key.as_ref(), result: "", id, units, route, problem };
            summary.results.push(match fate {
                Fate::Accepted(id, units) => {
                    summary.accepted += 1;
                    Line { result: "accepted", id: Some(id), units: Some(*units), ..line }
                }
                Fate::Rehearsed(Rehearsal { units, route }) => {
                    summary.accepted += 1;
                    Line { result: "accepted", units: Some(*units), route: Some(route.as_str()), ..line }
                }
                Fate::Refused(problem) => {
                    summary.refused += 1;
                    Line { result: "refused", problem: Some(problem.document(instance)), ..line }
                }
                Fate::Unknown(problem) => {
                    summary.unknown += 1;
                    Line { result: "unknown", problem: Some(problem.document(instance)), ..line }
                }
            });
        }
        summary
    }
}

/// The status of the whole: `202` if one was accepted (`200` in a rehearsal); else `503` if one is unknown; else, if all were refused for one
/// passing reason, its status; else `422`. And the seconds after which to call again, where that may help.
pub fn status<'a>(fates: impl Iterator<Item = &'a Fate> + Clone) -> (StatusCode, Option<u64>) {
    if fates.clone().any(|fate| matches!(fate, Fate::Accepted(..))) {
        return (StatusCode::ACCEPTED, None);
    }
    if fates.clone().any(|fate| matches!(fate, Fate::Rehearsed(_))) {
        return (StatusCode::OK, None);
    }
    if fates.clone().any(|fate| matches!(fate, Fate::Unknown(_))) {
        return (StatusCode::SERVICE_UNAVAILABLE, Some(1));
    }
    let mut problems = fates.filter_map(|fate| match fate {
        Fate::Refused(problem) => Some(problem),
        _ => None,
    });
    let Some(first) = problems.next() else { return (StatusCode::UNPROCESSABLE_ENTITY, None) };
    let (same, wait) = problems.fold((true, first.retry_after), |(same, wait), problem| {
        (same && problem.code == first.code, wait.max(problem.retry_after))
    });
    if same && first.is_passing() {
        (first.code.status(), wait)
    } else {
        (StatusCode::UNPROCESSABLE_ENTITY, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn refused(code: Code) -> Fate {
        Fate::Refused(code.into())
    }

    #[test]
    fn the_status_follows_the_rule() {
        let accepted = || Fate::Accepted(MessageId::from_bytes([0; 16]), Units::ONE);
        let unknown = || Fate::Unknown(Code::AcceptUnknown.into());
        let cases = [
            (vec![refused(Code::NoRoute), unknown(), accepted()], 202),
            (vec![refused(Code::NoRoute), unknown()], 503),
            (vec![refused(Code::QuotaExceeded), refused(Code::QuotaExceeded)], 429),
            (vec![refused(Code::QueueUnavailable); 2], 503),
            (vec![refused(Code::QuotaExceeded), refused(Code::BacklogFull)], 422),
            (vec![refused(Code::NoRoute); 2], 422),
            (vec![refused(Code::KeyInFlight); 2], 422),
            (vec![], 422),
        ];
        for (fates, expected) in cases {
            assert_eq!(status(fates.iter()).0.as_u16(), expected, "{fates:?}");
        }
        let waits = [
            Fate::Refused(Problem::from(Code::QuotaExceeded).retry_after(3)),
            Fate::Refused(Problem::from(Code::QuotaExceeded).retry_after(9)),
        ];
        assert_eq!(status(waits.iter()), (StatusCode::TOO_MANY_REQUESTS, Some(9)));
    }

    #[test]
    fn the_summary_is_written_as_documented() {
        let fates = [
            (Some("a-1".parse().unwrap()), Fate::Accepted(MessageId::from_bytes([0; 16]), Units::ONE)),
            (None, Fate::Refused(Problem::new(Code::InvalidRecipient, "x"))),
        ];
        assert_eq!(
            serde_json::to_string(&Summary::of(&fates, false, "req_1")).unwrap(),
            concat!(
                r#"{"accepted":1,"refused":1,"unknown":0,"results":[{"index":0,"key":"a-1","result":"accepted","#,
                r#""id":"msg_00000000000000000000000000","units":1},{"index":1,"key":null,"result":"refused","#,
                r#""problem":{"type":"/problems/invalid-recipient","title":"The recipient is not valid","status":422,"#,
                r#""code":"invalid-recipient","detail":"x","instance":"req_1"}}]}"#
            )
        );
    }
}
