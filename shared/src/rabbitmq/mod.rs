//! RabbitMQ, for the ports that stand upon it: connections that are kept, what is declared, publishing and consuming.
//!
//! Read in this order: `settings`, `link` (one connection, kept by a task), `topology` (what is declared, and how),
//! `publisher` (confirms), `hand` (what this process holds of a queue, pure), `inbox` (one queue's consumer), `browse` (what a person looks at), and
//! `broker`, which the adapters of the ports speak to.

mod settings;

mod trouble;

mod names;

mod dial;

mod link;

mod turn;

mod topology;

mod control;

mod confirms;

mod publisher;

mod hand;

mod consuming;

mod inbox;

mod browse;

mod broker;

pub use broker::Broker;
pub(crate) use broker::{ENVELOPE, properties};
pub(crate) use browse::{Browse, Held};
pub(crate) use confirms::Unconfirmed;
pub(crate) use hand::{Item, Mark, Standing};
pub(crate) use inbox::Inbox;
pub(crate) use names::{dead, later};
pub(crate) use publisher::Message;
pub use settings::{RabbitMqSettings, SettingsError};
pub(crate) use topology::Plan;
pub(crate) use trouble::Trouble;
