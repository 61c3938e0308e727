//! `naru audit`: what was done by whom, whether that record is whole, and what was denied.

mod denials;
mod list;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;
use naru_shared::{
    audit::{Anchor, AnchorKind},
    domain::Timestamp,
};

use crate::{desk::Desk, output::print};

/// What can be asked of the record.
#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Acts, oldest first: the latest of those that match
    List(list::ListArgs),
    /// Whether no row was edited, deleted, moved or cut off; names the first that was
    Verify {
        /// A file of anchors that was kept elsewhere (several times)
        #[arg(long = "anchor", value_name = "FILE")]
        anchors: Vec<PathBuf>,
    },
    /// Print the signed heads of the record, to be kept elsewhere
    Anchor,
    /// Calls that were denied, by minute, customer and code, the latest first
    Denials(denials::DenialArgs),
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: AuditVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        AuditVerb::List(args) => list::run(args, desk).await,
        AuditVerb::Verify { anchors } => verify::run(&anchors, desk).await,
        AuditVerb::Anchor => {
            for anchor in heads(desk, AnchorKind::Head, desk.now()).await? {
                print(&anchor.line())?;
            }
            Ok(())
        }
        AuditVerb::Denials(args) => denials::run(args, desk).await,
    }
}

/// The signed heads of both chains, as far as they have any.
///
/// # Errors
/// If the secrets are not the deployment's, or a chain does not answer.
pub async fn heads(desk: &Desk, kind: AnchorKind, now: Timestamp) -> anyhow::Result<Vec<Anchor>> {
    let key = desk.own_keyring().await?.audit();
    let mut anchors = Vec::new();
    for audit in desk.audits()? {
        let head = audit.head().await?;
        anchors.extend(head.map(|head| Anchor::new(&key, kind, audit.chain(), head, now)));
    }
    Ok(anchors)
}
