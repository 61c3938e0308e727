//! The end of a run: waits until everything has ended, then gathers what everybody saw.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::Plan;
use crate::{
    checker::evidence::{Evidence, Said, Told},
    customer::Customer,
    gateway::Gateway,
    journal,
    receiver::journaling::Arrival,
};

/// How long nothing may change before everything counts as ended.
const QUIET: Duration = Duration::from_secs(3);

/// How long the last events may take to reach the subscriber.
const EVENTS: Duration = Duration::from_secs(20);

/// The journals of the other sides.
pub(super) struct Files {
    pub arrivals: PathBuf,
    pub events: PathBuf,
}

/// Fills in all that is judged, and drains the gateway.
pub(super) fn collect(
    plan: &Plan,
    gateway: &mut Gateway,
    files: &Files,
    evidence: &mut Evidence,
) -> anyhow::Result<()> {
    let mut customer = gateway.customer(0);
    read_reports(plan, &mut customer, files, evidence)?;
    for id in heard_of(evidence) {
        let reply = customer.get(&format!("/messages/{id}"))?;
        ensure!(matches!(reply.status, 200 | 404), "GET /messages/{id}: {}", reply.status);
        let told = (reply.status == 200).then(|| serde_json::from_value(reply.json())).transpose()?;
        evidence.views.insert(id, told);
    }
    let quota = customer.get("/quota")?;
    let used = quota.json()["quotas"][0]["used"].as_u64();
    evidence.used = used.with_context(|| format!("GET /quota: {} {}", quota.status, quota.json()))?;
    await_events(files, evidence)?;
    gateway.drain()?;
    evidence.events = journal::read(&files.events)?;
    Ok(())
}

/// Reads reports until every message that is known of has one and nothing more has come for a while.
fn read_reports(
    plan: &Plan,
    customer: &mut Customer,
    files: &Files,
    evidence: &mut Evidence,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + plan.patience;
    let mut last_news = Instant::now();
    loop {
        let news: Vec<Value> = customer.take_reports()?;
        if !news.is_empty() {
            last_news = Instant::now();
        }
        for report in news {
            evidence.reports.push(serde_json::from_value::<Told>(report)?);
        }
        let before = evidence.arrivals.len();
        evidence.arrivals = journal::read::<Arrival>(&files.arrivals)?;
        if evidence.arrivals.len() > before {
            last_news = Instant::now();
        }
        let reported: BTreeSet<&str> = evidence.reports.iter().map(|report| report.id.as_str()).collect();
        let waiting = heard_of(evidence).iter().filter(|id| !reported.contains(id.as_str())).count();
        // What is still waiting when patience ends is for the checker to find.
        if Instant::now() > deadline || (waiting == 0 && last_news.elapsed() > QUIET) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Every id that any side knows of.
fn heard_of(evidence: &Evidence) -> BTreeSet<String> {
    let said = evidence.wishes.iter().flat_map(|wish| &wish.said).filter_map(|said| match said {
        Said::Accepted { id } => Some(id),
        _ => None,
    });
    let arrived = evidence.arrivals.iter().map(|arrival| &arrival.id);
    let reported = evidence.reports.iter().map(|report| &report.id);
    said.chain(arrived).chain(reported).cloned().collect()
}

fn await_events(files: &Files, evidence: &Evidence) -> anyhow::Result<()> {
    let deadline = Instant::now() + EVENTS;
    let wanted: BTreeSet<String> =
        evidence.reports.iter().map(|report| format!("{}.{}", report.id, report.revision)).collect();
    while Instant::now() < deadline {
        let seen: Vec<crate::checker::evidence::EventSeen> = journal::read(&files.events)?;
        let seen: BTreeSet<&str> = seen.iter().map(|event| event.id.as_str()).collect();
        if wanted.iter().all(|id| seen.contains(id.as_str())) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
