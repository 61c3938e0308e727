//! Slack: what operators should know of, posted to a channel of theirs.
//!
//! The topic's subscription `slack` ([`subscription`]) brings every event. What a rule ([`rules`]) calls worth a post is gathered for
//! a while and counted by groups ([`hand`]), written as one message of blocks ([`blocks`]) in which nothing that others wrote can act
//! ([`escape`]), and posted no faster than is allowed ([`pace`]). Events are acknowledged once the post that counts them was
//! answered `2xx`; until then they belong to the topic.

mod blocks;
mod escape;
mod gather;
mod hand;
mod pace;
mod post;
mod recent;
mod rules;
mod run;
mod settings;
mod subscription;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures_util::FutureExt;
use pace::Pace;
use parking_lot::Mutex;
pub use post::{test, told};
use recent::Recent;
pub use rules::{Rule, Severity};
pub use settings::{InvalidSlackConfig, SlackConfig, SlackUrl};

use crate::{
    callbacks::{Caller, TargetError},
    crew::Crew,
    shell::Routine,
};

/// The subscription that Slack's events come by.
pub const SLACK: &str = "slack";

/// What posts to Slack, and how long the topic leaves events in its hands.
#[derive(Debug, Clone)]
pub struct Slack {
    /// Where to, what, and how often.
    pub config: SlackConfig,
    /// What was received and not acknowledged for so long comes back.
    pub visibility: Duration,
}

/// What outlives the loop.
pub(crate) struct Office {
    settings: Slack,
    caller: Caller,
    pace: Mutex<Pace>,
    recent: Mutex<Recent>,
    /// Whether this process has seen to the subscription.
    subscribed: AtomicBool,
    /// Whether the next message holds nothing but sums: Slack refused one with words of others.
    bare: AtomicBool,
}

impl Office {
    pub(crate) fn new(settings: Slack) -> Result<Self, TargetError> {
        let caller = Caller::new(settings.config.allow_networks.clone())?;
        let pace = Mutex::new(Pace::new(settings.config.per_minute));
        Ok(Self {
            settings,
            caller,
            pace,
            recent: Mutex::default(),
            subscribed: AtomicBool::new(false),
            bare: AtomicBool::new(false),
        })
    }

    /// How long an event may be in hand until it is posted: it may have lain with the engine's client for half of its time already,
    /// and the acknowledgement takes a moment too.
    fn hold(&self) -> Duration {
        self.settings.visibility / 2 - self.settings.visibility / 12
    }
}

/// The actor that posts.
pub(crate) fn routine(crew: &Arc<Crew>, office: &Arc<Office>) -> Routine {
    let (crew, office) = (Arc::clone(crew), Arc::clone(office));
    let (stuck, stop) = (crew.config.stuck(), crew.stop.clone());
    Routine {
        name: "slack",
        of: String::new(),
        run: Box::new(move |progress| run::run(Arc::clone(&crew), Arc::clone(&office), progress).boxed()),
        watch: Box::new(|| ()),
        stuck,
        stop,
    }
}
