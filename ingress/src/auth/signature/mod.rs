//! Calls that are signed: HTTP Message Signatures (RFC 9421) with `hmac-sha256`.
//!
//! `input` reads what is said to be signed and refuses what needs no look-up to be refused, `components` and `base` put together what
//! must have been signed, `verify` asks whose secret it is and whether it signed that.

mod base;
mod components;
mod input;
#[cfg(test)]
mod tests;
mod verify;

pub use input::{Claim, is_signed};
pub use verify::Verifier;
