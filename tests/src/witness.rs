//! The end of a run: waits until everything has ended, then gathers what everybody saw.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    checker::evidence::{EventSeen, Evidence, Told},
    customer::Customer,
    faults, journal,
    receiver::journaling::Arrival,
    site::Site,
    wire::{CallError, Reply},
};

/// How long nothing may change before everything counts as ended.
const QUIET: Duration = Duration::from_secs(3);

/// How long the last events may take to reach the subscriber: one that could not be published comes again when the relay's
/// claim on it ends, after half a minute.
const EVENTS: Duration = Duration::from_secs(40);

/// How long one question is asked again while its answer is a passing refusal or none.
const ANSWER: Duration = Duration::from_secs(60);

/// The name of the subscription that is followed; the gateway's setup must have it.
pub const SUBSCRIPTION: &str = "journal";

/// The journals of the other sides: the receiver's and the subscriber's.
#[derive(Debug)]
pub struct Journals(TempDir);

impl Journals {
    /// In a directory of their own.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn begin() -> anyhow::Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    /// Where the receiver writes.
    #[must_use]
    pub fn arrivals(&self) -> PathBuf {
        self.0.path().join("arrivals")
    }

    /// Where the subscriber writes.
    fn events(&self) -> PathBuf {
        self.0.path().join("events")
    }

    /// Where a subscriber who is not of Naru's writes.
    #[must_use]
    pub fn outside(&self) -> PathBuf {
        self.0.path().join("outside")
    }

    /// What the gateway's environment must have for the subscriber to write.
    #[must_use]
    pub fn subscriber(&self) -> (&'static str, String) {
        (faults::SUBSCRIBER, format!("{SUBSCRIPTION}={}", self.events().display()))
    }
}

/// Fills in all that is judged, waiting for at most `patience` until everything has ended; then drains the site.
///
/// # Errors
/// If somebody cannot be asked. What has not ended is no error here: the checker finds it.
pub fn gather(
    site: &mut dyn Site,
    journals: &Journals,
    patience: Duration,
    evidence: &mut Evidence,
) -> anyhow::Result<()> {
    gather_at(site, journals, patience, evidence, &mut || ())
}

/// As [`gather`]; `ended` is called once everything has ended, or patience has.
///
/// # Errors
/// As [`gather`].
pub fn gather_at(
    site: &mut dyn Site,
    journals: &Journals,
    patience: Duration,
    evidence: &mut Evidence,
    ended: &mut dyn FnMut(),
) -> anyhow::Result<()> {
    let mut customers: Vec<Customer> = (0..site.users().len()).map(|i| site.customer(i)).collect();
    read_reports(&mut customers, journals, patience, evidence)?;
    ended();
    for id in heard_of(evidence) {
        let mut views = Vec::new();
        for (reader, customer) in customers.iter_mut().enumerate() {
            let reply = answered(customer, |customer| customer.get(&format!("/messages/{id}")))?;
            ensure!(matches!(reply.status, 200 | 404), "GET /messages/{id}: {}", reply.status);
            if reply.status == 200 {
                views.push(Told { reader, ..serde_json::from_value(reply.json())? });
            }
        }
        evidence.views.insert(id, views);
    }
    for customer in &mut customers {
        let quota = answered(customer, |customer| customer.get("/quota"))?;
        let used = quota.json()["quotas"][0]["used"].as_u64();
        evidence.used.push(used.with_context(|| format!("GET /quota: {} {}", quota.status, quota.json()))?);
    }
    await_events(journals, evidence)?;
    site.drain()?;
    evidence.arrivals = journal::read(&journals.arrivals())?;
    evidence.events = journal::read(&journals.events())?;
    if let Some(outside) = &mut evidence.outside {
        *outside = journal::read(&journals.outside())?;
    }
    Ok(())
}

/// Asks again while there is no answer, or a passing one: what is asked may be recovering still, and every question here can be
/// asked twice.
fn answered(
    customer: &mut Customer,
    mut ask: impl FnMut(&mut Customer) -> Result<Reply, CallError>,
) -> anyhow::Result<Reply> {
    let deadline = Instant::now() + ANSWER;
    loop {
        let answer = ask(customer);
        let passing = answer.as_ref().map_or(true, |reply| matches!(reply.status, 502..=504));
        if !passing || Instant::now() > deadline {
            return Ok(answer?);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Reads and acknowledges a customer's reports; a page is not read before the one before it is acknowledged.
fn take_reports(customer: &mut Customer) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    loop {
        let reply = answered(customer, |customer| customer.get("/reports?limit=500"))?;
        ensure!(reply.status == 200, "reports: {} {}", reply.status, reply.json());
        let page = reply.json()["reports"].as_array().cloned().unwrap_or_default();
        if page.is_empty() {
            return Ok(all);
        }
        let acknowledged = answered(customer, |customer| customer.acknowledge(&page))?;
        let said = String::from_utf8_lossy(&acknowledged.body);
        ensure!(acknowledged.status == 200, "acknowledge: {} {said}", acknowledged.status);
        all.extend(page);
    }
}

/// Reads reports until every message that is known of has one and nothing more has come for a while.
fn read_reports(
    customers: &mut [Customer],
    journals: &Journals,
    patience: Duration,
    evidence: &mut Evidence,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    let mut last_news = Instant::now();
    loop {
        let before = evidence.arrivals.len() + evidence.reports.len();
        for (reader, customer) in customers.iter_mut().enumerate() {
            for report in take_reports(customer)? {
                evidence.reports.push(Told { reader, ..serde_json::from_value(report)? });
            }
        }
        evidence.arrivals = journal::read::<Arrival>(&journals.arrivals())?;
        if evidence.arrivals.len() + evidence.reports.len() > before {
            last_news = Instant::now();
        }
        let reported: BTreeSet<&str> = evidence.reports.iter().map(|report| report.id.as_str()).collect();
        let waiting = awaited(evidence).iter().filter(|id| !reported.contains(id.as_str())).count();
        // What is still waiting when patience ends is for the checker to find.
        if Instant::now() > deadline || (waiting == 0 && last_news.elapsed() > QUIET) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Every id of which a report must come.
fn awaited(evidence: &Evidence) -> BTreeSet<String> {
    let accepted = evidence.wishes.iter().filter_map(|wish| wish.accepted()).map(str::to_owned);
    accepted.chain(evidence.arrivals.iter().map(|arrival| arrival.id.clone())).collect()
}

/// Every id that any side knows of.
fn heard_of(evidence: &Evidence) -> BTreeSet<String> {
    let told = evidence.wishes.iter().flat_map(|wish| wish.told_ids()).map(str::to_owned);
    let reported = evidence.reports.iter().map(|report| report.id.clone());
    awaited(evidence).into_iter().chain(told).chain(reported).collect()
}

/// Whether a journal holds an event of each of these ids.
fn hears(journal: &Path, wanted: &BTreeSet<String>) -> anyhow::Result<bool> {
    let seen: Vec<EventSeen> = journal::read(journal)?;
    let seen: BTreeSet<&str> = seen.iter().map(|event| event.id.as_str()).collect();
    Ok(wanted.iter().all(|id| seen.contains(id.as_str())))
}

fn await_events(journals: &Journals, evidence: &Evidence) -> anyhow::Result<()> {
    let deadline = Instant::now() + EVENTS;
    let wanted: BTreeSet<String> =
        evidence.reports.iter().map(|report| format!("{}.{}", report.id, report.revision)).collect();
    while Instant::now() < deadline {
        if hears(&journals.events(), &wanted)?
            && (evidence.outside.is_none() || hears(&journals.outside(), &wanted)?)
        {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
