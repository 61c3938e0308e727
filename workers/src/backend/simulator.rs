//! A backend that sends nothing: the last two digits of the recipient choose what happens.
//!
//! | last digits | what happens |
//! |---|---|
//! | `00`–`89` | delivered at once |
//! | `90` | failed |
//! | `91` | delivered after 2 s |
//! | `92` | no answer ever: uncertain when the attempt's time is over |
//! | `93` | not taken twice, delivered at the third attempt |
//! | `94` | sent; the report `delivered` comes 2 s later |
//! | `95` | sent; no report ever comes |
//! | `96` | sent; the report `failed` comes 2 s later |
//! | `97` | uncertain at once |
//! | `98`, `99` | delivered at once |
//!
//! A recipient that does not end in two digits is delivered at once. Where the caller of a sandbox message said what is to happen
//! ([`Simulation`]), that happens instead. Nothing is remembered: the same message has the same fate after a restart.

use std::time::Duration;

use async_trait::async_trait;
use naru_shared::{
    domain::{Notice, Outcome, Said, Simulated, Simulation},
    ledger::Work,
};

use super::{Afterwards, Backend};
use crate::courier::Attachment;

/// How long `91` takes, and after which `94` and `96` have their reports.
const A_WHILE: Duration = Duration::from_secs(2);

/// What the simulator does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Delivered at once.
    Delivered,
    /// Refused for what it is.
    Failed,
    /// Delivered after 2 s.
    Slow,
    /// Never answers.
    Silent,
    /// Not taken twice, then delivered.
    ThirdTime,
    /// Taken; the report `delivered` comes 2 s later.
    ReportDelivered,
    /// Taken; no report ever comes.
    ReportNever,
    /// Taken; the report `failed` comes 2 s later.
    ReportFailed,
    /// Uncertain at once.
    Uncertain,
}

/// The last two digits that do not simply deliver, what they do, and a sentence for documentation.
pub const BEHAVIOURS: &[(&str, Behaviour, &str)] = &[
    ("90", Behaviour::Failed, "failed"),
    ("91", Behaviour::Slow, "delivered after 2 s"),
    ("92", Behaviour::Silent, "no answer ever: uncertain when the attempt's time is over"),
    ("93", Behaviour::ThirdTime, "not taken twice, delivered at the third attempt"),
    ("94", Behaviour::ReportDelivered, "sent; the report `delivered` comes 2 s later"),
    ("95", Behaviour::ReportNever, "sent; no report ever comes"),
    ("96", Behaviour::ReportFailed, "sent; the report `failed` comes 2 s later"),
    ("97", Behaviour::Uncertain, "uncertain at once"),
];

impl Behaviour {
    /// What happens to a message to this recipient.
    #[must_use]
    pub fn of(recipient: &str) -> Self {
        let known = BEHAVIOURS.iter().find(|(digits, ..)| recipient.ends_with(digits));
        known.map_or(Self::Delivered, |(_, behaviour, _)| *behaviour)
    }
}

/// See the module.
pub(super) struct Simulator;

fn delivered() -> Outcome {
    Outcome::Delivered { detail: "simulated: delivered".to_owned(), backend_id: None }
}

fn failed() -> Outcome {
    Outcome::Failed { detail: "simulated: failed".to_owned() }
}

fn refused(code: Option<&str>) -> Outcome {
    match code {
        Some(code) => Outcome::Failed { detail: format!("simulated: failed, code {code}") },
        None => failed(),
    }
}

fn uncertain() -> Outcome {
    Outcome::Uncertain { detail: "simulated: uncertain".to_owned() }
}

fn not_taken() -> Outcome {
    Outcome::NotTaken { detail: "simulated: not taken".to_owned(), retry_after: None }
}

fn sent(work: &Work, report_in: Duration) -> Outcome {
    Outcome::Sent { backend_id: Some(format!("simulated-{}", work.row.id)), report_in: Some(report_in) }
}

