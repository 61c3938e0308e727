//! What one attempt at a backend came to.

use std::time::Duration;

/// The outcome of an attempt, as the backend's adapter tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered {
        /// A sentence for the report.
        detail: String,
        /// The backend's own id.
        backend_id: Option<String>,
    },
    /// The backend took it; its report comes later.
    Sent {
        /// The backend's own id.
        backend_id: Option<String>,
        /// How long from now until the report is asked for, or missed; `None`: as long as is waited for reports.
        report_in: Option<Duration>,
    },
    /// The backend certainly did not take it.
    NotTaken {
        /// A sentence for the operator.
        detail: String,
        /// Not before this long.
        retry_after: Option<Duration>,
    },
    /// The backend refused it for what it is.
    Failed {
        /// A sentence for the report.
        detail: String,
    },
    /// What it carries is gone or damaged; nothing was sent.
    Lost {
        /// A sentence for the report.
        detail: String,
    },
    /// It cannot be known.
    Uncertain {
        /// A sentence for the operator.
        detail: String,
    },
}

/// The head of an HTTP backend's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerHead {
    /// Status code (RFC 9110 section 15).
    pub status: u16,
    /// `Retry-After` in delay-seconds (RFC 9110 section 10.2.3), if it came.
    pub retry_after: Option<Duration>,
}

/// What was seen of an HTTP exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// No byte of the request was written.
    Unwritten,
    /// A whole head came, whatever became of the body.
    Head(AnswerHead),
    /// Bytes were written, and no whole head came.
    Cut,
}

/// The outcome table of HTTP backends.
#[must_use]
pub fn http_outcome(answer: Answer, detail: &str) -> Outcome {
    let detail = detail.to_owned();
    match answer {
        Answer::Unwritten => Outcome::NotTaken { detail, retry_after: None },
        Answer::Cut => Outcome::Uncertain { detail },
        Answer::Head(head) => match head.status {
            200..=299 => Outcome::Delivered { detail, backend_id: None },
            429 | 503 => Outcome::NotTaken { detail, retry_after: head.retry_after },
            300..=499 => Outcome::Failed { detail },
            _ => Outcome::Uncertain { detail },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_http_outcomes_holds() {
        let head = |status| Answer::Head(AnswerHead { status, retry_after: Some(Duration::from_secs(7)) });
        let word = |answer| match http_outcome(answer, "d") {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Sent { .. } => "sent",
            Outcome::NotTaken { retry_after: Some(_), .. } => "later",
            Outcome::NotTaken { .. } => "not taken",
            Outcome::Failed { .. } => "failed",
            Outcome::Lost { .. } => "lost",
            Outcome::Uncertain { .. } => "uncertain",
        };
        assert_eq!(word(Answer::Unwritten), "not taken");
        assert_eq!(word(Answer::Cut), "uncertain");
        for (status, expected) in [
            (200, "delivered"),
            (204, "delivered"),
            (299, "delivered"),
            (301, "failed"),
            (400, "failed"),
            (404, "failed"),
            (429, "later"),
            (500, "uncertain"),
            (502, "uncertain"),
            (503, "later"),
            (504, "uncertain"),
            (100, "uncertain"),
        ] {
            assert_eq!(word(head(status)), expected, "{status}");
        }
    }
}
