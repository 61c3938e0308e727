//! Documents to prove things with.

use naru_shared::{
    catalog::{Entry, Subscription},
    domain::{
        Access, Assignment, BackendConfig, Credential, CredentialKind, Customer, Environment, KeyMaterial,
        Period, PublicKey, Quota, Route, SecretHash, SimulatorBackend, Timestamp, TokenAlgorithm, TokenKey,
        Webhook, WebhookState, WhyDisabled,
    },
};

pub(super) fn customer(id: &str, title: &str, version: u64) -> anyhow::Result<Entry> {
    Ok(Entry::Customer(Customer {
        title: title.to_owned(),
        weight: 3,
        version,
        ..Customer::new(id.parse()?)
    }))
}

pub(super) fn credential(id: &str, customer: &str, revoked: bool, version: u64) -> anyhow::Result<Entry> {
    Ok(Entry::Credential(Credential {
        id: id.parse()?,
        customer: customer.parse()?,
        environment: Environment::Live,
        kind: CredentialKind::Basic { secret: SecretHash([7; 32]), password: None },
        access: Access::default(),
        created_at: Timestamp::from_millis(1),
        revoked_at: revoked.then(|| Timestamp::from_millis(2)),
        version,
    }))
}

/// A credential that proves itself by tokens, with a key of each material.
pub(super) fn signer(id: &str, customer: &str, version: u64) -> anyhow::Result<Entry> {
    let added_at = Timestamp::from_millis(3);
    let public = KeyMaterial::Public(PublicKey::new(&[0x30, 0, 0xff]));
    let sealed = KeyMaterial::Sealed("v1.c2VhbGVk".to_owned());
    let keys = vec![
        TokenKey { kid: "2026/a".parse()?, alg: TokenAlgorithm::EdDsa, material: public, added_at },
        TokenKey { kid: "b".parse()?, alg: TokenAlgorithm::Hs256, material: sealed, added_at },
    ];
    match credential(id, customer, false, version)? {
        Entry::Credential(basic) => {
            Ok(Entry::Credential(Credential { kind: CredentialKind::Jwt { keys }, ..basic }))
        }
        other => Ok(other),
    }
}

pub(super) fn route(name: &str, concurrency: u32, version: u64) -> anyhow::Result<Entry> {
    let backend = BackendConfig::Simulator(SimulatorBackend {});
    let route = Route::new(name.parse()?, Environment::Live, backend);
    Ok(Entry::Route(Route { concurrency, version, ..route }))
}

pub(super) fn assignment(
    customer: &str,
    channel: Option<&str>,
    route: &str,
    version: u64,
) -> anyhow::Result<Entry> {
    let channel = channel.map(str::parse).transpose()?;
    Ok(Entry::Assignment(Assignment { customer: customer.parse()?, channel, route: route.parse()?, version }))
}

pub(super) fn quota_of(
    customer: &str,
    channel: Option<&str>,
    period: Period,
    limit: u64,
) -> anyhow::Result<Quota> {
    let channel = channel.map(str::parse).transpose()?;
    Ok(Quota::new(customer.parse()?, channel, period, limit))
}

pub(super) fn quota(
    customer: &str,
    channel: Option<&str>,
    limit: u64,
    version: u64,
) -> anyhow::Result<Entry> {
    Ok(Entry::Quota(quota_of(customer, channel, Period::Month, limit)?).at_version(version))
}

pub(super) fn subscription(name: &str, ended: bool, version: u64) -> anyhow::Result<Entry> {
    Ok(Entry::Subscription(Subscription { name: name.parse()?, ended, outside: false, version }))
}

pub(super) fn webhook(customer: &str, name: &str, version: u64) -> anyhow::Result<Entry> {
    Ok(Entry::Webhook(Webhook {
        name: name.parse()?,
        customer: customer.parse()?,
        environment: Environment::Sandbox,
        url: "https://acme.example/".to_owned(),
        kinds: vec!["failed".parse()?],
        generation: 3,
        older_until: Some(Timestamp::from_millis(3)),
        state: WebhookState::Disabled,
        why: Some(WhyDisabled::Gone),
        since: Timestamp::from_millis(2),
        allow_networks: vec!["127.0.0.0/8".parse()?],
        created_at: Timestamp::from_millis(1),
        version,
    }))
}
