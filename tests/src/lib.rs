//! Proves Naru from outside, as processes that talk to it over sockets.
//!
//! Read in this order: [`monotonic`] (one clock for all processes), [`load`] (asks), [`receiver`] (takes), then
//! [`bench`] (measures).

pub mod monotonic;

pub mod load;

pub mod receiver;

pub mod bench;
