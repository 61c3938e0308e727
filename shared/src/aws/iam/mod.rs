//! What each process must be allowed on AWS, and nothing else: identity policies by the calls that each makes.

mod policy;
mod statements;

pub use policy::{Policy, Statement};
pub use statements::{Objects, Process, Queues, Uses, policy};
