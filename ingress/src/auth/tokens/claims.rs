//! What a token claims (RFC 7519 section 4.1), checked as far as nothing must be looked up for it.

use std::time::Duration;

use naru_shared::domain::Timestamp;
use serde_json::{Map, Value};

use crate::problem::{Code, Problem};

/// How far clocks may differ.
const LEEWAY: i64 = 30_000;

/// For how long a token is good at the most, in seconds.
pub const LONGEST_LIFE: u32 = 3_600;

/// The same, for whoever remembers tokens: no moment later than this after it was taken.
pub const REMEMBERED: Duration = Duration::from_secs(3_600 + 60);

/// The claims that are looked at, times in milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `iss`
    pub issuer: Box<str>,
    /// `sub`
    pub subject: Option<Box<str>>,
    until: i64,
    from: Option<i64>,
    issued: Option<i64>,
}

fn wrong(detail: &'static str) -> Problem {
    Problem::new(Code::InvalidClaim, detail)
}

impl Claims {
    /// Reads them; `audience` is what this deployment is called in `aud`.
    pub fn read(members: &Map<String, Value>, audience: &str) -> Result<Self, Problem> {
        let text = |name: &str| members.get(name).map(Value::as_str);
        let issuer = text("iss").flatten().filter(|issuer| !issuer.is_empty());
        let issuer = issuer.ok_or_else(|| wrong("iss is needed: the id of the credential, as a string."))?;
        let subject = match text("sub") {
            None => None,
            Some(Some(subject)) => Some(subject.into()),
            Some(None) => return Err(wrong("sub, if it is there, is a string.")),
        };
        if !is_for(members.get("aud"), audience) {
            return Err(wrong(
                "aud is needed, a string or an array of strings, and names this deployment: naru, unless the operator said otherwise.",
            ));
        }
        let until = moment(members.get("exp"))?.ok_or_else(|| wrong("exp is needed."))?;
        let (from, issued) = (moment(members.get("nbf"))?, moment(members.get("iat"))?);
        Ok(Self { issuer: issuer.into(), subject, until, from, issued })
    }

    /// Whether they hold at a moment.
    pub fn hold(&self, now: Timestamp) -> Result<(), Problem> {
        let (now, longest) = (now.as_millis(), i64::from(LONGEST_LIFE) * 1_000);
        if now >= self.until.saturating_add(LEEWAY) {
            return Err(Code::TokenExpired.into());
        }
        let begins = self.from.max(self.issued);
        if begins.is_some_and(|begins| now < begins.saturating_sub(LEEWAY)) {
            return Err(Code::TokenNotYetValid.into());
        }
        let life = self.issued.map_or(0, |issued| self.until.saturating_sub(issued));
        if self.until.saturating_sub(now) > longest + LEEWAY || life > longest {
            return Err(wrong(
                "A token lives for an hour at the most: exp lies at most 3600 seconds after now, and after iat.",
            ));
        }
        Ok(())
    }
}

/// Whether the audience is among those that a token is for.
fn is_for(aud: Option<&Value>, audience: &str) -> bool {
    match aud {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => {
            many.iter().all(Value::is_string) && many.iter().any(|one| one.as_str() == Some(audience))
        }
        _ => false,
    }
}

