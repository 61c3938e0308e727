//! From an answer to an outcome. The first rule that matches decides; if none does, the table of all HTTP backends.
//!
//! What cannot be read is never guessed. When a rule that looks into the body is reached and the body was cut, late or too long, the
//! outcome is uncertain; likewise for a `2xx` whose body is no JSON, or says what no rule knows.

use std::time::Duration;

use naru_shared::domain::{Answer, AnswerHead, Outcome, http_outcome};
use serde_json::Value;

use super::{
    ProviderError,
    document::{Answers, Word},
    rule::{Pointer, Rule},
};
use crate::backend::http::DETAIL_CHARS;

/// The longest id of a provider's that is kept.
const ID_BYTES: usize = 255;

/// The longest time that a report may be waited for.
const LONGEST_REPORT_MS: u64 = 30 * 86_400_000;

/// The most rules.
const RULES: usize = 100;

/// See the module.
#[derive(Debug)]
pub(crate) struct Mapping {
    id: Option<Pointer>,
    code: Option<Pointer>,
    detail: Option<Pointer>,
    report_in: Option<Duration>,
    /// What `2xx` means where no rule says it: the report comes later.
    later: bool,
    rules: Vec<Rule>,
}

/// What came after a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// To its end.
    Whole(Vec<u8>),
    /// Cut, late or too long.
    Cut,
}

/// What is known of a body as JSON.
enum Read {
    Json(Value),
    Other,
    Cut,
}

impl Read {
    fn text(&self, pointer: &Pointer) -> Option<String> {
        let Self::Json(json) = self else { return None };
        match pointer.find(json)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }
}

impl Mapping {
    /// Reads a mapping.
    pub(super) fn parse(text: &Answers) -> Result<Self, ProviderError> {
        if text.rules.len() > RULES {
            return Err(ProviderError::Answer(format!("there are more than {RULES} rules")));
        }
        if text.report_within_ms.is_some_and(|ms| !(1_000..=LONGEST_REPORT_MS).contains(&ms)) {
            return Err(ProviderError::Answer(
                "`report_within_ms` is between a second and 30 days".to_owned(),
            ));
        }
        let pointer = |text: &Option<String>| text.as_deref().map(Pointer::parse).transpose();
        let rules: Vec<Rule> = text.rules.iter().map(Rule::parse).collect::<Result<_, _>>()?;
        if let Some(number) = (1..rules.len()).find(|at| rules[*at].is_behind(&rules[..*at])) {
            return Err(ProviderError::Answer(format!(
                "rule {} never matches: those before it decide about each of its statuses",
                number + 1
            )));
        }
        Ok(Self {
            id: pointer(&text.id)?,
            code: pointer(&text.code)?,
            detail: pointer(&text.detail)?,
            report_in: text.report_within_ms.map(Duration::from_millis),
            later: false,
            rules,
        })
    }

    /// Whether a body is worth reading at all.
    pub(super) fn reads_bodies(&self) -> bool {
        let named = self.id.is_some() || self.code.is_some() || self.detail.is_some();
        named || self.rules.iter().any(Rule::looks)
    }

    /// What an answer comes to.
    pub(super) fn outcome(&self, head: AnswerHead, body: &Body) -> Outcome {
        let body = match body {
            Body::Whole(bytes) => serde_json::from_slice(bytes).map_or(Read::Other, Read::Json),
            Body::Cut => Read::Cut,
        };
        let detail = self.words(head.status, &body);
        let backend_id = self.id.as_ref().and_then(|pointer| body.text(pointer)).filter(|id| is_id(id));
        let (mut is_2xx, mut looked) = ((200..300).contains(&head.status), false);
        for rule in self.rules.iter().filter(|rule| rule.holds_status(head.status)) {
            if rule.looks() {
                let json = match &body {
                    Read::Cut => return uncertain(&detail, "its body was cut, late or too long"),
                    Read::Other if is_2xx => return uncertain(&detail, "its body is no JSON"),
                    Read::Other => continue,
                    Read::Json(json) => json,
                };
                looked = true;
                if !rule.holds_body(json) {
                    continue;
                }
            }
            return self.decided(rule, head, detail, backend_id);
        }
        is_2xx &= looked;
        if is_2xx {
            return uncertain(&detail, "no rule knows what its body says");
        }
        match http_outcome(Answer::Head(head), &detail) {
            Outcome::Delivered { .. } if self.later => {
                Outcome::Sent { backend_id, report_in: self.report_in }
            }
            Outcome::Delivered { detail, .. } => Outcome::Delivered { detail, backend_id },
            other => other,
        }
    }

