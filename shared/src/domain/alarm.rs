//! Alarms: rules of the operator about what waits, what fails, and what does not come.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{AlarmName, CustomerId, Lane, RouteName, Timestamp};

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// How long the oldest message has waited that could be sent.
    OldestAge,
    /// How many of the outcomes within a span were failures.
    FailureRatio,
    /// For how long nothing has come.
    NoTraffic,
}

impl AlarmKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::OldestAge, Self::FailureRatio, Self::NoTraffic];

    /// The word used in events and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OldestAge => "oldest-age",
            Self::FailureRatio => "failure-ratio",
            Self::NoTraffic => "no-traffic",
        }
    }
}

/// What a rule holds apart where it names no route and no customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmEach {
    /// Each route by itself.
    #[default]
    Route,
    /// Each customer by itself.
    Customer,
}

impl AlarmEach {
    /// The word used on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Customer => "customer",
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRule {
    /// Named for ever.
    pub name: AlarmName,
    /// What it looks at.
    pub kind: AlarmKind,
    /// Only of this route.
    #[serde(default)]
    pub route: Option<RouteName>,
    /// Only of this customer.
    #[serde(default)]
    pub customer: Option<CustomerId>,
    /// Only in this lane (`oldest-age`).
    #[serde(default)]
    pub lane: Option<Lane>,
    /// What it holds apart.
    #[serde(default)]
    pub each: AlarmEach,
    /// The age, the span in which outcomes are counted, or the silence, in milliseconds.
    pub over_ms: u64,
    /// The share of failures, in percent (`failure-ratio`).
    #[serde(default)]
    pub percent: u8,
    /// The least number of outcomes that says anything (`failure-ratio`).
    #[serde(default)]
    pub least: u64,
    /// Nothing is raised by it.
    #[serde(default)]
    pub off: bool,
    /// Since when it is as it is: a silence is counted from then at the earliest.
    pub set_at: Timestamp,
    /// Grows with every change of this document.
    pub version: u64,
}

/// A rule says nothing that could be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAlarm {
    /// The span is too short or too long.
    #[error("`over` must be within a second and 31 days, and of a failure ratio at most an hour")]
    Span,
    /// No share, or more than all.
    #[error("a failure ratio needs `percent`, 1 to 100, and `least`, at least 1")]
    Ratio,
    /// Nobody can say of whom traffic is expected.
    #[error("a rule of no traffic names a route or a customer: of whom traffic is expected only you know")]
    Whom,
    /// A lane is of no use there.
    #[error("a lane is for rules of the oldest age")]
    Lane,
}

const MINUTE_MS: u64 = 60_000;

/// The longest silence and age: 31 days.
const LONGEST_MS: u64 = 31 * 86_400_000;

