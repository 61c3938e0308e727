//! `naru audit list`.

use std::collections::VecDeque;

use clap::Args;
use naru_shared::{
    audit::{Audit, Chain, Link, Record},
    domain::Timestamp,
};
use serde::Serialize;
use serde_json::Value;

use crate::desk::Desk;

/// Links that are read at once.
const PAGE: usize = 1_000;

/// Which acts.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Done then or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Of targets that begin so: `catalog/route/carrier`, `stop/`, …
    #[arg(long, value_name = "TEXT")]
    target: Option<String>,
    /// Of kinds that begin so: `route.`, `credential.revoked`, …
    #[arg(long, value_name = "TEXT")]
    what: Option<String>,
    /// By whom
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// At the most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
}

impl ListArgs {
    fn is_meant(&self, act: &Shown) -> bool {
        self.since.is_none_or(|since| act.at >= since)
            && self.target.as_ref().is_none_or(|target| act.target.starts_with(target.as_str()))
            && self.what.as_ref().is_none_or(|what| act.what.starts_with(what.as_str()))
            && self.who.as_ref().is_none_or(|who| act.who == *who)
    }
}

#[derive(Serialize)]
struct Shown {
    chain: Chain,
    row: i64,
    at: Timestamp,
    who: String,
    what: String,
    target: String,
    detail: Value,
}

impl Shown {
    /// What cannot be read is shown as such: somebody wrote it who is not Naru, and `verify` says so.
    fn of(chain: Chain, link: &Link) -> Self {
        let (row, at) = (link.sequence, link.at);
        match serde_json::from_str::<Record>(&link.record) {
            Ok(record) => {
                let who = record.who().to_owned();
                let Record { what, target, detail, .. } = record;
                Self { chain, row, at, who, what, target, detail }
            }
            Err(_) => {
                let text = String::new;
                Self {
                    chain,
                    row,
                    at,
                    who: text(),
                    what: "(unreadable)".to_owned(),
                    target: text(),
                    detail: Value::Null,
                }
            }
        }
    }
}

/// Shows the latest that match. Nothing is verified on the way.
///
/// # Errors
/// If a chain does not answer.
pub(super) async fn run(args: ListArgs, desk: &Desk) -> anyhow::Result<()> {
    let limit = usize::from(args.limit);
    let mut all = Vec::new();
    for audit in desk.audits()? {
        all.extend(latest(audit.as_ref(), &args, limit).await?);
    }
    all.sort_by_key(|act| (act.at, act.chain, act.row));
    let from = all.len().saturating_sub(limit);
    desk.out.rows(&all[from..], &["at", "chain", "row", "who", "what", "target", "detail"], |act| {
        vec![
            act.at.to_string(),
            act.chain.to_string(),
            act.row.to_string(),
            act.who.clone(),
            act.what.clone(),
            act.target.clone(),
            short(&act.detail),
        ]
    })
}

async fn latest(audit: &dyn Audit, args: &ListArgs, limit: usize) -> anyhow::Result<VecDeque<Shown>> {
    let (mut found, mut after) = (VecDeque::with_capacity(limit.min(PAGE)), i64::MIN);
    loop {
        let page = audit.links(after, PAGE).await?;
        for link in &page {
            after = link.sequence;
            let act = Shown::of(audit.chain(), link);
            if args.is_meant(&act) {
                found.push_back(act);
            }
            if found.len() > limit {
                found.pop_front();
            }
        }
        if page.len() < PAGE {
            return Ok(found);
        }
    }
}

/// What fits beside the others; `--json` shows all.
fn short(detail: &Value) -> String {
    const WIDTH: usize = 60;
    let text = if detail.is_null() { String::new() } else { detail.to_string() };
    if text.chars().count() <= WIDTH { text } else { text.chars().take(WIDTH - 1).chain(['…']).collect() }
}
