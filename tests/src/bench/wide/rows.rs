//! The messages that are inserted, raw and by the ledger: those that the load generator sends.

use std::sync::Arc;

use naru_shared::{
    domain::{
        Account, Content, CustomerId, Day, Environment, Fingerprint, Lane, Message, MessageId, SystemClock,
        TimeZone, Units,
    },
    domain::{Clock, Timestamp},
    ledger::{Disposition, IntakeEntry},
};

use crate::load::Call;

/// Whose they are.
pub(super) const CUSTOMER: &str = "measured";

/// A message of the load generator with a new id: the time first, then the counter.
pub(super) fn message(number: u64, now: Timestamp) -> anyhow::Result<Message> {
    let index = usize::try_from(number % 1_000_000)?;
    let content: Content = serde_json::from_value(Call::message("sms", index))?;
    let time = u128::from(now.as_millis().unsigned_abs()) << 80;
    Ok(Message {
        id: MessageId::from_bytes((time | u128::from(number)).to_be_bytes()),
        key: None,
        fingerprint: Fingerprint::of(&content, Lane::Express),
        units: Units::ONE,
        accepted_at: now,
        traceparent: None,
        again: None,
        content,
    })
}

/// So many of them as intake records them, to be left waiting.
pub(super) fn entries(from: u64, count: u64) -> anyhow::Result<Vec<IntakeEntry>> {
    let now = SystemClock.now();
    let customer: CustomerId = CUSTOMER.parse()?;
    let account = Account { customer, environment: Environment::Live };
    let entry = |number| {
        Ok(IntakeEntry {
            account: account.clone(),
            route: "nowhere".parse()?,
            lane: Lane::Express,
            day: Day::of(now, &TimeZone::UTC),
            disposition: Disposition::Ready,
            class: None,
            quiet: std::time::Duration::ZERO,
            message: Arc::new(message(number, now)?),
        })
    };
    (from..from + count).map(entry).collect()
}
