//! The versions of envelopes: one table, and for each version how its content is written and read.
//!
//! A release reads every version of its table and writes the one that it is told to; unless it is told, one that the
//! release before it reads too, since both run side by side during a roll-out. So a version is in the table for one release
//! at the least before it is what [`WRITTEN`] says.

use std::error::Error;

use super::{Account, Lane, Pack, RouteName};

/// The version that is written unless another is asked for: the newest that the release before this one reads.
pub const WRITTEN: u32 = 1;

/// The versions that this release knows, the oldest first.
pub const FORMATS: &[EnvelopeFormat] =
    &[EnvelopeFormat { version: 1, write: write_json, read: |content| Ok(serde_json::from_slice(content)?) }];

/// What the messages of a pack have in common, as it is written.
#[derive(Debug, Clone, Copy)]
pub struct PackHead<'a> {
    /// Whose.
    pub account: &'a Account,
    /// Where they go.
    pub route: &'a RouteName,
    /// How soon.
    pub lane: Lane,
}

/// Why a content is not a pack.
pub type Malformed = Box<dyn Error + Send + Sync>;

/// One version: how its content is written and read. What stands before the content is the same in all.
#[derive(Debug, Clone, Copy)]
pub struct EnvelopeFormat {
    /// Its number.
    pub version: u32,
    /// Appends the content of a pack of these messages, each written already
    /// ([`PackEncoder::fragment`](super::PackEncoder::fragment)).
    pub write: fn(&mut Vec<u8>, PackHead<'_>, &[&[u8]]),
    /// Reads it back.
    pub read: fn(&[u8]) -> Result<Pack, Malformed>,
}

/// Version 1: the pack as JSON.
fn write_json(out: &mut Vec<u8>, head: PackHead<'_>, fragments: &[&[u8]]) {
    // Names hold only plain characters: no escaping is needed.
    out.extend_from_slice(
        format!(
            r#"{{"customer":"{}","environment":"{}","route":"{}","lane":"{}","messages":["#,
            head.account.customer,
            head.account.environment.as_str(),
            head.route,
            head.lane.as_str()
        )
        .as_bytes(),
    );
    out.reserve(fragments.iter().map(|fragment| fragment.len() + 1).sum::<usize>() + 2);
    for (index, fragment) in fragments.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(fragment);
    }
    out.extend_from_slice(b"]}");
}
