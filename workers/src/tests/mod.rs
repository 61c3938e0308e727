//! Tests of the crate as a whole: real engines in a directory of their own, a real HTTP server.

mod callbacks;
mod faults;
mod faulty;
pub(crate) mod http;
mod messages;
mod recovery;
mod site;
