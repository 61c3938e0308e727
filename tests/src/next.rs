//! The release after this one, as a roll-out meets it: it reads and can write one more version of envelopes, and needs one
//! more migration. `NARU_RELEASE=next` makes a `gateway` of it.

use naru_shared::{domain::EnvelopeFormat, release::Release};

/// The variable that names the release.
pub const RELEASE: &str = "NARU_RELEASE";

/// What its migration does: the tables on every message's way are changed, and a new one is made.
const TABLES: &str = include_str!("next/tables.sql");

/// The release after this one.
#[must_use]
pub fn release() -> Release {
    let now = Release::THIS;
    let format = EnvelopeFormat { version: version(), write, read };
    Release {
        formats: Box::leak([now.formats, &[format]].concat().into_boxed_slice()),
        migrations: Box::leak([now.migrations, &[TABLES]].concat().into_boxed_slice()),
    }
}

/// The version of envelopes that it adds.
#[must_use]
pub fn version() -> u32 {
    Release::THIS.formats.iter().map(|format| format.version).max().unwrap_or(0) + 1
}

/// What the version before writes, from its end to its beginning: nothing that only knows that version reads it.
fn write(out: &mut Vec<u8>, head: naru_shared::domain::PackHead<'_>, fragments: &[&[u8]]) {
    let begin = out.len();
    if let Some(before) = Release::THIS.formats.last() {
        (before.write)(out, head, fragments);
    }
    out[begin..].reverse();
}

fn read(content: &[u8]) -> Result<naru_shared::domain::Pack, naru_shared::domain::Malformed> {
    let before = Release::THIS.formats.last().ok_or("there is no version before")?;
    (before.read)(&content.iter().rev().copied().collect::<Vec<_>>())
}
