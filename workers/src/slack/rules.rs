//! Which events are worth a post, and how loud.

use naru_shared::domain::kinds;
use serde::{Deserialize, Serialize};

/// How loud an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Not posted; acknowledged as it comes.
    Ignore,
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must look.
    Critical,
}

impl Severity {
    /// The word used in the configuration and in posts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One rule; the first that an event's kind fits decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A kind of events, in which `*` stands for any characters: `naru.message.failed`, `naru.route.*`.
    pub kind: String,
    /// What it is worth.
    pub severity: Severity,
}

/// The longest pattern.
const PATTERN_BYTES: usize = 64;

impl Rule {
    fn of(kind: &str, severity: Severity) -> Self {
        Self { kind: kind.to_owned(), severity }
    }

    /// Whether the pattern could fit anything.
    pub(super) fn is_sound(&self) -> bool {
        let plain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_' | b'*');
        !self.kind.is_empty() && self.kind.len() <= PATTERN_BYTES && self.kind.bytes().all(plain)
    }
}

/// Failures and expiries of messages, what waits for a person, and what keeps messages or events from where they belong.
pub(super) fn standard() -> Vec<Rule> {
    vec![
        Rule::of(kinds::FAILED.name, Severity::Warning),
        Rule::of(kinds::EXPIRED.name, Severity::Warning),
        Rule::of(kinds::HELD.name, Severity::Critical),
        Rule::of(kinds::QUARANTINED.name, Severity::Critical),
        Rule::of(kinds::NEWER.name, Severity::Warning),
        Rule::of(kinds::RESTING.name, Severity::Critical),
        Rule::of(kinds::RECOVERED.name, Severity::Info),
        Rule::of(kinds::ALARM_RAISED.name, Severity::Critical),
        Rule::of(kinds::ALARM_CLEARED.name, Severity::Info),
        Rule::of(kinds::REPLACED.name, Severity::Critical),
        Rule::of(kinds::WEBHOOK_DISABLED.name, Severity::Warning),
        Rule::of(kinds::WEBHOOK_FULL.name, Severity::Warning),
    ]
}

/// What an event of this kind is worth; nothing if no rule fits.
pub(super) fn severity(rules: &[Rule], kind: &str) -> Severity {
    rules.iter().find(|rule| fits(&rule.kind, kind)).map_or(Severity::Ignore, |rule| rule.severity)
}

/// Whether text fits a pattern. Time grows with their product at the most: only the latest star is ever gone back to.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            (p, t) = (at + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_everything_else_for_itself() {
        for (pattern, kind, fit) in [
            ("naru.message.failed", "naru.message.failed", true),
            ("naru.message.failed", "naru.message.failed2", false),
            ("naru.route.*", "naru.route.resting", true),
            ("naru.route.*", "naru.routes.x", false),
            ("*", "", true),
            ("*.failed", "naru.message.failed", true),
            ("naru.*.resting", "naru.route.resting", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, kind), fit, "{pattern} {kind}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_what_none_fits_is_ignored() {
        let rules =
            [Rule::of("naru.message.failed", Severity::Ignore), Rule::of("naru.message.*", Severity::Info)];
        assert_eq!(severity(&rules, "naru.message.failed"), Severity::Ignore);
        assert_eq!(severity(&rules, "naru.message.other"), Severity::Info);
        assert_eq!(severity(&rules, "naru.route.resting"), Severity::Ignore);
        assert_eq!(severity(&standard(), "naru.route.resting"), Severity::Critical);
        assert_eq!(severity(&standard(), "naru.message.expired"), Severity::Warning);
        assert_eq!(severity(&standard(), "naru.message.delivered"), Severity::Ignore);
    }
}