/// What the caller asked for. What this release does not understand counts as not asked for.
fn asked(work: &Work) -> Option<Simulation> {
    work.message.content.simulate.as_deref()?.parse().ok()
}

/// An attempt as it was asked for.
async fn attempt(simulation: &Simulation, work: &Work) -> Outcome {
    tokio::time::sleep(simulation.delay).await;
    match (simulation.outcome, simulation.report_in()) {
        (Simulated::Delivered | Simulated::Failed | Simulated::Late, Some(report_in)) => {
            sent(work, report_in)
        }
        (Simulated::Failed, None) => refused(simulation.code.as_deref()),
        (Simulated::Unreported, _) => sent(work, A_WHILE),
        (Simulated::NotTaken, _) if work.tries() <= simulation.times => not_taken(),
        (Simulated::Uncertain, _) => uncertain(),
        (Simulated::Silent, _) => std::future::pending().await,
        // A call that is to be refused makes no message; and what was not taken often enough is.
        (
            Simulated::Delivered
            | Simulated::Late
            | Simulated::NotTaken
            | Simulated::RateLimited
            | Simulated::QuotaExceeded
            | Simulated::Unavailable,
            _,
        ) => delivered(),
    }
}

#[async_trait]
impl Backend for Simulator {
    async fn deliver(&self, work: &Work, _attachments: &[Attachment]) -> Outcome {
        if let Some(simulation) = asked(work) {
            return attempt(&simulation, work).await;
        }
        match Behaviour::of(&work.message.content.recipient) {
            Behaviour::Delivered => delivered(),
            Behaviour::Failed => failed(),
            Behaviour::Slow => {
                tokio::time::sleep(A_WHILE).await;
                delivered()
            }
            Behaviour::Silent => std::future::pending().await,
            Behaviour::ThirdTime if work.attempt > 2 => delivered(),
            Behaviour::ThirdTime => not_taken(),
            Behaviour::ReportDelivered | Behaviour::ReportNever | Behaviour::ReportFailed => {
                sent(work, A_WHILE)
            }
            Behaviour::Uncertain => uncertain(),
        }
    }

    fn can_be_asked(&self) -> bool {
        true
    }

    async fn inquire(&self, work: &Work) -> Option<Outcome> {
        if let Some(simulation) = asked(work) {
            return match simulation.outcome {
                Simulated::Delivered => Some(delivered()),
                Simulated::Failed => Some(refused(simulation.code.as_deref())),
                _ => None,
            };
        }
        match Behaviour::of(&work.message.content.recipient) {
            Behaviour::ReportDelivered => Some(delivered()),
            Behaviour::ReportFailed => Some(failed()),
            _ => None,
        }
    }

    fn afterwards(&self, work: &Work) -> Option<Afterwards> {
        let simulation = asked(work)?;
        let missed = simulation.outcome == Simulated::Late;
        let said = if simulation.outcome == Simulated::Failed { Said::Failed } else { Said::Delivered };
        let detail = if missed { "simulated: delivered, reported late" } else { "simulated: told twice" };
        let time = work.message.again.map_or(0, |again| again.key);
        let notice =
            Notice { backend_id: None, message: Some(work.row.id), time, said, detail: detail.to_owned() };
        let after = simulation.report_in()?;
        (missed || simulation.twice).then_some(Afterwards { missed, notice, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_digits_choose() {
        assert_eq!(Behaviour::of("+821012345678"), Behaviour::Delivered);
        assert_eq!(Behaviour::of("+821012345690"), Behaviour::Failed);
        assert_eq!(Behaviour::of("+821012345697"), Behaviour::Uncertain);
        assert_eq!(Behaviour::of("+821012345699"), Behaviour::Delivered);
        assert_eq!(Behaviour::of("someone"), Behaviour::Delivered);
        assert_eq!(Behaviour::of(""), Behaviour::Delivered);
    }
}
