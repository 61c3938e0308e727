//! The operator's verbs, one file for each noun. They work while processes run and while none does; what they change is
//! in force within a second.

pub mod alarm;
pub mod audit;
pub mod backup;
pub mod check;
pub mod config;
pub mod credential;
pub mod customer;
pub mod dead;
pub mod erase;
pub mod health;
pub mod infra;
pub mod keys;
pub mod message;
pub mod migrate;
pub mod opt_out;
pub mod quarantine;
pub mod quiet;
pub mod quota;
pub mod rate;
pub mod route;
pub mod sender;
pub mod slack;
pub mod status;
pub mod stop;
pub mod subscription;
pub mod uncertain;
pub mod usage;
pub mod webhook;
