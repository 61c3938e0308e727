//! The HTTP front of Naru: accepts and reads.
//!
//! Read in this order: [`server`](Ingress) binds and drains, `listener`, `arrival` and `connection` are what the HTTP library stands
//! on (`tls`, `proxy_protocol`, `wire`: what comes before the first head), `versions` is the URL table, `exchange` is what every call
//! goes through, `calls` has one file per call, `accept` is the way of a message up to the `publisher`, which packs what
//! comes at once and answers when the queue has confirmed. An accept never touches the ledger.

mod config;

mod server;

mod listener;

mod arrival;

mod proxy_protocol;

mod tls;

mod wire;

mod connection;

mod lines;

mod versions;

mod front;

mod exchange;

mod calls;

mod accept;

mod publisher;

mod attachments;

mod notices;

mod auth;

mod content_digest;

mod limits;

mod unread;

mod room;

mod strict_json;

mod whole;

mod problem;

mod answer;

mod rate_headers;

mod request_id;

mod traceparent;

mod openapi;

mod simulate;

mod advice;

mod denials;

mod guesses;

mod meters;

mod uses;

#[cfg(any(test, feature = "foreign"))]
#[expect(clippy::expect_used, reason = "a reader panics where something comes out that never may")]
pub mod foreign;

pub use config::{ForwardedBy, IngressConfig};
pub use openapi::{document as contract, listed as contract_codes};
pub use problem::table as problems;
pub use server::{Ingress, IngressDeps};
