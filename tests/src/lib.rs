//! Proves Naru from outside, as processes that talk to it over sockets.
//!
//! Read in this order: [`monotonic`] (one clock for all processes) and [`journal`] (what each side saw), then [`wire`] and
//! [`customer`] (who ask), [`receiver`] (who takes), [`checker`] (who judges); then [`load`] and [`bench`] (who measure).

pub mod monotonic;

pub mod journal;

pub mod wire;

pub mod customer;

pub mod receiver;

pub mod checker;

pub mod load;

pub mod bench;
