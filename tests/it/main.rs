//! Black-box tests of Naru, in one binary.

#[cfg(test)]
mod conformance_audit;
mod conformance_blobs;
#[cfg(test)]
mod conformance_callbacks;
mod conformance_catalog;
#[cfg(test)]
mod conformance_catalog_postgres;
mod conformance_gate;
mod conformance_ledger;
#[cfg(test)]
mod conformance_ledger_postgres;
mod conformance_queue;
mod conformance_registry;
#[cfg(test)]
mod conformance_table;
mod conformance_topic;
#[cfg(test)]
mod conformance_watch;

#[cfg(test)]
mod api;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod aws_proxy;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod blobs;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod compose;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod counts;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod deployment;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod doorbell;
#[cfg(test)]
mod doubt;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod drain_load;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod durability_wide;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod forget;
#[cfg(test)]
mod full;
#[cfg(test)]
mod gate_redis;
#[cfg(test)]
mod guessing;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod infra;
#[cfg(test)]
mod integrate;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod ledger_postgres;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod listener;
#[cfg(test)]
mod mending;
#[cfg(test)]
mod model_ledger;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod outside;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod rabbitmq;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod rollout;
#[cfg(test)]
mod security;
#[cfg(test)]
mod seeing;
#[cfg(test)]
mod signing;
#[cfg(test)]
mod slack;
#[cfg(test)]
mod sns;
#[cfg(test)]
mod sqs;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod time;
#[cfg(test)]
mod timing;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod trade;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod ways;
#[cfg(test)]
mod webhooks;
#[cfg(test)]
mod wide;
