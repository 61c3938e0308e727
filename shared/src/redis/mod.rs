//! What the adapters on Redis share: how to reach it, and one connection that is kept up.
//!
//! A call over a [`Link`] never waits longer than it says. After a failure nothing is sent any more: callers are answered
//! [`LinkError::Away`] at once, and a loop in the background tries, with back-off, until Redis answers again.

mod bell;
mod link;
mod settings;

pub use link::{Link, LinkError};
pub use settings::{RedisSettings, SettingsError};
