//! The names of the gate's keys. All keys of one customer share a hash tag; what is everybody's has one of its own.

use std::sync::Arc;

use crate::{
    domain::{Account, ChannelName, Key, NonceMark, Quota},
    gate::ContentMark,
};

/// Names under one prefix, and this process's own name.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: Arc<str>,
    process: Arc<str>,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), process: format!("{:016x}", fastrand::u64(..)).into() }
    }

    /// This process among all: a name that no other has.
    pub(super) fn process(&self) -> &str {
        &self.process
    }

    pub(super) fn since(&self) -> String {
        format!("{}:{{gate}}:since", self.prefix)
    }

    pub(super) fn fronts(&self) -> String {
        format!("{}:{{gate}}:fronts", self.prefix)
    }

    pub(super) fn stamp(&self) -> String {
        format!("{}:{{gate}}:stamp", self.prefix)
    }

    pub(super) fn waiting(&self) -> String {
        format!("{}:{{gate}}:waiting", self.prefix)
    }

    pub(super) fn rates(&self, account: &Account) -> String {
        format!("{}:{{{}}}:rates:{}", self.prefix, account.customer, account.environment.as_str())
    }

    pub(super) fn quota(&self, quota: &Quota) -> String {
        let channel = quota.channel.as_ref().map_or("*", ChannelName::as_str);
        let name = format!("{}:{{{}}}:quota:{channel}", self.prefix, quota.customer);
        quota.own_period().map_or_else(|| name.clone(), |period| format!("{name}:{}", period.as_str()))
    }

    pub(super) fn content(&self, account: &Account, mark: ContentMark) -> String {
        let mark = data_encoding::HEXLOWER.encode(&mark.0);
        let environment = account.environment.as_str();
        format!("{}:{{{}}}:content:{environment}:{mark}", self.prefix, account.customer)
    }

    pub(super) fn key(&self, account: &Account, key: &Key) -> String {
        let environment = account.environment.as_str();
        format!("{}:{{{}}}:key:{environment}:{}", self.prefix, account.customer, key.as_str())
    }

    pub(super) fn nonce(&self, account: &Account, mark: NonceMark) -> String {
        let mark = data_encoding::HEXLOWER.encode(&mark.0);
        let environment = account.environment.as_str();
        format!("{}:{{{}}}:nonce:{environment}:{mark}", self.prefix, account.customer)
    }
}
