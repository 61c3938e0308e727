//! What a chain must say after it was put back from a copy.

use std::path::Path;

use serde_json::json;

use super::{Act, Anchor, AnchorKind, Chain, Head, Scribe, sqlite};
use crate::{
    catalog,
    domain::{Clock, SystemClock, Timestamp},
    ledger,
    sqlite::{DbError, backup::seal, connect, migrate},
};

/// Records in a file that is about to be put in place, and that nobody has open, that its copy was made at `made_at`. To be kept
/// once it is in place: an anchor that voids what earlier ones say beyond the copy, and one of the head as it is now.
///
/// # Errors
/// If the file cannot be opened or written.
pub fn mark_restored(
    path: &Path,
    chain: Chain,
    scribe: &Scribe,
    made_at: Timestamp,
) -> Result<[Anchor; 2], DbError> {
    let mut connection = connect(path)?;
    let schema = match chain {
        Chain::Catalog => catalog::SCHEMA,
        Chain::Ledger => ledger::MIGRATIONS,
    };
    migrate(&connection, schema)?;
    let change = connection.transaction()?;
    let now = SystemClock.now();
    let anchor = |kind| {
        let head = sqlite::head(&change, chain)?;
        let head = head.unwrap_or_else(|| Head { sequence: 0, hash: String::new() });
        Ok::<_, rusqlite::Error>(Anchor::new(&scribe.key, kind, chain, head, now))
    };
    let copy = anchor(AnchorKind::Restored)?;
    let act = Act::new("copy.restored", chain.as_str(), json!({ "made_at": made_at }));
    sqlite::append(&change, chain, scribe, &scribe.actor, vec![act])?;
    let head = anchor(AnchorKind::Head)?;
    change.commit()?;
    seal(connection)?;
    Ok([copy, head])
}