    /// Reports come later: what was taken is not delivered before one says so.
    pub(super) const fn reported_later(&mut self, later: bool) {
        self.later = later;
    }

    fn decided(&self, rule: &Rule, head: AnswerHead, detail: String, backend_id: Option<String>) -> Outcome {
        match rule.outcome {
            Word::Delivered => Outcome::Delivered { detail, backend_id },
            Word::Sent => Outcome::Sent { backend_id, report_in: self.report_in },
            Word::NotTaken => {
                Outcome::NotTaken { detail, retry_after: head.retry_after.max(rule.retry_after) }
            }
            Word::Failed => Outcome::Failed { detail },
            Word::Uncertain => Outcome::Uncertain { detail },
        }
    }

    /// `HTTP 400, code 21211: the number is not valid`.
    fn words(&self, status: u16, body: &Read) -> String {
        let named = |pointer: &Option<Pointer>| pointer.as_ref().and_then(|pointer| body.text(pointer));
        let code = named(&self.code).map(|code| format!(", code {code}")).unwrap_or_default();
        let words = named(&self.detail).map(|words| format!(": {words}")).unwrap_or_default();
        line(&format!("HTTP {status}{code}{words}"))
    }
}

/// What a whole answer comes to by a mapping in TOML: for what gives it foreign bytes.
#[cfg(any(test, feature = "foreign"))]
pub(crate) fn outcome_by(mapping: &str, status: u16, body: &[u8]) -> Option<Outcome> {
    let mapping = Mapping::parse(&toml::from_str(mapping).ok()?).ok()?;
    Some(mapping.outcome(AnswerHead { status, retry_after: None }, &Body::Whole(body.to_vec())))
}

fn uncertain(detail: &str, why: &str) -> Outcome {
    Outcome::Uncertain { detail: line(&format!("{detail}; {why}")) }
}

/// One line of at most 200 characters; what a person could not read is escaped, quotation marks are left as they are.
fn line(text: &str) -> String {
    let (mut line, mut room) = (String::new(), DETAIL_CHARS);
    for one in text.chars() {
        let plain = matches!(one, '\'' | '"' | '\\');
        let taken = if plain { 1 } else { one.escape_debug().count() };
        if taken > room {
            break;
        }
        room -= taken;
        if plain { line.push(one) } else { line.extend(one.escape_debug()) }
    }
    line
}

