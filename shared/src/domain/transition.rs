//! From the outcome of an attempt to the next state of its message.

use std::time::Duration;

use super::{Code, Lifetime, OnUncertain, Outcome, RetryPolicy, State, Timestamp};

/// What the decision rests on besides the outcome.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The number of the attempt that ended, from 1.
    pub attempt: u32,
    /// The present moment.
    pub now: Timestamp,
    /// When attempts may begin.
    pub life: Lifetime,
    /// An earlier attempt may have been taken.
    pub possible_duplicate: bool,
    /// The route's answer to uncertainty.
    pub on_uncertain: OnUncertain,
    /// The route's backend ignores a second request with the same key.
    pub idempotent: bool,
    /// Attempts in all.
    pub max_attempts: u32,
    /// A random number in [0, 1).
    pub jitter: f64,
    /// Another attempt does not begin before so long, while its time to live allows it: the route's retry budget is used up. Zero: it is not.
    pub hold_back: Duration,
    /// How long a report is waited for.
    pub report_window: Duration,
}

/// What becomes of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It ended.
    Final {
        /// A final state.
        state: State,
        /// Why.
        code: Code,
        /// A sentence for the report.
        detail: String,
        /// The backend's own id.
        backend_id: Option<String>,
    },
    /// The backend took it; look for its report at that moment.
    Sent {
        /// The backend's own id.
        backend_id: Option<String>,
        /// When to ask for the report, or to miss it.
        look_at: Timestamp,
    },
    /// Another attempt at that moment.
    Retry {
        /// When.
        at: Timestamp,
        /// The attempt that ended may have been taken.
        possible_duplicate: bool,
        /// A sentence for the operator.
        detail: String,
    },
    /// Waits for a person.
    Held {
        /// A sentence for the operator.
        detail: String,
    },
    /// It was sent, and no report of it came within its window: it expired.
    Missed {
        /// It is paid for all the same, as its route says.
        captured: bool,
    },
}

impl Next {
    /// An end with its own sentence, or the code's.
    #[must_use]
    pub fn end(state: State, code: Code, detail: &str) -> Self {
        let detail = if detail.is_empty() { code.sentence() } else { detail };
        Self::Final { state, code, detail: detail.to_owned(), backend_id: None }
    }

    /// The end of a message whose time is over.
    ///
    /// If an earlier attempt may have been taken, the honest end is not `expired` but `failed` with code `uncertain`.
    #[must_use]
    pub fn out_of_time(possible_duplicate: bool) -> Self {
        if possible_duplicate {
            Self::end(State::Failed, Code::Uncertain, "")
        } else {
            Self::end(State::Expired, Code::TtlExpired, "")
        }
    }

    /// As [`Next::out_of_time`], told after an attempt that was not taken, in words of its own.
    fn no_time_left(possible_duplicate: bool, told: &str) -> Self {
        if possible_duplicate {
            let doubt = Code::Uncertain.sentence();
            Self::end(State::Failed, Code::Uncertain, &format!("{doubt}; {told}"))
        } else {
            Self::end(State::Expired, Code::TtlExpired, told)
        }
    }
}

/// The next state of a message of which an attempt ended so.
#[must_use]
pub fn next_state(outcome: Outcome, facts: &Facts) -> Next {
    match outcome {
        Outcome::Delivered { detail, backend_id } => {
            Next::Final { state: State::Delivered, code: Code::Ok, detail, backend_id }
        }
        Outcome::Sent { backend_id, report_in } => {
            let wait = report_in.unwrap_or(facts.report_window);
            Next::Sent { backend_id, look_at: facts.now.plus(wait) }
        }
        Outcome::Failed { detail } => Next::end(State::Failed, Code::BackendRefused, &detail),
        // An earlier attempt had what this one lacks, and may have been taken.
        Outcome::Lost { detail } if facts.possible_duplicate => {
            Next::end(State::Failed, Code::Uncertain, &detail)
        }
        Outcome::Lost { detail } => Next::end(State::Failed, Code::AttachmentLost, &detail),
        Outcome::NotTaken { detail, retry_after } => {
            again(facts, retry_after, facts.possible_duplicate, detail)
        }
        Outcome::Uncertain { detail } if facts.idempotent || facts.on_uncertain == OnUncertain::Retry => {
            again(facts, None, true, detail)
        }
        Outcome::Uncertain { detail } if facts.on_uncertain == OnUncertain::Hold => Next::Held { detail },
        Outcome::Uncertain { detail } => Next::end(State::Failed, Code::Uncertain, &detail),
    }
}

