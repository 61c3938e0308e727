//! The way of a message up to its publish: parse and validate (`draft`), route, backlog, sender, cost (`units`), key,
//! repetition (`repeats`) and quota (`admit`), what is held meanwhile (`claim`); and the same without any effect (`rehearse`).

mod admit;
mod claim;
mod draft;
pub mod key_header;
mod rehearse;
mod repeats;
mod units;
mod wish;

pub use admit::{Admission, admit, undo};
pub use claim::{Claim, Held, Undo};
pub use draft::{Draft, Place, Plain, key, malformed, parse, parse_bytes};
pub use rehearse::{Rehearsal, rehearse};
pub use repeats::ContentMarker;
