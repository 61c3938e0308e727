//! Judges a run from its evidence.
//!
//! [`check`] is pure. Each rule is a function in a file of its own; a rule that is broken says which message broke it.

mod arrivals;
mod case;
mod events;
pub mod evidence;
mod owners;
mod promises;
mod reports;

use std::collections::BTreeMap;

use case::Cases;
use evidence::Evidence;
use serde::{Deserialize, Serialize};

/// What a run came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Sentences about what was broken; empty if all promises held.
    pub broken: Vec<String>,
    /// Accepted messages without a final state and a report of it.
    pub lost: u64,
    /// Messages that nobody asked for, or that a refused call left behind.
    pub unexpected: u64,
    /// Messages wished for.
    pub wished: u64,
    /// Messages answered `202`.
    pub accepted: u64,
    /// Calls that were sent and never answered, and whose message came to be all the same.
    pub accepted_unanswered: u64,
    /// Requests at the receiver.
    pub arrivals: u64,
    /// Requests at the receiver beyond the first of a message that may have been taken already.
    pub duplicates: u64,
    /// Requests labelled as possible duplicates.
    pub labelled: u64,
    /// Reports with a revision above 1.
    pub corrected: u64,
    /// Events in the subscriber's hands, repeats included.
    pub events: u64,
    /// The same in the hands of a subscriber who is not of Naru's.
    pub outside: u64,
    /// Final states with their codes.
    pub finals: BTreeMap<String, u64>,
    /// Units of what was delivered per reports.
    pub due: u64,
    /// Units used per `GET /quota`.
    pub used: u64,
}

impl Findings {
    fn broke(&mut self, sentence: String) {
        self.broken.push(sentence);
    }
}

/// Applies every rule.
#[must_use]
pub fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings {
        wished: evidence.wishes.len() as u64,
        arrivals: evidence.arrivals.len() as u64,
        labelled: evidence.arrivals.iter().filter(|arrival| arrival.labelled).count() as u64,
        events: evidence.events.len() as u64,
        outside: evidence.outside.as_ref().map_or(0, |outside| outside.len() as u64),
        ..Findings::default()
    };
    let cases = Cases::sort(evidence, &mut findings);
    promises::nothing_is_lost(&cases, &mut findings);
    promises::nothing_stands_still(&cases, &mut findings);
    promises::nothing_is_unexpected(&cases, &mut findings);
    promises::what_was_attached_came(&cases, &mut findings);
    owners::everything_is_its_owners(&cases, &mut findings);
    owners::a_wish_has_one_id(&cases, &mut findings);
    reports::every_final_has_one_report(&cases, evidence, &mut findings);
    reports::what_is_due_is_used(&cases, evidence, &mut findings);
    arrivals::twice_only_in_doubt_and_labelled(&cases, evidence, &mut findings);
    arrivals::outcomes_are_true(&cases, evidence, &mut findings);
    events::every_outcome_reached_the_subscriber(&cases, evidence, &mut findings);
    findings
}

#[cfg(test)]
mod tests;
