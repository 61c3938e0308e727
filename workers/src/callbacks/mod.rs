//! Webhooks: the events of a customer's messages, posted to the customer's own URLs.
//!
//! One subscription of the topic serves all webhooks. [`matcher`] writes what it brings into the ledger's database, a row for each
//! webhook that wants it, and only then acknowledges; [`courier`] makes the calls, and waits there for the next try.

mod courier;
mod directory;
mod lanes;
mod matcher;
mod schedule;
mod switch;
mod target;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use directory::Directory;
use futures_util::FutureExt;
use naru_shared::{domain::Webhook, metrics, signing::WebhookSecrets};
use parking_lot::Mutex;
pub use target::{Answered, Caller, Post, TargetError, may_call};

use crate::{crew::Crew, shell::Routine};

/// The subscription that serves all webhooks.
pub const SUBSCRIPTION: &str = "webhooks";

/// What matcher and courier share.
pub(crate) struct Hooks {
    directory: Directory,
    secrets: WebhookSecrets,
    /// Clients by the networks that they may call beside the public ones.
    callers: Mutex<HashMap<String, Caller>>,
    under_way: AtomicUsize,
}

impl Hooks {
    pub(crate) fn new(secrets: WebhookSecrets) -> Self {
        Self {
            directory: Directory::default(),
            secrets,
            callers: Mutex::default(),
            under_way: AtomicUsize::new(0),
        }
    }

    /// Whether no call is under way whose outcome is not written.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::Acquire) == 0
    }

    fn count(&self, under_way: usize) {
        self.under_way.store(under_way, Ordering::Release);
        metrics::CALLBACKS_UNDER_WAY.of(&[]).set(u32::try_from(under_way).unwrap_or(u32::MAX));
    }

    /// The client that may call what a webhook may call.
    fn caller(&self, webhook: &Webhook) -> Result<Caller, TargetError> {
        let exceptions = exceptions(webhook);
        let mut callers = self.callers.lock();
        if let Some(caller) = callers.get(&exceptions) {
            return Ok(caller.clone());
        }
        let caller = Caller::new(webhook.allow_networks.clone())?;
        callers.insert(exceptions, caller.clone());
        Ok(caller)
    }

    /// Lets clients go that no webhook needs any more.
    fn keep_callers<'a>(&self, webhooks: impl Iterator<Item = &'a Webhook>) {
        let needed: HashSet<String> = webhooks.map(exceptions).collect();
        self.callers.lock().retain(|exceptions, _| needed.contains(exceptions));
    }
}

/// The networks that a webhook may call beside the public ones, as one name.
fn exceptions(webhook: &Webhook) -> String {
    webhook.allow_networks.iter().copied().map(String::from).collect::<Vec<_>>().join(" ")
}

/// The actor that writes down what is to be called.
pub(crate) fn matching(crew: &Arc<Crew>) -> Routine {
    let own = Arc::clone(crew);
    Routine {
        name: "webhooks",
        of: String::new(),
        run: Box::new(move |progress| matcher::run(Arc::clone(&own), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.stop.clone(),
    }
}

/// The actor that calls.
pub(crate) fn calling(crew: &Arc<Crew>) -> Routine {
    let own = Arc::clone(crew);
    Routine {
        name: "callbacks",
        of: String::new(),
        run: Box::new(move |progress| courier::run(Arc::clone(&own), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}
