//! Black-box tests of Naru, in one binary.

mod conformance_ledger;
mod model_ledger;
