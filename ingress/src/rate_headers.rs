//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), as structured fields (RFC 9651).

use std::fmt::Write;

use naru_shared::gate::RateStanding;

/// Both headers' values; `None` for a customer without rates.
pub fn values(standing: &[RateStanding]) -> Option<(String, String)> {
    if standing.is_empty() {
        return None;
    }
    let (mut policies, mut limits) = (String::with_capacity(48), String::with_capacity(48));
    for one in standing {
        let lead = if policies.is_empty() { "" } else { ", " };
        let name = quoted(&one.policy.name);
        let reset = one.reset.as_millis().div_ceil(1_000);
        let policy = write!(policies, "{lead}{name};q={};w={}", one.policy.limit, one.policy.window_seconds);
        let limit = write!(limits, "{lead}{name};r={};t={reset}", one.remaining);
        if policy.is_err() || limit.is_err() {
            return None;
        }
    }
    Some((policies, limits))
}

/// A string of RFC 9651 section 3.3.3; what it cannot hold becomes `?`.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => text.push('?'),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use naru_shared::domain::RatePolicy;

    use super::*;

    fn standing(name: &str, remaining: u32, reset_ms: u64) -> RateStanding {
        let policy = RatePolicy { name: name.into(), limit: 100, window_seconds: 1, burst: 200 };
        RateStanding { policy, remaining, reset: Duration::from_millis(reset_ms) }
    }

    #[test]
    fn each_policy_is_an_item_and_seconds_are_rounded_up() {
        let both = values(&[standing("burst", 7, 1_001), standing("a\"é", 0, 0)]).unwrap();
        assert_eq!(both.0, r#""burst";q=100;w=1, "a\"?";q=100;w=1"#);
        assert_eq!(both.1, r#""burst";r=7;t=2, "a\"?";r=0;t=0"#);
        assert_eq!(values(&[]), None);
    }
}
