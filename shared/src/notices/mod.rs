//! Providers' delivery reports: how a call proves that it comes from the provider, and where in its body stands what became of
//! which message. Both are a route's configuration; ingress reads by it, and the command line writes it.

mod describe;
mod proof;
mod shape;

pub use describe::{Callback, InvalidCallback, NewProof, place};
pub use proof::{Call, Proof, Signed};
pub use shape::{Read, Shape, Unreadable};
pub(crate) use shape::{is_id, line};
