//! A group of packs, opened and classified, on its way into one transaction.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use naru_shared::{
    domain::{
        Account, CustomerId, Day, EnvelopeError, Environment, Lane, Message, NoticePack, Opened as Held,
        Pack, Quota, RouteName, TimeZone, kinds,
    },
    ledger::{Disposition, IntakeEntry},
    metrics,
    queue::{Delivery, QueueError, QueueName, Receipt},
    registry::RegistryError,
};

use serde_json::json;

use super::classify::{Grounds, classify};
use crate::{
    courier::{Desk, Permit},
    crew::Crew,
    herald::Sign,
};

/// How long a pack that a newer program wrote waits for a newer worker.
const FOR_NEWER: Duration = Duration::from_secs(5);

/// Deliveries from which on a pack may be why intake fails: it goes after all others, with half as many others at each
/// delivery, at last in a transaction of its own. It is never set aside for its deliveries alone, nor alone at once: workers that
/// were killed raise them too, of all packs that waited in their hands, and one by one these would not be done before the next
/// kill.
const SUSPECT: u32 = 3;

/// See the module. `permits` are index for index with `entries`.
#[derive(Default)]
pub(super) struct Group {
    pub(super) receipts: Vec<Receipt>,
    pub(super) entries: Vec<IntakeEntry>,
    pub(super) permits: Vec<Option<Permit>>,
    pub(super) quotas: Vec<Arc<Quota>>,
}

/// A pack whose envelope was ours.
pub(super) struct Opened {
    pub(super) receipt: Receipt,
    account: Account,
    route: RouteName,
    lane: Lane,
    pub(super) messages: Vec<Arc<Message>>,
    deliveries: u32,
}

impl Opened {
    fn new(receipt: Receipt, pack: Pack, deliveries: u32) -> Self {
        let Pack { account, route, lane, messages } = pack;
        let messages = messages.into_iter().map(Arc::new).collect();
        Self { receipt, account, route, lane, messages, deliveries }
    }

    /// How many halvings of a group it has come to.
    const fn suspicion(&self) -> u32 {
        self.deliveries.saturating_add(1).saturating_sub(SUSPECT)
    }
}

/// What a provider told, and the receipt of its envelope.
pub(super) type Told = (Receipt, NoticePack);

/// Opens what was received: messages, and what providers told. What cannot be opened is set aside or given back, and is no longer in hand.
pub(super) async fn open(
    crew: &Crew,
    queue: &QueueName,
    deliveries: Vec<Delivery>,
) -> (Vec<Opened>, Vec<Told>) {
    let (mut opened, mut told) = (Vec::with_capacity(deliveries.len()), Vec::new());
    let mut strange = Vec::new();
    for Delivery { receipt, envelope, deliveries } in deliveries {
        match crew.envelopes.open_any(&envelope) {
            Ok(Held::Pack(pack)) => opened.push(Opened::new(receipt, pack, deliveries)),
            Ok(Held::Notices(pack)) => told.push((receipt, pack)),
            Err(error) => strange.push(put_away(crew, queue, receipt, error)),
        }
    }
    // Together: however many there are, those that were opened wait for one answer of the queue, and no more.
    join_all(strange).await;
    (opened, told)
}

async fn put_away(crew: &Crew, queue: &QueueName, receipt: Receipt, error: EnvelopeError) {
    let (route, lane) = (queue.route.as_str(), queue.lane.as_str());
    let put = match error {
        EnvelopeError::Newer { version, newest } => {
            crew.newer.left(queue, version, newest);
            crew.herald.tell(Sign {
                kind: kinds::NEWER,
                subject: format!("queue/{route}/{lane}"),
                data: json!({ "route": route, "lane": lane, "version": version, "newest_read": newest }),
            });
            crew.deps.queue.release(queue, receipt, FOR_NEWER).await
        }
        EnvelopeError::Unverified(_) | EnvelopeError::Forged(_) | EnvelopeError::Malformed(_) => {
            set_aside(crew, queue, receipt, &error.to_string()).await
        }
    };
    if let Err(error) = put {
        // It comes back after its visibility time, and is tried again.
        tracing::warn!(route, lane, %error, "a pack that cannot be opened could not be put away");
    }
}

/// Sets a pack aside for a person, and says so wherever one looks.
pub(super) async fn set_aside(
    crew: &Crew,
    queue: &QueueName,
    receipt: Receipt,
    reason: &str,
) -> Result<(), QueueError> {
    let (route, lane) = (queue.route.as_str(), queue.lane.as_str());
    tracing::error!(route, lane, reason, "a pack is set aside");
    metrics::QUARANTINED.of(&[("route", route), ("lane", lane)]).increment(1);
    crew.deps.queue.quarantine(queue, receipt, reason).await?;
    crew.herald.tell(Sign {
        kind: kinds::QUARANTINED,
        subject: format!("queue/{route}/{lane}"),
        data: json!({ "route": route, "lane": lane, "reason": reason }),
    });
    Ok(())
}

