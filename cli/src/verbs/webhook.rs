//! `naru webhook`: a customer's own URLs, which get the events of that customer's messages.

mod change;
mod shown;
mod test;

use clap::{Args, Subcommand};
use naru_shared::{
    domain::{CustomerId, IpNetwork, MessageKind, Webhook, WebhookId, WebhookName, WebhookState},
    engines::TopicEngine,
};

use super::credential::Place;
use crate::{
    desk::Desk,
    exit::Failure,
    output,
    units::{self, Span},
};

/// Which webhook.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Whose
    customer: CustomerId,
    /// Which of the customer's
    name: WebhookName,
}

impl Which {
    fn id(&self) -> WebhookId {
        WebhookId { customer: self.customer.clone(), name: self.name.clone() }
    }
}

/// What can be done to webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhookVerb {
    /// Post a customer's events to a URL from now on, and show the secret that they are signed with
    Add {
        /// Which
        #[command(flatten)]
        which: Which,
        /// Where to: https, or http into a network that is allowed here
        url: String,
        /// Events of live messages, or of the sandbox's
        #[arg(long, value_enum, default_value_t = Place::Live)]
        environment: Place,
        /// Only these kinds of events, such as `failed` [default: every kind about messages]
        #[arg(long = "kind", value_name = "KIND")]
        kinds: Vec<MessageKind>,
        /// A private, loopback or link-local network that may be called all the same, such as 127.0.0.0/8
        #[arg(long = "allow-network", value_name = "CIDR")]
        allow_networks: Vec<IpNetwork>,
    },
    /// Change a webhook; what is not given stays
    Set {
        /// Which
        #[command(flatten)]
        which: Which,
        /// Where to
        #[arg(long)]
        url: Option<String>,
        /// Only these kinds of events
        #[arg(long = "kind", value_name = "KIND", conflicts_with = "all_kinds")]
        kinds: Vec<MessageKind>,
        /// Every kind of events about messages
        #[arg(long)]
        all_kinds: bool,
        /// The networks that may be called although they are private
        #[arg(long = "allow-network", value_name = "CIDR")]
        allow_networks: Vec<IpNetwork>,
    },
    /// Post a signed event `naru.webhook.test` now, through the same guard, and tell what was answered
    Test {
        /// Which
        #[command(flatten)]
        which: Which,
    },
    /// All webhooks, or one customer's, and how they fare
    List {
        /// Whose
        customer: Option<CustomerId>,
    },
    /// One webhook and how it fares
    Show {
        /// Which
        #[command(flatten)]
        which: Which,
        /// Its secrets as well
        #[arg(long)]
        secrets: bool,
    },
    /// Sign with a new secret, and for a while with the one before as well
    Rotate {
        /// Which
        #[command(flatten)]
        which: Which,
        /// How long the secret before signs as well; 0s: not at all
        #[arg(long, default_value = "24h", value_name = "SPAN")]
        overlap: Span,
    },
    /// Call it again, after it was disabled
    Enable {
        /// Which
        #[command(flatten)]
        which: Which,
    },
    /// Do not call it; what waits for it is given up, and what happens meanwhile is not kept for it
    Disable {
        /// Which
        #[command(flatten)]
        which: Which,
    },
    /// Never call it again; what waits for it is given up
    Remove {
        /// Which
        #[command(flatten)]
        which: Which,
    },
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: WebhookVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        WebhookVerb::Add { which, url, environment, kinds, allow_networks } => {
            let new =
                change::New { id: which.id(), url, environment: environment.into(), kinds, allow_networks };
            let webhook = change::add(desk, &new).await?;
            shown::with_secrets(desk, &webhook).await?;
            // With the first webhook a subscription begins, and no event is published that one of them would miss.
            match &desk.config.topic {
                TopicEngine::Sns(sns) if !sns.create && !desk.out.json => output::print(
                    "run `naru infra apply` unless the subscription `webhooks` has its queue: until then nobody's events are published",
                ),
                _ => Ok(()),
            }
        }
        WebhookVerb::Set { which, url, kinds, all_kinds, allow_networks } => {
            let set = change::Set { url, kinds, all_kinds, allow_networks };
            let webhook = change::set(desk, &which.id(), &set).await?;
            shown::one(desk, &webhook).await
        }
        WebhookVerb::Test { which } => {
            test::run(desk, &change::there(&desk.book()?, &which.id()).await?).await
        }
        WebhookVerb::List { customer } => shown::list(desk, customer.as_ref()).await,
        WebhookVerb::Show { which, secrets } => {
            let webhook = change::there(&desk.book()?, &which.id()).await?;
            if secrets { shown::with_secrets(desk, &webhook).await } else { shown::one(desk, &webhook).await }
        }
        WebhookVerb::Rotate { which, overlap } => {
            let webhook = change::rotate(desk, &which.id(), overlap.0).await?;
            shown::with_secrets(desk, &webhook).await
        }
        WebhookVerb::Enable { which } => {
            let webhook = change::state(desk, &which.id(), WebhookState::Enabled).await?;
            shown::one(desk, &webhook).await
        }
        WebhookVerb::Disable { which } => {
            let webhook = change::state(desk, &which.id(), WebhookState::Disabled).await?;
            change::give_up(desk, &webhook).await?;
            shown::one(desk, &webhook).await
        }
        WebhookVerb::Remove { which } => remove(desk, &which.id()).await,
    }
}

async fn remove(desk: &Desk, id: &WebhookId) -> anyhow::Result<()> {
    let webhook = change::state(desk, id, WebhookState::Removed).await?;
    let given_up = change::give_up(desk, &webhook).await?;
    desk.out.said(&webhook, &format!("{id} is removed; {given_up} events that waited for it are given up"))
}

/// Refuses what could never be called, or only in the open.
fn validate(webhook: &Webhook) -> anyhow::Result<()> {
    units::few_networks(&webhook.allow_networks)?;
    let may = naru_workers::may_call(webhook).map_err(|error| Failure::Usage(error.to_string()))?;
    if !may {
        let why =
            "is private, loopback or reserved: allow its network with --allow-network, such as 127.0.0.0/8";
        return Err(Failure::Refused(format!("webhook {}: {} {why}", webhook.id(), webhook.url)).into());
    }
    if !webhook.url.starts_with("https:") && webhook.allow_networks.is_empty() {
        let why = "is not https: what is posted there could be read on its way. Within a network of yours http is enough: \
                   name it with --allow-network";
        return Err(Failure::Refused(format!("webhook {}: {} {why}", webhook.id(), webhook.url)).into());
    }
    Ok(())
}
