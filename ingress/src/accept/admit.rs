//! From a checked draft to a message that may be published: route, backlog, units, key, quota.

use std::{sync::Arc, time::Duration};

use naru_shared::{
    domain::{
        ChannelName, Day, Environment, Fingerprint, Key, Lane, Message, MessageId, PackEncoder, QuietRules,
        Quota, Route, RouteName, Timestamp, Units,
    },
    gate::{FirstAnswer, KeyVerdict, QuotaVerdict},
};

use super::{
    claim::{Claim, Held, Part, Reserved},
    draft::Draft,
    repeats,
    units::units,
};
use crate::{
    auth::Caller,
    front::Front,
    problem::{Code, Problem},
    publisher::Item,
};

/// Seconds after which a full line may have room again.
const BACKLOG_RETRY: u64 = 10;

/// What the gate lets in.
pub enum Admission {
    /// To be published.
    New(Item),
    /// The key was answered before: the same answer again.
    Known(FirstAnswer),
}

/// Asks registry and gate about one message, `item` being its place in a batch. A refusal leaves nothing behind.
pub async fn admit(
    front: &Front,
    caller: &Caller,
    draft: Draft,
    key: Option<Key>,
    item: Option<usize>,
    traceparent: Option<&str>,
) -> Result<Admission, Problem> {
    let route = route(front, caller, &draft.content.channel).await?;
    backlog(front, caller, &route.name).await?;
    sender(caller, &draft)?;
    let now = front.clock.now();
    in_time(front, caller, &draft, &route.name, now).await?;
    let fingerprint = Fingerprint::of(&draft.content, draft.lane);
    let answer = FirstAnswer {
        id: identify(front, caller, key.as_ref(), item, now),
        units: units(&draft.content, &route.trade)?,
        route: route.name.clone(),
        accepted_at: now,
    };
    let mut claim = Claim::empty();
    if let Some(key) = &key {
        if let Some(first) = begin(front, caller, key, fingerprint).await? {
            return Ok(Admission::Known(first));
        }
        // From here on the key is in this call's hands, and the claim gives it back whatever happens.
        let (account, key) = (caller.account.clone(), Some(key.clone()));
        let held = Held { account, key, content: None, reserved: None, answer: answer.clone() };
        claim.hold(held, front.publisher.undo());
    }
    match repeats::claim(front, caller, &draft.content, answer.id).await {
        Ok(None) => {}
        Ok(Some(mark)) => claim.add(Part::Content(mark), &caller.account, &answer, front.publisher.undo()),
        Err(problem) => {
            undo(front, claim).await;
            return Err(problem);
        }
    }
    if let Err(problem) = named(front, caller, &draft, now).await {
        undo(front, claim).await;
        return Err(problem);
    }
    match reserve(front, caller, &draft.content.channel, answer.units, now).await {
        Ok(None) => {}
        Ok(Some(reserved)) => {
            claim.add(Part::Units(reserved), &caller.account, &answer, front.publisher.undo())
        }
        Err(problem) => {
            undo(front, claim).await;
            return Err(problem);
        }
    }
    let message = Message {
        id: answer.id,
        key,
        fingerprint,
        units: answer.units,
        accepted_at: now,
        traceparent: traceparent.map(str::to_owned),
        again: None,
        content: draft.content,
    };
    let fragment = PackEncoder::fragment(&message).map_err(|error| {
        tracing::error!(%error, "a message could not be written as JSON");
        Problem::from(Code::Internal)
    })?;
    Ok(Admission::New(Item { lane: draft.lane, fragment, answer, key: message.key, claim }))
}

/// Whether the attachments that it names are there to be sent.
pub(super) async fn named(
    front: &Front,
    caller: &Caller,
    draft: &Draft,
    now: Timestamp,
) -> Result<(), Problem> {
    match &front.attachments {
        Some(attachments) => attachments.may_name(&caller.account, &draft.content.attachments, now).await,
        None if draft.content.attachments.is_empty() => Ok(()),
        None => Err(Code::NoAttachments.into()),
    }
}

/// Gives back what a refused message held.
pub async fn undo(front: &Front, claim: Claim) {
    if let Err(error) = claim.undo(front.gate.as_ref()).await {
        front.meters.gate_failed(&error);
    }
}

/// The id of a message: derived from its key, so that a key gives the same id for ever, else minted. An id of this
/// account given as a key is that id: it is the key to try again with for a call that had none. The same signed call without a key
/// gives the same id: whoever repeats it where nobody knows that it came before sends nothing.
fn identify(
    front: &Front,
    caller: &Caller,
    key: Option<&Key>,
    item: Option<usize>,
    now: Timestamp,
) -> MessageId {
    let account = &caller.account;
    let Some(key) = key else {
        return match &caller.signed {
            Some(call) => front.minter.derive_signed(account, call, item),
            None => front.minter.mint(account, now),
        };
    };
    match key.as_str().parse() {
        Ok(id) if front.minter.is_of(account, id) => id,
        _ => front.minter.derive(account, key),
    }
}