/// Splits what was opened into groups of whole packs, each of at most `max` messages (or one pack); suspects last, in smaller ones.
pub(super) fn split(mut opened: Vec<Opened>, max: usize) -> Vec<Vec<Opened>> {
    // In the order of their coming where they are under the same suspicion.
    opened.sort_by_key(Opened::suspicion);
    let mut groups: Vec<Vec<Opened>> = Vec::new();
    let mut messages = 0;
    for one in opened {
        let size = one.messages.len();
        let most = max.checked_shr(one.suspicion()).unwrap_or(0);
        match groups.last_mut() {
            Some(group) if messages + size <= most => {
                messages += size;
                group.push(one);
            }
            _ => {
                messages = size;
                groups.push(vec![one]);
            }
        }
    }
    groups
}

/// Decides about every message of a group, and takes permits for those that start at once.
pub(super) async fn classify_all(
    crew: &Crew,
    own: Option<&Arc<Desk>>,
    packs: &[Opened],
    restored_before: Option<naru_shared::domain::Timestamp>,
) -> Result<Group, RegistryError> {
    let mut group = Group::default();
    let mut quotas: BTreeMap<CustomerId, Vec<Arc<Quota>>> = BTreeMap::new();
    let now = crew.now();
    let quiet = crew.deps.registry.quiet();
    for pack in packs {
        let profile = crew.deps.registry.profile(&pack.account.customer).await?;
        let route = crew.deps.registry.route(&pack.route).await?;
        if let Some(profile) = profile.as_deref().filter(|_| pack.account.environment == Environment::Live) {
            quotas.entry(pack.account.customer.clone()).or_insert_with(|| profile.quotas.clone());
        }
        let utc = TimeZone::UTC;
        let zone = profile.as_deref().map_or(&utc, |profile| &profile.customer.time_zone);
        let grounds = Grounds {
            account: &pack.account,
            lane: pack.lane,
            profile: profile.as_deref(),
            route: route.as_deref(),
            now,
            restored_before,
            quiet: quiet.get(&pack.account.customer).map(|rules| &**rules),
        };
        for message in &pack.messages {
            let sorted = classify(&grounds, message);
            let (disposition, permit) = match sorted.disposition {
                Disposition::Ready => at_once(own, &pack.route, &pack.account.customer),
                other => (other, None),
            };
            group.entries.push(IntakeEntry {
                account: pack.account.clone(),
                route: pack.route.clone(),
                lane: pack.lane,
                day: Day::of(message.accepted_at, zone),
                disposition,
                class: route.as_deref().and_then(|route| route.trade.class.clone()),
                quiet: sorted.quiet,
                message: Arc::clone(message),
            });
            group.permits.push(permit);
        }
        group.receipts.push(pack.receipt.clone());
    }
    group.quotas = quotas.into_values().flatten().collect();
    Ok(group)
}

fn at_once(
    own: Option<&Arc<Desk>>,
    route: &RouteName,
    customer: &CustomerId,
) -> (Disposition, Option<Permit>) {
    let permit = own.filter(|desk| desk.name == *route).and_then(|desk| desk.permit_at_once(customer));
    if permit.is_some() { (Disposition::Start, permit) } else { (Disposition::Ready, None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn opened(messages: u8, deliveries: u32) -> Opened {
        let pack = Pack {
            account: samples::account(),
            route: "carrier-a".parse().unwrap(),
            lane: Lane::Express,
            messages: (0..messages).map(|n| samples::message(n, "1")).collect(),
        };
        Opened::new(Receipt("r".into()), pack, deliveries)
    }

    fn sizes(packs: &[(u8, u32)], max: usize) -> Vec<Vec<usize>> {
        split(packs.iter().map(|(n, deliveries)| opened(*n, *deliveries)).collect(), max)
            .iter()
            .map(|group| group.iter().map(|one| one.messages.len()).collect())
            .collect()
    }

    #[test]
    fn groups_hold_whole_packs_within_the_bound() {
        assert_eq!(sizes(&[], 4), Vec::<Vec<usize>>::new());
        let packs = [(1, 1), (3, 1), (1, 2), (5, 1), (2, 1), (2, 1)];
        assert_eq!(sizes(&packs, 4), [vec![1, 3], vec![1], vec![5], vec![2, 2]]);
    }

    #[test]
    fn a_pack_that_came_often_goes_last_with_fewer_others_each_time_and_at_last_alone() {
        assert_eq!(sizes(&[(1, 100), (2, 1), (3, 99), (4, 2)], 64), [vec![2, 4], vec![3], vec![1]]);
        let groups = |deliveries| sizes(&[(1, deliveries); 64], 64).len();
        let all: Vec<usize> = (1..=10).map(groups).collect();
        assert_eq!(all, [1, 1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert_eq!(
            sizes(&[(1, 4), (1, 3), (1, 1)], 4),
            [vec![1, 1], vec![1]],
            "with those under less suspicion, if few"
        );
    }
}
