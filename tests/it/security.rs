//! What is tried at the front door, row by row of docs/security.md, over raw sockets against a running gateway.
//!
//! Each case has a name, which its failure tells. Of every refused call the room asks the same: a fixed document or an empty body, nothing of
//! the inside or of a secret in it, and no effect.

mod basic;
mod body;
mod framing;
mod headers;
mod index;
mod paths;
mod room;
mod size;