/// Whether stores can keep it and people can read it.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= ID_BYTES && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use serde_json::json;

    use super::*;

    fn mapping(text: &str) -> Mapping {
        Mapping::parse(&toml::from_str(text).unwrap()).unwrap()
    }

    fn of(mapping: &Mapping, status: u16, body: &str) -> Outcome {
        let head = AnswerHead { status, retry_after: None };
        mapping.outcome(head, &Body::Whole(body.as_bytes().to_vec()))
    }

    const PROVIDER: &str = r#"
        id = "/sid"
        code = "/code"
        detail = "/message"
        report_within_ms = 5000
        rules = [
            { status = [201], pointer = "/status", equals = ["queued", "sent"], outcome = "sent" },
            { status = [201], pointer = "/status", equals = ["delivered"], outcome = "delivered" },
            { status = ["4xx"], pointer = "/code", equals = [30001], outcome = "not-taken", retry_after_ms = 9000 },
            { status = [401], outcome = "not-taken" },
        ]
    "#;

    #[test]
    fn the_first_rule_that_matches_decides_and_the_table_for_the_rest() {
        let mapping = mapping(PROVIDER);
        let sent = Outcome::Sent { backend_id: Some("SM1".into()), report_in: Some(Duration::from_secs(5)) };
        assert_eq!(of(&mapping, 201, r#"{"sid":"SM1","status":"queued"}"#), sent);
        assert_eq!(
            of(&mapping, 201, r#"{"sid":7,"status":"delivered"}"#),
            Outcome::Delivered { detail: "HTTP 201".into(), backend_id: Some("7".into()) }
        );
        let detail = "HTTP 400, code 21211: not a number".to_owned();
        let refused = r#"{"code":21211,"message":"not a number"}"#;
        assert_eq!(of(&mapping, 400, refused), Outcome::Failed { detail });
        let later = Outcome::NotTaken {
            detail: "HTTP 400, code 30001".into(),
            retry_after: Some(Duration::from_secs(9)),
        };
        assert_eq!(of(&mapping, 400, r#"{"code":30001}"#), later);
        let unauthorised = Outcome::NotTaken { detail: "HTTP 401".into(), retry_after: None };
        assert_eq!(
            of(&mapping, 401, "<html>"),
            unauthorised,
            "what is no JSON matches no rule that reads it"
        );
        assert!(matches!(of(&mapping, 429, "{}"), Outcome::NotTaken { .. }));
        assert!(matches!(of(&mapping, 500, "{}"), Outcome::Uncertain { .. }));
        assert!(matches!(of(&mapping, 200, "<html>"), Outcome::Delivered { .. }), "no rule reads a 200");
    }

    #[test]
    fn what_cannot_be_read_is_uncertain_and_not_guessed() {
        let mapping = mapping(PROVIDER);
        let cut = |status| mapping.outcome(AnswerHead { status, retry_after: None }, &Body::Cut);
        assert!(matches!(cut(201), Outcome::Uncertain { .. }));
        assert!(matches!(cut(400), Outcome::Uncertain { .. }));
        assert!(matches!(cut(204), Outcome::Delivered { .. }), "no rule reads the body of a 204");
        assert!(matches!(cut(429), Outcome::Uncertain { .. }), "4xx includes it");
        for strange in ["", "<html>", "{}", r#"{"status":"new"}"#, r#"{"status":null}"#, "[1]"] {
            assert!(matches!(of(&mapping, 201, strange), Outcome::Uncertain { .. }), "{strange}");
        }
    }

    #[test]
    fn an_id_that_cannot_be_kept_is_none() {
        let mapping = mapping("id = \"/id\"");
        let id = |body: Value| match of(&mapping, 200, &body.to_string()) {
            Outcome::Delivered { backend_id, .. } => backend_id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id(json!({ "id": "a" })), Some("a".to_owned()));
        for wrong in [json!(""), json!(null), json!({}), json!("a\u{0}"), json!("a".repeat(256))] {
            assert_eq!(id(json!({ "id": wrong })), None, "{wrong}");
        }
    }

    #[test]
    fn a_mapping_that_could_not_mean_what_it_says_is_refused() {
        for wrong in [
            "id = \"sid\"",
            "code = \"/a~2\"",
            "report_within_ms = 0",
            "rules = [{ status = [], outcome = \"sent\" }]",
            "rules = [{ status = [99], outcome = \"sent\" }]",
            "rules = [{ status = [\"6xx\"], outcome = \"sent\" }]",
            "rules = [{ status = [200], equals = [1], outcome = \"sent\" }]",
            "rules = [{ status = [200], pointer = \"/a\", equals = [[1]], outcome = \"sent\" }]",
            "rules = [{ status = [200], outcome = \"failed\", retry_after_ms = 1 }]",
            "rules = [{ status = [200], outcome = \"not-taken\", retry_after_ms = 86400001 }]",
        ] {
            assert!(Mapping::parse(&toml::from_str(wrong).unwrap()).is_err(), "{wrong}");
        }
        assert!(toml::from_str::<Answers>("ids = \"/a\"").is_err());
    }

    #[test]
    fn words_are_a_line_of_two_hundred_characters_however_they_are_escaped() {
        let long = line(&"\u{202e}".repeat(300));
        assert_eq!((long.len(), &long[..8]), (200, "\\u{202e}"));
        assert_eq!(line(&"수".repeat(300)).chars().count(), 200);
        assert_eq!(line("say \"hi\"\n"), "say \"hi\"\\n");
    }

    proptest! {
        #[test]
        fn any_answer_has_an_outcome_and_never_one_that_reads_what_is_not_there(
            status in 100..600_u16, body in any::<Vec<u8>>(), cut in any::<bool>(),
        ) {
            let mapping = mapping(PROVIDER);
            let json = serde_json::from_slice::<Value>(&body).is_ok();
            let body = if cut { Body::Cut } else { Body::Whole(body) };
            let outcome = mapping.outcome(AnswerHead { status, retry_after: None }, &body);
            if status == 201 && (cut || !json) {
                assert!(matches!(outcome, Outcome::Uncertain { .. }), "{:?}", outcome);
            }
        }
    }
}
