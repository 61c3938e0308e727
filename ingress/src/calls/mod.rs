//! One file per call of version 1.0.

pub mod accepted;
pub mod attachment;
pub mod batch;
pub mod batch_body;
pub mod batch_result;
pub mod callback;
pub mod cancel;
pub mod contract;
pub mod docs;
pub mod message;
pub mod problem_page;
pub mod query;
pub mod quota;
mod reading;
pub mod report_ack;
pub mod reports;
pub mod status;
pub mod token;
