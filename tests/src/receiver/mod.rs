//! What stands at the other end of an HTTP route.
//!
//! [`lean`] counts as cheaply as it can, for benchmarks; [`journaling`] writes down every request and misbehaves as
//! [`answer`] draws, for proofs.

pub mod answer;
pub mod journaling;
pub mod lean;
