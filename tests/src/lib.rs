//! Proves Naru: what every adapter of a port guarantees.

pub mod conformance;
