//! The binary `naru`: it runs the gateway, and it is the operator's hand.
//!
//! Read in this order: [`args`] (what can be typed), `run` (which part does it), `up` and `service` (processes that serve),
//! then [`verbs`], one file for each noun. The rest is what these are made of.

pub mod args;

mod run;

mod up;

mod service;

pub mod decorations;

mod place;

mod fingerprint;

mod beginning;

mod stop;

mod operator;

mod disk;

mod first_start;

pub mod verbs;

mod desk;

mod infra;

pub mod config;

pub mod exit;

mod output;

mod secrets;

mod token_keys;

mod units;

pub use run::main;