/// A `NumericDate` (RFC 7519 section 2): seconds, fractions of them too.
fn moment(value: Option<&Value>) -> Result<Option<i64>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let number = || wrong("exp, nbf and iat are numbers: seconds since 1970-01-01T00:00:00Z.");
    let Value::Number(seconds) = value else { return Err(number()) };
    match seconds.as_i64() {
        Some(whole) => Ok(Some(whole.saturating_mul(1_000))),
        // What the JSON of a call may hold is below 9e18: a float becomes the nearest integer, or the last one.
        None => Ok(Some((seconds.as_f64().ok_or_else(number)? * 1_000.0) as i64)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn read(claims: Value) -> Result<Claims, Problem> {
        let Value::Object(members) = claims else { panic!("claims are an object") };
        Claims::read(&members, "naru")
    }

    fn code(claims: Value, now: i64) -> Option<Code> {
        let holds = read(claims).and_then(|claims| claims.hold(Timestamp::from_millis(now * 1_000)));
        holds.err().map(|problem| problem.code)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = json!({ "iss": "acme", "aud": "naru", "exp": NOW + 60 });
        claims[name] = value;
        claims
    }

    #[test]
    fn what_is_needed_must_be_there_and_be_of_its_type() {
        assert_eq!(code(with("sub", "acme".into()), NOW), None);
        for name in ["iss", "aud", "exp"] {
            let mut claims = with("sub", "acme".into());
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(code(claims, NOW), Some(Code::InvalidClaim), "{name}");
        }
        let soon = (NOW + 60).to_string();
        for (name, value) in [
            ("iss", json!(null)),
            ("iss", json!("")),
            ("iss", json!(["acme"])),
            ("iss", json!(7)),
            ("sub", json!(7)),
            ("aud", json!(null)),
            ("aud", json!("naru2")),
            ("aud", json!("Naru")),
            ("aud", json!([])),
            ("aud", json!(["other"])),
            ("aud", json!(["naru", 1])),
            ("aud", json!({ "naru": 1 })),
            ("exp", json!(null)),
            ("exp", json!(soon)),
            ("exp", json!([NOW + 60])),
            ("exp", json!(true)),
            ("nbf", json!("0")),
            ("nbf", json!(null)),
            ("iat", json!("0")),
        ] {
            assert_eq!(code(with(name, value.clone()), NOW), Some(Code::InvalidClaim), "{name} {value}");
        }
        assert_eq!(code(with("aud", json!(["other", "naru"])), NOW), None);
    }

    #[test]
    fn a_token_holds_from_its_first_second_to_its_last_and_clocks_may_differ_by_thirty() {
        let expires = |after: i64| code(with("exp", json!(NOW)), NOW + after);
        assert_eq!((expires(29), expires(30)), (None, Some(Code::TokenExpired)));
        let begins = |name: &str, before: i64| code(with(name, json!(NOW + before)), NOW);
        for name in ["nbf", "iat"] {
            assert_eq!((begins(name, 30), begins(name, 31)), (None, Some(Code::TokenNotYetValid)), "{name}");
        }
        assert_eq!(code(with("exp", json!(NOW as f64 + 0.5)), NOW + 30), None);
        assert_eq!(code(with("exp", json!(-1)), NOW), Some(Code::TokenExpired));
    }

    #[test]
    fn a_token_lives_for_an_hour_at_the_most() {
        let lives = |seconds: i64| code(with("exp", json!(NOW + seconds)), NOW);
        assert_eq!((lives(3_630), lives(3_631)), (None, Some(Code::InvalidClaim)));
        let mut old = with("exp", json!(NOW + 60));
        old["iat"] = json!(NOW + 60 - 3_600);
        assert_eq!(code(old.clone(), NOW), None);
        old["iat"] = json!(NOW + 60 - 3_601);
        assert_eq!(code(old, NOW), Some(Code::InvalidClaim));
        assert_eq!(code(with("exp", json!(8.9e18)), NOW), Some(Code::InvalidClaim));
        assert_eq!(code(with("exp", json!(i64::MAX)), NOW), Some(Code::InvalidClaim));
        assert_eq!(code(with("exp", json!(i64::MIN)), NOW), Some(Code::TokenExpired));
    }

    proptest! {
        #[test]
        fn no_numbers_make_it_panic(exp in any::<f64>(), nbf in any::<i64>(), iat in any::<u64>(), now in any::<i64>()) {
            let claims = json!({ "iss": "a", "aud": "naru", "exp": exp, "nbf": nbf, "iat": iat });
            drop(read(claims).and_then(|claims| claims.hold(Timestamp::from_millis(now))));
        }
    }
}
