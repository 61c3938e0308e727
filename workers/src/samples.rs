//! Values for tests.

use naru_shared::domain::{
    Account, BackendConfig, Content, Environment, Fingerprint, Lane, Message, MessageId, Period, Quota,
    Route, SimulatorBackend, Timestamp, Units,
};

pub(crate) fn account() -> Account {
    Account { customer: "acme".parse().unwrap(), environment: Environment::Live }
}

pub(crate) fn route(name: &str) -> Route {
    let backend = BackendConfig::Simulator(SimulatorBackend::default());
    Route {
        concurrency: 8,
        attempt_timeout_ms: 1_000,
        max_attempts: 5,
        version: 1,
        ..Route::new(name.parse().unwrap(), Environment::Live, backend)
    }
}

pub(crate) fn message(number: u8, recipient: &str) -> Message {
    let content = Content {
        channel: "sms".parse().unwrap(),
        recipient: recipient.to_owned(),
        sender: None,
        subject: None,
        body: "hello".to_owned(),
        attachments: Vec::new(),
        data: serde_json::Map::new(),
        reference: None,
        send_at: None,
        ttl: None,
        simulate: None,
    };
    Message {
        id: MessageId::from_bytes([number; 16]),
        key: None,
        fingerprint: Fingerprint::of(&content, Lane::Express),
        units: Units::ONE,
        accepted_at: Timestamp::from_millis(1_000_000),
        traceparent: None,
        again: None,
        content,
    }
}

pub(crate) fn quota(limit: u64) -> Quota {
    Quota { version: 1, ..Quota::new(account().customer, None, Period::Month, limit) }
}
