//! What stands at the other end of an HTTP route.
//!
//! [`lean`] counts as cheaply as it can, for benchmarks; [`journaling`] writes down every request and misbehaves as
//! [`answer`] draws, for proofs; [`hook`] stands where a webhook leads.

pub mod answer;
pub mod hook;
pub mod journaling;
pub mod lean;
