//! What every adapter and decorator of a port guarantees: one function for each guarantee, named as a sentence.
//!
//! A suite knows a port and a fixture, never an engine. To prove another adapter, write its fixture and hand it to the
//! suite's macro, which makes one test of each guarantee.

pub mod queue;

pub mod ledger;

pub mod topic;

pub mod catalog;

pub mod registry;

pub mod gate;

mod samples;
mod times;

/// How long one guarantee may take to be proved.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// One test of each guarantee of a suite, each with a fresh fixture.
#[macro_export]
macro_rules! guarantees {
    ($suite:path, $fixture:ty, [$($guarantee:ident),* $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $guarantee() -> anyhow::Result<()> {
                use $suite as suite;
                let mut fixture = <$fixture as suite::Fixture>::fresh().await?;
                tokio::time::timeout($crate::conformance::PATIENCE, suite::$guarantee(&mut fixture)).await?
            }
        )*
    };
}