impl AlarmRule {
    /// The rules that are there without anybody setting them. One of record with the same name takes its place.
    #[must_use]
    pub fn standard() -> Vec<Self> {
        let rule = |name: &str, kind, lane, over_ms, percent, least| {
            Some(Self {
                name: name.parse().ok()?,
                kind,
                route: None,
                customer: None,
                lane,
                each: AlarmEach::Route,
                over_ms,
                percent,
                least,
                off: false,
                set_at: Timestamp::default(),
                version: 0,
            })
        };
        [
            rule("express-waits", AlarmKind::OldestAge, Some(Lane::Express), 5 * MINUTE_MS, 0, 0),
            rule("bulk-waits", AlarmKind::OldestAge, Some(Lane::Bulk), 6 * 60 * MINUTE_MS, 0, 0),
            rule("failing", AlarmKind::FailureRatio, None, 10 * MINUTE_MS, 50, 50),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The age, the span, or the silence.
    #[must_use]
    pub const fn over(&self) -> Duration {
        Duration::from_millis(self.over_ms)
    }

    /// For how long what was raised must be well before it is cleared, so that what swings does not call again and again.
    #[must_use]
    pub fn calm(&self) -> Duration {
        (self.over() / 2).min(Duration::from_secs(60))
    }

    /// Whether it can be held.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), InvalidAlarm> {
        let longest = if self.kind == AlarmKind::FailureRatio { 60 * MINUTE_MS } else { LONGEST_MS };
        if !(1_000..=longest).contains(&self.over_ms) {
            return Err(InvalidAlarm::Span);
        }
        if self.kind == AlarmKind::FailureRatio && (!(1..=100).contains(&self.percent) || self.least == 0) {
            return Err(InvalidAlarm::Ratio);
        }
        if self.kind == AlarmKind::NoTraffic && self.route.is_none() && self.customer.is_none() {
            return Err(InvalidAlarm::Whom);
        }
        if self.kind != AlarmKind::OldestAge && self.lane.is_some() {
            return Err(InvalidAlarm::Lane);
        }
        Ok(())
    }

    /// What of this route and customer it is about; `None`: it is not about them.
    #[must_use]
    pub fn subject(&self, route: &RouteName, customer: &CustomerId) -> Option<AlarmSubject> {
        let fits = self.route.as_ref().is_none_or(|own| own == route)
            && self.customer.as_ref().is_none_or(|own| own == customer);
        let named = self.route.is_some() || self.customer.is_some();
        fits.then(|| AlarmSubject {
            route: (self.route.is_some() || (!named && self.each == AlarmEach::Route)).then(|| route.clone()),
            customer: (self.customer.is_some() || (!named && self.each == AlarmEach::Customer))
                .then(|| customer.clone()),
        })
    }
}

/// What an alarm is about: `route/carrier-a`, `customer/acme`, or `route/carrier-a/customer/acme`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AlarmSubject {
    /// Which route, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteName>,
    /// Which customer, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
}

impl fmt::Display for AlarmSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.route, &self.customer) {
            (Some(route), Some(customer)) => write!(f, "route/{route}/customer/{customer}"),
            (Some(route), None) => write!(f, "route/{route}"),
            (None, Some(customer)) => write!(f, "customer/{customer}"),
            (None, None) => f.write_str("all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_rules_can_be_held_and_differ() {
        let rules = AlarmRule::standard();
        assert_eq!(rules.len(), 3);
        for rule in &rules {
            assert_eq!(rule.check(), Ok(()));
        }
        let silent = AlarmRule { kind: AlarmKind::NoTraffic, lane: None, ..rules[0].clone() };
        assert_eq!(silent.check(), Err(InvalidAlarm::Whom));
        assert_eq!(AlarmRule { percent: 0, ..rules[2].clone() }.check(), Err(InvalidAlarm::Ratio));
        assert_eq!(AlarmRule { over_ms: 7_200_000, ..rules[2].clone() }.check(), Err(InvalidAlarm::Span));
        assert_eq!(AlarmRule { lane: Some(Lane::Bulk), ..rules[2].clone() }.check(), Err(InvalidAlarm::Lane));
    }

    #[test]
    fn a_rule_holds_apart_what_it_names_or_else_each_route_or_customer() {
        let (route, acme): (RouteName, CustomerId) = ("a".parse().unwrap(), "acme".parse().unwrap());
        let rule = AlarmRule::standard().remove(0);
        let told = |rule: &AlarmRule| rule.subject(&route, &acme).map(|subject| subject.to_string());
        assert_eq!(told(&rule).as_deref(), Some("route/a"));
        let each = AlarmRule { each: AlarmEach::Customer, ..rule.clone() };
        assert_eq!(told(&each).as_deref(), Some("customer/acme"));
        let both = AlarmRule { route: Some(route.clone()), customer: Some(acme.clone()), ..rule.clone() };
        assert_eq!(told(&both).as_deref(), Some("route/a/customer/acme"));
        let one = AlarmRule { customer: Some(acme.clone()), ..rule.clone() };
        assert_eq!(told(&one).as_deref(), Some("customer/acme"));
        assert_eq!(told(&AlarmRule { route: Some("b".parse().unwrap()), ..rule }), None);
    }
}
