//! The HTTP front over real sockets and the embedded engines.

mod accept;
mod auth;
mod batch;
mod doubt;
mod drain;
mod faulty;
mod gateway;
mod limits;
mod reads;
mod wire;
