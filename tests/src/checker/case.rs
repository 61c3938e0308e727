//! Everything about one message, gathered from all sides.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Findings,
    evidence::{EventSeen, Evidence, Told, Wish},
};
use crate::receiver::journaling::Arrival;

/// One message.
pub(super) struct Case<'a> {
    pub id: &'a str,
    /// Who wished for it; `None` if nobody did.
    pub wish: Option<&'a Wish>,
    /// In the order of time.
    pub arrivals: Vec<&'a Arrival>,
    /// By revision, each once.
    pub reports: BTreeMap<u32, &'a Told>,
    /// Its last state, by each customer who is told one.
    pub views: &'a [Told],
    pub events: Vec<&'a EventSeen>,
}

impl<'a> Case<'a> {
    /// Its last state.
    pub(super) fn view(&self) -> Option<&'a Told> {
        self.views.first()
    }

    /// The latest report.
    pub(super) fn last_report(&self) -> Option<&'a Told> {
        self.reports.values().next_back().copied()
    }

    /// Whether the subscriber was told of that revision.
    pub(super) fn has_event_of(&self, revision: u32) -> bool {
        self.events.iter().any(|event| event.sequence == revision)
    }
}

/// All messages that anybody heard of, and the wishes.
pub(super) struct Cases<'a> {
    pub wishes: &'a [Wish],
    pub by_id: BTreeMap<&'a str, Case<'a>>,
    /// Ids that carry a wish's reference.
    pub by_reference: HashMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Cases<'a> {
    pub(super) fn sort(evidence: &'a Evidence, findings: &mut Findings) -> Self {
        let mut cases =
            Self { wishes: &evidence.wishes, by_id: BTreeMap::new(), by_reference: HashMap::new() };
        for (id, views) in &evidence.views {
            cases.case(id).views = views;
            for reference in views.iter().filter_map(|view| view.reference.as_deref()) {
                cases.by_reference.entry(reference).or_default().insert(id);
            }
        }
        for arrival in &evidence.arrivals {
            cases.case(&arrival.id).arrivals.push(arrival);
            cases.by_reference.entry(&arrival.reference).or_default().insert(&arrival.id);
        }
        for report in &evidence.reports {
            let earlier = cases.case(&report.id).reports.insert(report.revision, report);
            if earlier.is_some_and(|earlier| earlier != report) {
                findings.broke(format!("{}: revision {} was told in two ways", report.id, report.revision));
            }
            if let Some(reference) = &report.reference {
                cases.by_reference.entry(reference).or_default().insert(&report.id);
            }
        }
        // What is no message's is told too: a route rests, a loop was replaced.
        let told = evidence.events.iter().chain(evidence.outside.iter().flatten());
        for event in told.filter(|event| event.subject.starts_with("msg_")) {
            cases.case(&event.subject).events.push(event);
        }
        cases.give_to_their_wishes();
        cases
    }

    fn case(&mut self, id: &'a str) -> &mut Case<'a> {
        self.by_id.entry(id).or_insert_with(|| Case {
            id,
            wish: None,
            arrivals: Vec::new(),
            reports: BTreeMap::new(),
            views: &[],
            events: Vec::new(),
        })
    }

    fn give_to_their_wishes(&mut self) {
        for wish in self.wishes {
            let named = wish.told_ids();
            let carried = self.by_reference.get(wish.reference.as_str()).into_iter().flatten().copied();
            for id in named.chain(carried).collect::<Vec<_>>() {
                self.case(id).wish = Some(wish);
            }
        }
        for case in self.by_id.values_mut() {
            case.arrivals.sort_by_key(|arrival| arrival.at);
        }
    }
}
