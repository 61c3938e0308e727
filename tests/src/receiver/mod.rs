//! What stands at the other end of an HTTP route.
//!
//! [`lean`] counts as cheaply as it can, for benchmarks; [`journal`] writes down every request and misbehaves by rule, for
//! proofs.

pub mod lean;
