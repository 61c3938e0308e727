//! One file per call of version 1.0.

pub mod accepted;
pub mod attachment;
pub mod batch;
mod batch_body;
mod batch_result;
pub mod callback;
pub mod cancel;
pub mod message;
pub mod problem_page;
mod query;
pub mod quota;
mod reading;
pub mod report_ack;
pub mod reports;
pub mod status;
pub mod token;
