//! Black-box tests of Naru, in one binary.

mod conformance_catalog;
mod conformance_gate;
mod conformance_ledger;
mod conformance_queue;
mod conformance_registry;
mod conformance_topic;
mod durability;
#[cfg(test)]
mod model_ledger;
#[cfg(test)]
mod tidy;
