//! The workers of Naru: what takes messages from the queue, through the ledger, to a backend and back.
//!
//! Logic is plain `async fn`s on the engines' runtime; a shell (an actix actor) owns each loop and begins it anew when it
//! panics or stands still. In the order in which a message meets them:

mod config;
mod start;

mod crew;
mod roster;
mod shell;

mod intake;

mod courier;

mod backend;

mod collector;
mod outcome;

mod herald;
mod relay;

mod callbacks;

mod slack;

mod alarms;
mod anchors;
mod observer;
mod sweeper;

mod heartbeat;
mod incarnation;

mod bisect;
mod patience;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "foreign"))]
#[expect(clippy::expect_used, reason = "a reader panics where something comes out that never may")]
pub mod foreign;

pub use backend::{
    BEHAVIOURS, Backend, BackendError, BackendFactory, Behaviour, Description, ProviderError, Report,
    Reports, ReportsError, StandardBackends, TemplateError, check_provider, check_sealed_provider,
    described_provider, may_connect,
};
pub use callbacks::{Answered, Caller, Post, SUBSCRIPTION, TargetError, may_call};
pub use config::{ConfigError, WorkersConfig};
pub use courier::Attachment;
pub use slack::{
    InvalidSlackConfig, Rule, SLACK, Severity, Slack, SlackConfig, SlackUrl, test as test_slack,
    told as told_by_slack,
};
pub use start::{StartError, Workers, WorkersDeps};
