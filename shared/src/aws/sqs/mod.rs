//! SQS, for the ports that stand upon it: queues that are found or made, batches looked at entry by entry, and receiving
//! that asks as often as there is something and hardly ever while there is nothing.
//!
//! Read in this order: `trouble` (what a failure says about what was written), `calls` (one request, bounded and counted),
//! `address` (one queue: where it is), `batch` (ten entries at once), `letter` (what is sent), `rhythm` (when to ask, pure),
//! `flow` (how many at once, pure), `hand` (what this process holds, pure), `over` (what becomes of it), `receiving` (the requests that bring it), and
//! `end`, which the adapters of the ports speak to. `browse` is for a person who looks at what was set aside.

mod trouble;

mod calls;

mod address;

mod batch;

mod letter;

mod rhythm;

mod flow;

mod hand;

mod over;

mod receiving;

mod end;

mod browse;

mod settings;

pub(crate) use address::{Address, Plan, Sort};
pub use calls::Sqs;
pub(crate) use end::{End, Receiving, receive};
pub(crate) use hand::Item;
pub(crate) use letter::{AROUND, LARGEST, Letter};
pub use rhythm::Rhythm;
pub use settings::SqsSettings;
pub(crate) use trouble::SqsTrouble;