fn again(facts: &Facts, retry_after: Option<Duration>, possible_duplicate: bool, detail: String) -> Next {
    if facts.attempt >= facts.max_attempts {
        let code = if possible_duplicate { Code::Uncertain } else { Code::NotTaken };
        return Next::end(State::Failed, code, &detail);
    }
    let beyond = retry_after.map(|asked| facts.now.plus(asked)).filter(|until| *until > facts.life.until);
    let told = match beyond {
        Some(until) => format!("{detail}; the backend asked to wait until {until}, beyond the time to live"),
        None if !facts.hold_back.is_zero() => {
            format!("{detail}; put off: the route's retry budget is used up")
        }
        None => detail,
    };
    let asked = if facts.hold_back.is_zero() { retry_after } else { retry_after.max(Some(facts.hold_back)) };
    match RetryPolicy.next_start(facts.attempt, asked, facts.jitter, facts.now, facts.life) {
        Some(at) => Next::Retry { at, possible_duplicate, detail: told },
        None if beyond.is_some() => Next::no_time_left(possible_duplicate, &told),
        None => {
            Next::no_time_left(possible_duplicate, &format!("{told}; no time is left for another attempt"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(ms: i64) -> Lifetime {
        Lifetime { from: Timestamp::from_millis(1_000), until: Timestamp::from_millis(ms) }
    }

    fn facts() -> Facts {
        Facts {
            attempt: 1,
            now: Timestamp::from_millis(1_000),
            life: until(600_000),
            possible_duplicate: false,
            on_uncertain: OnUncertain::Fail,
            idempotent: false,
            max_attempts: 3,
            jitter: 0.5,
            hold_back: Duration::ZERO,
            report_window: Duration::from_secs(9),
        }
    }

    fn not_taken() -> Outcome {
        Outcome::NotTaken { detail: "d".into(), retry_after: None }
    }

    fn uncertain() -> Outcome {
        Outcome::Uncertain { detail: "d".into() }
    }

    #[test]
    fn what_was_not_taken_is_tried_again_within_its_time_and_budget() {
        let at = Timestamp::from_millis(1_500);
        assert_eq!(
            next_state(not_taken(), &facts()),
            Next::Retry { at, possible_duplicate: false, detail: "d".into() }
        );
        let late = Facts { life: until(1_000), ..facts() };
        let told = "d; no time is left for another attempt";
        assert_eq!(next_state(not_taken(), &late), Next::end(State::Expired, Code::TtlExpired, told));
        let spent = Facts { attempt: 3, ..facts() };
        assert_eq!(next_state(not_taken(), &spent), Next::end(State::Failed, Code::NotTaken, "d"));
    }

    #[test]
    fn what_exceeds_the_retry_budget_is_put_off_and_never_given_up_for_it() {
        let put_off = |seconds| Facts { hold_back: Duration::from_secs(seconds), ..facts() };
        let told = "d; put off: the route's retry budget is used up";
        let retry = |at| Next::Retry {
            at: Timestamp::from_millis(at),
            possible_duplicate: false,
            detail: told.into(),
        };
        assert_eq!(next_state(not_taken(), &put_off(7)), retry(8_500));
        assert_eq!(next_state(not_taken(), &put_off(3_600)), retry(570_000), "pulled forward before its end");
    }

    #[test]
    fn a_wait_beyond_the_time_to_live_is_told_and_not_waited_for() {
        let busy = |seconds| Outcome::NotTaken {
            detail: "HTTP 503".into(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        let told =
            "HTTP 503; the backend asked to wait until 1970-01-01T01:00:01.000Z, beyond the time to live";
        let retry = |at, detail: &str| Next::Retry {
            at: Timestamp::from_millis(at),
            possible_duplicate: false,
            detail: detail.into(),
        };
        assert_eq!(next_state(busy(3_600), &facts()), retry(570_000, told));
        assert_eq!(next_state(busy(60), &facts()), retry(61_500, "HTTP 503"));
        let late = Facts { now: Timestamp::from_millis(570_100), ..facts() };
        let told =
            "HTTP 503; the backend asked to wait until 1970-01-01T01:09:30.100Z, beyond the time to live";
        assert_eq!(next_state(busy(3_600), &late), Next::end(State::Expired, Code::TtlExpired, told));
    }

    #[test]
    fn the_route_decides_what_uncertainty_means() {
        assert_eq!(next_state(uncertain(), &facts()), Next::end(State::Failed, Code::Uncertain, "d"));
        let hold = Facts { on_uncertain: OnUncertain::Hold, ..facts() };
        assert_eq!(next_state(uncertain(), &hold), Next::Held { detail: "d".into() });
        let retry = Facts { on_uncertain: OnUncertain::Retry, ..facts() };
        let idempotent = Facts { idempotent: true, ..facts() };
        for facts in [retry, idempotent] {
            assert!(matches!(next_state(uncertain(), &facts), Next::Retry { possible_duplicate: true, .. }));
        }
    }

    #[test]
    fn what_lost_its_attachment_ends_and_is_not_tried_again() {
        let lost = || Outcome::Lost { detail: "d".into() };
        assert_eq!(next_state(lost(), &facts()), Next::end(State::Failed, Code::AttachmentLost, "d"));
        let doubted = Facts { possible_duplicate: true, ..facts() };
        assert_eq!(next_state(lost(), &doubted), Next::end(State::Failed, Code::Uncertain, "d"));
    }

    #[test]
    fn doubt_once_raised_is_never_forgotten() {
        let doubted = Facts { possible_duplicate: true, ..facts() };
        assert!(matches!(next_state(not_taken(), &doubted), Next::Retry { possible_duplicate: true, .. }));
        let late = Facts { life: until(0), ..doubted };
        let told =
            "it cannot be known whether the backend took the message; d; no time is left for another attempt";
        assert_eq!(next_state(not_taken(), &late), Next::end(State::Failed, Code::Uncertain, told));
        let spent = Facts { attempt: 3, ..doubted };
        assert_eq!(next_state(not_taken(), &spent), Next::end(State::Failed, Code::Uncertain, "d"));
    }
}
