//! The same over PostgreSQL, RabbitMQ and Redis: each figure beside the raw engine, in the same run on the same servers.
//!
//! [`suite`] is the whole; `site` the engines and the processes of Naru over them; `spent` who used how much CPU. The raw
//! engines ([`raw_rabbitmq`], [`raw_sqs`], [`raw_unnest`]) and the ledger asked by itself ([`intake`]) are processes of their own, as the
//! load generator and the receiver are. `finished` fills the archive. [`aws`] is a suite of its own, over an emulator.

pub mod aws;
mod beside_raw;
mod end_to_end;
mod finished;
pub mod intake;
pub mod raw_rabbitmq;
pub mod raw_sqs;
pub mod raw_unnest;
mod rows;
mod site;
mod spent;
pub mod suite;
