//! What the adapters for AWS share: where it is, as whom it is called, how long it may take, and what everything is called.
//!
//! Region and credentials come from where every AWS client takes them (variables, profiles, the container's or the machine's
//! role), at the first call and not at the start: a process starts while they are away.

mod account;
mod call;
mod client;
mod names;
mod settings;

pub mod sqs;

pub mod infra;

pub mod iam;

pub use account::{AwsAccount, InvalidAccount};
pub use call::AwsTrouble;
pub(crate) use call::call;
pub use client::Aws;
pub use names::AwsNames;
pub use settings::{AwsNamespace, AwsSettings, InvalidAwsSettings};
