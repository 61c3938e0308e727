//! What every adapter and decorator of a port guarantees: one function for each guarantee, named as a sentence.
//!
//! A suite knows a port and a fixture, never an engine. To prove another adapter, write its fixture and hand it to the
//! suite's macro, which makes one test of each guarantee.

pub mod queue;

pub mod ledger;

pub mod topic;

pub mod callbacks;

pub mod watch;

pub mod catalog;

pub mod audit;

pub mod denials;
pub mod presence;

pub mod registry;

pub mod gate;

pub mod blobs;

pub mod table;

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

#[cfg(test)]
mod tests {
    /// A suite's macro, and the files with its guarantees.
    const SUITES: [(&str, &[&str]); 12] = [
        (include_str!("audit.rs"), &[include_str!("audit.rs")]),
        (include_str!("denials.rs"), &[include_str!("denials.rs")]),
        (include_str!("blobs.rs"), &[include_str!("blobs.rs")]),
        (include_str!("presence.rs"), &[include_str!("presence.rs")]),
        (
            include_str!("queue.rs"),
            &[
                include_str!("queue/aside.rs"),
                include_str!("queue/delivery.rs"),
                include_str!("queue/sharing.rs"),
            ],
        ),
        (include_str!("callbacks.rs"), &[include_str!("callbacks.rs")]),
        (include_str!("watch.rs"), &[include_str!("watch.rs")]),
        (include_str!("table.rs"), &[include_str!("table.rs"), include_str!("table/strange.rs")]),
        (include_str!("topic.rs"), &[include_str!("topic.rs")]),
        (include_str!("catalog.rs"), &[include_str!("catalog.rs")]),
        (include_str!("registry.rs"), &[include_str!("registry.rs")]),
        (
            include_str!("gate.rs"),
            &[
                include_str!("gate/keys.rs"),
                include_str!("gate/quotas.rs"),
                include_str!("gate/rates.rs"),
                include_str!("gate/waiting.rs"),
            ],
        ),
    ];

    #[test]
    fn every_guarantee_is_in_the_list_of_its_suite() {
        for (suite, files) in SUITES {
            let list = suite.split("$fixture,").nth(1).and_then(|rest| rest.split(");").next()).unwrap();
            let listed: Vec<&str> = list.split([',', '[', ']']).map(str::trim).collect();
            for file in files {
                let names =
                    file.split("pub async fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
                let names: Vec<&str> = names.collect();
                assert!(!names.is_empty());
                for name in names {
                    assert!(listed.contains(&name), "{name} is in no list, and never runs");
                }
            }
        }
    }
}
