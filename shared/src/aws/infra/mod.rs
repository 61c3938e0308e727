//! What a deployment needs on AWS: what there shall be ([`plan`]), what there is ([`look`]), how the two differ
//! ([`diff`]) and how it is made so ([`apply`]).
//!
//! Only attributes that Naru owns are compared and set; whatever else an operator sets stays as it is. Nothing is ever
//! deleted: what nothing implies is told.

pub mod apply;
pub mod bucket;
pub mod diff;
pub mod look;
pub mod plan;
pub mod resource;
mod unmake;

mod engine;

pub use engine::Infra;
