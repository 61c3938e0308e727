//! Proves Naru from outside: what every adapter of a port guarantees, faults, journals, benchmarks.

pub mod conformance;
