//! `naru audit verify`.

use std::path::PathBuf;

use anyhow::Context;
use naru_shared::audit::{Anchor, AnchorFile, Audit, AuditKey, Broken, NotAnAnchor, Verified, Verifier};
use serde::Serialize;

use crate::{desk::Desk, exit::Failure};

/// Links that are read at once.
const PAGE: usize = 1_000;

#[derive(Serialize)]
struct Judged {
    whole: bool,
    /// Chains that are.
    chains: Vec<Verified>,
    /// The first row that is not as it was written, of each other.
    broken: Vec<Broken>,
    /// Anchors that somebody forged or changed.
    anchors: Vec<String>,
    /// Lines that are no anchors: a machine that failed while it wrote leaves one.
    unreadable: Vec<String>,
}

/// What the files of anchors hold.
#[derive(Default)]
struct Lines {
    believed: Vec<Anchor>,
    forged: Vec<String>,
    unreadable: Vec<String>,
}

impl Judged {
    fn sentence(&self) -> String {
        let chain = |verified: &Verified| {
            let Verified { chain, records, anchored, restored, .. } = verified;
            let anchored = match anchored {
                0 => "not anchored".to_owned(),
                row => format!("anchored up to row {row}"),
            };
            let copies = match restored.last() {
                Some(at) => format!(
                    "; a copy was put in place at {at}: what was recorded beyond it went with what it replaced"
                ),
                None => String::new(),
            };
            format!("{chain}: {records} rows, whole, {anchored}{copies}")
        };
        let mut lines: Vec<String> = self.chains.iter().map(chain).collect();
        lines.extend(self.broken.iter().map(ToString::to_string));
        lines.extend(self.anchors.iter().chain(&self.unreadable).cloned());
        lines.join("\n")
    }
}

/// Walks along both chains.
///
/// # Errors
/// [`Failure::Refused`] if either is not whole, or an anchor is forged; if the secrets are not the deployment's; if a file of
/// anchors that was named cannot be read.
pub(super) async fn run(files: &[PathBuf], desk: &Desk) -> anyhow::Result<()> {
    let key = desk.own_keyring().await?.audit();
    // Before the chains: an act that is anchored meanwhile is in its chain already.
    let Lines { believed, forged, unreadable } = anchors(files, desk, &key)?;
    let (chains, broken) = (Vec::new(), Vec::new());
    let mut judged = Judged { whole: true, chains, broken, anchors: forged, unreadable };
    for audit in desk.audits()? {
        match walk(audit.as_ref(), &key, &believed).await? {
            Ok(verified) => judged.chains.push(verified),
            Err(broken) => judged.broken.push(broken),
        }
    }
    judged.whole = judged.broken.is_empty() && judged.anchors.is_empty();
    desk.out.said(&judged, &judged.sentence())?;
    if judged.whole {
        return Ok(());
    }
    let rows = judged.broken.iter().map(|broken| format!("{} row {}", broken.chain, broken.row));
    let rows: Vec<String> = rows.collect();
    let what = if rows.is_empty() { "the anchors".to_owned() } else { rows.join(", ") };
    Err(Failure::Refused(format!("the record of acts is not as it was written: {what}")).into())
}

async fn walk(
    audit: &dyn Audit,
    key: &AuditKey,
    anchors: &[Anchor],
) -> anyhow::Result<Result<Verified, Broken>> {
    let mut verifier = Verifier::new(key, audit.chain(), anchors);
    let mut after = i64::MIN;
    loop {
        let page = audit.links(after, PAGE).await?;
        for link in &page {
            after = link.sequence;
            if let Err(broken) = verifier.take(link) {
                return Ok(Err(broken));
            }
        }
        if page.len() < PAGE {
            return Ok(verifier.end());
        }
    }
}

/// Every anchor that can be believed, and a sentence for each line that cannot.
fn anchors(files: &[PathBuf], desk: &Desk, key: &AuditKey) -> anyhow::Result<Lines> {
    let named = files.iter().map(|path| -> anyhow::Result<AnchorFile> {
        path.metadata().with_context(|| format!("the anchors in {} cannot be read", path.display()))?;
        Ok(AnchorFile::at(path.clone()))
    });
    let mut places = named.collect::<anyhow::Result<Vec<_>>>()?;
    places.extend(desk.anchor_file());
    let mut found = Lines::default();
    for place in places {
        let path = place.path().display();
        let lines = place.read(key).with_context(|| format!("the anchors in {path} cannot be read"))?;
        for (number, line) in lines {
            match line {
                Ok(anchor) => found.believed.push(anchor),
                Err(why @ NotAnAnchor::Forged) => {
                    found.forged.push(format!("{path}, line {number}: {why}"));
                }
                Err(why @ NotAnAnchor::Unreadable) => {
                    found.unreadable.push(format!("{path}, line {number}: {why}"));
                }
            }
        }
    }
    Ok(found)
}