/// Whether it may be sent in the name that it says.
pub(super) fn sender(caller: &Caller, draft: &Draft) -> Result<(), Problem> {
    let sender = draft.content.sender.as_deref();
    if caller.profile.customer.senders.allow(sender) {
        return Ok(());
    }
    let sentence = match sender {
        Some(_) => "The sender is not among those registered for this customer.",
        None => "This customer's messages must name one of its registered senders.",
    };
    Err(Problem::new(Code::SenderUnregistered, sentence))
}

/// Where the channel of this customer goes.
pub(super) async fn route(
    front: &Front,
    caller: &Caller,
    channel: &ChannelName,
) -> Result<Arc<Route>, Problem> {
    let name = match caller.account.environment {
        Environment::Sandbox => &front.sandbox,
        Environment::Live => caller.profile.route(channel).ok_or_else(|| no_route(channel))?,
    };
    let route = front.registry.route(name).await.map_err(|_| Code::Unavailable)?;
    match route {
        Some(route) if route.environment == caller.account.environment => Ok(route),
        _ => Err(no_route(channel)),
    }
}

fn no_route(channel: &ChannelName) -> Problem {
    Problem::new(Code::NoRoute, format!("No route takes the channel {channel} of this customer."))
}

async fn backlog(front: &Front, caller: &Caller, route: &RouteName) -> Result<(), Problem> {
    match front.gate.waiting(&caller.account, route).await {
        Ok((mine, _)) if mine >= front.customer_backlog => {
            Err(Problem::from(Code::BacklogFull).retry_after(BACKLOG_RETRY))
        }
        Ok((_, all)) if all >= front.route_backlog => {
            Err(Problem::from(Code::RouteFull).retry_after(BACKLOG_RETRY))
        }
        Ok(_) => Ok(()),
        Err(error) => front.without_gate(caller, &error),
    }
}

/// Whether an attempt of an `express` message that is to go now would begin within its time, as far as that was measured.
async fn in_time(
    front: &Front,
    caller: &Caller,
    draft: &Draft,
    route: &RouteName,
    now: Timestamp,
) -> Result<(), Problem> {
    let content = &draft.content;
    if draft.lane != Lane::Express || content.send_at.is_some_and(|at| at > now) {
        return Ok(());
    }
    let delay = match front.gate.delay(&caller.account, route).await {
        Ok(delay) => delay,
        Err(error) => return front.without_gate(caller, &error),
    };
    let ttl = Duration::from_secs(u64::from(content.ttl.unwrap_or(draft.lane.default_ttl_seconds())));
    let Some(delay) = delay.filter(|delay| *delay > ttl) else { return Ok(()) };
    let rules = QuietRules(caller.profile.customer.quiet.clone());
    if rules.until(&content.channel, draft.lane, now).is_some() {
        // It begins once these hours end, and not behind what waits now.
        return Ok(());
    }
    let sentence = format!(
        "What waits before this message on route {route} takes {} seconds, longer than its time to live of {}.",
        delay.as_secs(),
        ttl.as_secs()
    );
    Err(Problem::new(Code::RouteTooSlow, sentence).retry_after((delay - ttl).as_secs() + 1))
}

async fn begin(
    front: &Front,
    caller: &Caller,
    key: &Key,
    fingerprint: Fingerprint,
) -> Result<Option<FirstAnswer>, Problem> {
    match front.gate.begin(&caller.account, key, fingerprint).await {
        Ok(KeyVerdict::New) => Ok(None),
        Ok(KeyVerdict::Answered(first)) => Ok(Some(first)),
        Ok(KeyVerdict::InFlight) => Err(Code::KeyInFlight.into()),
        Ok(KeyVerdict::Conflict) => Err(Code::IdempotencyConflict.into()),
        // The id is derived from the key: intake tells a duplicate from a conflict.
        Err(error) => front.without_gate(caller, &error).map(|()| None),
    }
}

async fn reserve(
    front: &Front,
    caller: &Caller,
    channel: &ChannelName,
    units: Units,
    now: Timestamp,
) -> Result<Option<Reserved>, Problem> {
    let quotas = &caller.profile.quotas;
    if quotas.is_empty() || caller.account.environment == Environment::Sandbox {
        return Ok(None);
    }
    let day = Day::of(now, &caller.profile.customer.time_zone);
    match front.gate.reserve(&caller.account, channel, quotas, day, units).await {
        Ok(QuotaVerdict::Within) => {
            let profile = Arc::clone(&caller.profile);
            Ok(Some(Reserved { channel: channel.clone(), profile, day }))
        }
        Ok(QuotaVerdict::Exceeded(quota)) => Err(exceeded(&quota, caller, now)),
        Err(error) => front.without_gate(caller, &error).map(|()| None),
    }
}

fn exceeded(quota: &Quota, caller: &Caller, now: Timestamp) -> Problem {
    let channel = quota.channel.as_ref().map_or("all channels", ChannelName::as_str);
    let sentence =
        format!("The {} quota of {} units for {channel} is used up.", quota.period.as_str(), quota.limit);
    let problem = Problem::new(Code::QuotaExceeded, sentence);
    match quota.period.renews_at(now, &caller.profile.customer.time_zone) {
        Some(at) => problem.retry_after(at.since(now).as_secs() + 1),
        None => problem,
    }
}
