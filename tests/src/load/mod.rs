//! The load generator: many keep-alive connections on one thread, requests built beforehand, the least parsing.
//!
//! It must cost far less than what it measures: one read and one write for a call, no allocation, no task.
//! Without a rate it is a closed loop (each connection calls again at once); with a rate it keeps to a timetable, and
//! a call that had to wait for a free connection counts from its time in the timetable, so that a stalled server
//! cannot hide its delay (*coordinated omission*).

mod connection;
mod driver;
mod request;
mod summary;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use connection::Connection;
pub use driver::run;
pub use request::{Call, STAMP, STAMP_DIGITS, stamp_of};
pub use summary::{Percentiles, Summary};
pub use tls::trusting;

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub target: SocketAddr,
    /// Speak TLS, and with whom.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Calls to make, in turn.
    pub calls: Vec<Call>,
    /// Keep-alive connections.
    pub connections: usize,
    /// Calls a second, or as many as the server answers.
    pub rate: Option<f64>,
    /// How long to call before measuring.
    pub warm_up: Duration,
    /// How long to measure.
    pub duration: Duration,
    /// End after this many calls, whatever time is left.
    pub limit: Option<u64>,
}
