//! Faults and sabotage, laid around the ports and backends of a real gateway as decorators; the product has no switch for
//! them.
//!
//! `NARU_FAULT=WINDOW:N` kills the process at the N-th passage of a window. `NARU_SABOTAGE=KIND` breaks a promise on
//! purpose: the checker must see it.

mod backends;
mod fuse;
mod ledger;
mod outbox;
mod queue;
mod registry;
mod sabotage;
mod subscriber;

use std::{env, path::PathBuf, sync::Arc};

use anyhow::Context;
pub use fuse::{Fuse, Window};
use naru_cli::decorations::Decorations;
use naru_shared::{domain::SubscriptionName, ports::Ports, release::Release};
use naru_workers::BackendFactory;
use sabotage::Sabotage;

use crate::next;

/// The variable that names a window and a number.
pub const FAULT: &str = "NARU_FAULT";
/// The variable that names a sabotage.
pub const SABOTAGE: &str = "NARU_SABOTAGE";
/// The variable that names a subscription and the journal that its events go to: `NAME=FILE`.
pub const SUBSCRIBER: &str = "NARU_SUBSCRIBER";

/// What the environment asks for.
///
/// # Errors
/// If it asks for what does not exist.
pub fn from_environment() -> anyhow::Result<Decorations> {
    let fuse = env::var(FAULT).ok().map(|text| text.parse::<Fuse>()).transpose()?.map(Arc::new);
    let sabotage = env::var(SABOTAGE).ok().map(|text| Sabotage::named(&text)).transpose()?;
    let subscriber = env::var(SUBSCRIBER).ok().map(|text| named(&text)).transpose()?;
    let release = match env::var(next::RELEASE).ok().as_deref() {
        None => Release::THIS,
        Some("next") => next::release(),
        Some(other) => anyhow::bail!("there is no release `{other}`"),
    };
    let (for_ports, for_backends) = (fuse.clone(), fuse);
    Ok(Decorations {
        release,
        variables: &[FAULT, SABOTAGE, SUBSCRIBER, next::RELEASE],
        ports: Box::new(move |ports| {
            let ports = fused(ports, for_ports);
            match sabotage {
                Some(sabotage) => sabotage.around(ports),
                None => ports,
            }
        }),
        backends: Box::new(move |inner| match for_backends {
            Some(fuse) => Arc::new(backends::Fused::new(inner, fuse)) as Arc<dyn BackendFactory>,
            None => inner,
        }),
        started: Box::new(move |ports, runtime| {
            if let Some((name, journal)) = subscriber {
                // Only who has the topic can be a subscriber; a front of its own has none.
                if let Some(behind) = &ports.behind {
                    runtime.spawn(subscriber::follow(Arc::clone(&behind.topic), name, journal));
                }
            }
        }),
    })
}

fn named(text: &str) -> anyhow::Result<(SubscriptionName, PathBuf)> {
    let (name, file) = text.split_once('=').context("a subscriber is NAME=FILE")?;
    Ok((name.parse()?, PathBuf::from(file)))
}

fn fused(mut ports: Ports, fuse: Option<Arc<Fuse>>) -> Ports {
    if let Some(fuse) = fuse {
        ports.queue = Arc::new(queue::Fused { inner: ports.queue, fuse: Arc::clone(&fuse) });
        if let Some(behind) = &mut ports.behind {
            let (ledger, outbox) = (Arc::clone(&behind.ledger), Arc::clone(&behind.outbox));
            behind.ledger = Arc::new(ledger::Twisted { inner: ledger, twist: Arc::clone(&fuse) });
            behind.outbox = Arc::new(outbox::Fused { inner: outbox, fuse });
        }
    }
    ports
}
