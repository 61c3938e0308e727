//! What every part of Naru shares: the domain, the ports with their adapters, and process plumbing.
//!
//! Read in this order: [`domain`] (words as types, pure), then the ports in the order a message meets them,
//! then the plumbing.

pub mod domain;

pub mod registry;

pub mod gate;

pub mod queue;

pub mod ledger;

pub mod outbox;

pub mod callbacks;

pub mod watch;

pub mod topic;

pub mod table;

pub mod blobs;

pub mod catalog;

pub mod audit;

pub mod denials;

pub mod engines;

pub mod ports;

pub mod release;

pub mod sqlite;

pub mod rabbitmq;

pub mod aws;

pub mod doorbell;

pub mod redis;

pub mod postgres;

pub mod pace;

pub mod causes;

pub mod hidden;

pub mod keys;

pub mod passwords;

pub mod presence;

pub mod signing;

pub mod sealing;

pub mod shared_secret;

pub mod notices;

pub mod key_file;

pub mod data_dir;

pub mod data_files;

pub mod telemetry;

pub mod metrics;

#[cfg(any(test, feature = "foreign"))]
#[expect(clippy::expect_used, reason = "a reader panics where something comes out that never may")]
pub mod foreign;
