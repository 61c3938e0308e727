//! Real engines of a test's own: servers on free loopback ports, in a directory of their own, ended by their ids.
//!
//! A server outlives nothing: beside each stands a `keeper` that ends it and removes its directory when whoever started
//! it has gone, by whatever end. A program that is missing is an error that names its package, never a skip.

mod authority;
mod aws;
mod keeper;
mod mariadb;
mod on_rabbitmq;
mod on_sqs;
mod postgres;
mod rabbitmq;
mod redis;
mod redis_fixture;
mod server;

pub use self::authority::{certify, certify_client};
pub use self::aws::{AwsEmulator, Flavour, REGION};
pub use self::mariadb::MariaDb;
pub use self::on_sqs::{OnSqs, fresh_namespace, sqs_queue, sqs_settings};
pub use self::redis_fixture::{redis_known_for_long, shared_redis, until};
pub(crate) use self::{
    keeper::Keeper,
    server::{Server, free_port, program},
};
pub use self::{on_rabbitmq::OnRabbitMq, postgres::Postgres, rabbitmq::RabbitMq, redis::Redis, server::Stop};
