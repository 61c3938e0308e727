//! A carrier's agent as a process, and whether what it told is what the customer knows.

pub mod proof;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{customer::Customer, tools::tool};

/// Where a database is, in the parts that a client asks for.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its port on loopback.
    pub port: u16,
    /// Whom the agent connects as.
    pub user: String,
    /// The password.
    pub password: String,
    /// The name.
    pub name: String,
}

/// The agent; ended when dropped.
#[derive(Debug)]
pub struct CarrierAgent {
    child: Child,
    truth: PathBuf,
    home: tempfile::TempDir,
}

/// What the carrier knows of a message.
#[derive(Debug, Clone, Deserialize)]
pub struct Truth {
    /// The message.
    pub id: String,
    /// Its text, as the carrier saw it.
    pub body: String,
    /// How it was told.
    pub how: String,
    /// What became of it in the end.
    pub delivered: bool,
}

impl CarrierAgent {
    /// Starts one that takes `count` rows of a table by this mapping.
    ///
    /// # Errors
    /// If Python or a client of the database is not installed.
    pub fn start(mapping: &str, database: &Database, count: usize, seed: u64) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let truth = home.path().join("truth.jsonl");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/carrier.py");
        let mut python = tool("pip/bin/python")?;
        python.arg(script).args([mapping, "127.0.0.1", &database.port.to_string(), &database.user]);
        python.args([&database.password, &database.name, &count.to_string(), &seed.to_string()]).arg(&truth);
        let log = std::fs::File::create(home.path().join("log"))?;
        let child = python.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child, truth, home })
    }

    /// Whether it has told everything.
    ///
    /// # Errors
    /// If it failed.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        let Some(status) = self.child.try_wait()? else { return Ok(false) };
        let log = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        ensure!(status.success(), "the carrier's agent: {log}");
        Ok(true)
    }

    /// What it knows, once it has told everything.
    ///
    /// # Errors
    /// If it does not end in time, or failed.
    pub fn truth(&mut self, patience: Duration) -> anyhow::Result<HashMap<String, Truth>> {
        let deadline = Instant::now() + patience;
        while !self.has_ended()? {
            ensure!(Instant::now() < deadline, "the carrier's agent has not ended within {patience:?}");
            thread::sleep(Duration::from_millis(50));
        }
        let text = std::fs::read_to_string(&self.truth)?;
        let truth = text.lines().map(|line| {
            let truth: Truth = serde_json::from_str(line)?;
            Ok((truth.id.clone(), truth))
        });
        truth.collect()
    }
}

impl Drop for CarrierAgent {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends `count` messages on a channel, numbered; their texts by id.
///
/// # Errors
/// If one is refused.
pub fn send(customer: &mut Customer, channel: &str, count: usize) -> anyhow::Result<HashMap<String, String>> {
    let mut sent = HashMap::with_capacity(count);
    let numbers: Vec<usize> = (0..count).collect();
    for group in numbers.chunks(500) {
        let body = |number: &usize| format!("나루 {channel} {number}");
        let messages: Vec<Value> = group
            .iter()
            .map(|number| {
                json!({ "channel": channel, "recipient": "+821012345678", "sender": "+8215880000",
                    "body": body(number), "lane": "bulk" })
            })
            .collect();
        let reply = customer.batch(&messages)?;
        let answer = reply.json();
        let results = answer["results"].as_array().with_context(|| format!("{}: {answer}", reply.status))?;
        ensure!(results.len() == group.len(), "{answer}");
        for (result, number) in results.iter().zip(group) {
            let id = result["id"].as_str().with_context(|| format!("refused: {result}"))?;
            sent.insert(id.to_owned(), body(number));
        }
    }
    Ok(sent)
}

/// Takes reports until each message's last one is what the carrier knows, and none comes twice. `corrected_twice`: a correction
/// comes when the report before it was certainly read, so that each of them is two revisions.
///
/// # Errors
/// If it does not come to that in time, or a report is wrong.
pub fn compare(
    customer: &mut Customer,
    truths: &HashMap<String, Truth>,
    sent: &HashMap<String, String>,
    corrected_twice: impl Fn(&Truth) -> bool,
    patience: Duration,
) -> anyhow::Result<usize> {
    let deadline = Instant::now() + patience;
    let mut known: HashMap<(String, u64), String> = HashMap::new();
    loop {
        for report in customer.take_reports()? {
            let id = report["id"].as_str().context("a report has an id")?.to_owned();
            let revision = report["revision"].as_u64().context("a report has a revision")?;
            let status = report["status"].as_str().context("a report has a status")?.to_owned();
            if let Some(before) = known.insert((id.clone(), revision), status.clone()) {
                bail!("revision {revision} of {id} came as {before} and {status}");
            }
        }
        match wrong(&known, truths, sent, &corrected_twice) {
            None => return Ok(known.len()),
            Some(why) if Instant::now() > deadline => bail!("{why}; {} reports came", known.len()),
            Some(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn wrong(
    known: &HashMap<(String, u64), String>,
    truths: &HashMap<String, Truth>,
    sent: &HashMap<String, String>,
    corrected_twice: impl Fn(&Truth) -> bool,
) -> Option<String> {
    let mut last: HashMap<&str, (u64, &str)> = HashMap::with_capacity(sent.len());
    for ((id, revision), status) in known {
        let entry = last.entry(id).or_insert((*revision, status));
        if *revision > entry.0 {
            *entry = (*revision, status);
        }
    }
    if truths.len() != sent.len() {
        return Some(format!("the carrier took {} of {} messages", truths.len(), sent.len()));
    }
    sent.iter().find_map(|(id, body)| {
        let Some(truth) = truths.get(id) else { return Some(format!("the carrier never saw {id}")) };
        if truth.body != *body {
            return Some(format!("{id} is `{body}`, the carrier saw `{}`", truth.body));
        }
        let expected = if truth.delivered { "delivered" } else { "failed" };
        let Some((revision, status)) = last.get(id.as_str()) else {
            return Some(format!("no report of {id}"));
        };
        let most = if truth.how == "corrected" { 2 } else { 1 };
        let least = if truth.how == "corrected" && corrected_twice(truth) { 2 } else { 1 };
        if *status != expected || *revision > most || *revision < least {
            return Some(format!("{truth:?}: its report is {status}, revision {revision}"));
        }
        None
    })
}
