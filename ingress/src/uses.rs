//! When credentials were last used, and that this front lives: kept in memory, and told off the way of a call.

use std::{collections::HashMap, sync::Arc, time::Duration};

use naru_shared::{
    domain::{Clock, CredentialId, Timestamp},
    presence::{CredentialUse, FrontMark, Presence},
    registry::Registry,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// How often it is told that the front lives, and which credentials were used meanwhile.
const TURN: Duration = Duration::from_secs(60);

/// After what could not be told; longer each time, up to a turn.
const AGAIN: Duration = Duration::from_secs(5);

/// Between two versions that are told, while a catalog is filled: whoever waits for one waits so much longer.
const PAUSE: Duration = Duration::from_millis(100);

/// How long telling may take; at the end, so that a drain does not wait for it.
const CALL: Duration = Duration::from_secs(10);
const LAST: Duration = Duration::from_millis(400);

/// Credentials whose use is remembered between two turns; those beyond are told of when they are used in the next.
const REMEMBERED: usize = 100_000;

/// A front that was not heard of for so long is forgotten.
const FORGET: Duration = Duration::from_secs(24 * 3_600);

/// Credentials that let a call in since it was last told.
#[derive(Default)]
pub struct Uses(Mutex<HashMap<CredentialId, Timestamp>>);

impl Uses {
    /// A credential let a call in.
    pub fn note(&self, credential: &CredentialId, now: Timestamp) {
        let mut uses = self.0.lock();
        if let Some(used_at) = uses.get_mut(credential) {
            *used_at = now;
        } else if uses.len() < REMEMBERED {
            uses.insert(credential.clone(), now);
        }
    }

    fn take(&self) -> Vec<CredentialUse> {
        let uses = std::mem::take(&mut *self.0.lock());
        uses.into_iter().map(|(credential, used_at)| CredentialUse { credential, used_at }).collect()
    }

    /// Puts back what could not be told; what was used since is newer.
    fn put_back(&self, untold: Vec<CredentialUse>) {
        let mut uses = self.0.lock();
        for CredentialUse { credential, used_at } in untold {
            if uses.len() < REMEMBERED {
                uses.entry(credential).or_insert(used_at);
            }
        }
    }
}

/// Tells of this front.
pub struct Teller {
    /// Its name among all.
    pub name: String,
    /// Where it is told.
    pub presence: Arc<dyn Presence>,
    /// What the front knows.
    pub registry: Arc<dyn Registry>,
    /// What was used.
    pub uses: Arc<Uses>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Teller {
    /// Tells at once what version of the catalog the front has, each time there is a new one; and of everything once a minute.
    /// When `ends` is cancelled it tells what is left, and that the front is no more.
    pub async fn run(self, ends: CancellationToken) {
        let (mut told, mut failures) = (None, 0_u32);
        let mut turn = Instant::now();
        while !ends.is_cancelled() {
            let version = self.registry.version();
            let due = Instant::now() >= turn;
            if self.registry.is_complete() && (due || told != Some(version)) {
                if self.tell(version, due, CALL).await {
                    (told, failures) = (Some(version), 0);
                    turn = if due { Instant::now() + TURN } else { turn };
                } else {
                    failures = failures.saturating_add(1);
                    let pause = AGAIN.saturating_mul(1 << failures.min(4)).min(TURN);
                    let _ended = timeout(pause, ends.cancelled()).await;
                    continue;
                }
            }
            tokio::select! {
                () = ends.cancelled() => {}
                () = self.registry.changed(version) => {}
                () = sleep_until(turn.max(Instant::now() + PAUSE)) => {}
            }
            let _ended = timeout(PAUSE, ends.cancelled()).await;
        }
        let left = async {
            let uses = self.uses.take();
            let told = if uses.is_empty() { Ok(()) } else { self.presence.used(&uses).await };
            told.and(self.presence.leave(&self.name).await)
        };
        match timeout(LAST, left).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "that this front ends could not be told"),
            Err(_late) => tracing::debug!("that this front ends could not be told in time"),
        }
    }

    /// Whether it could be told.
    async fn tell(&self, version: u64, uses: bool, limit: Duration) -> bool {
        let front = FrontMark { name: self.name.clone(), version, seen_at: self.clock.now() };
        match timeout(limit, self.presence.live(&front, FORGET)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "that this front lives could not be told");
                return false;
            }
            Err(_late) => return false,
        }
        let used = if uses { self.uses.take() } else { Vec::new() };
        if used.is_empty() {
            return true;
        }
        match timeout(limit, self.presence.used(&used)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::debug!(%error, "which credentials were used could not be told; it is told again");
                self.uses.put_back(used);
                false
            }
            Err(_late) => {
                self.uses.put_back(used);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_use_is_kept_and_what_was_not_told_is_told_again() {
        let (uses, id) = (Uses::default(), "acme-live".parse::<CredentialId>().unwrap());
        uses.note(&id, Timestamp::from_millis(1));
        uses.note(&id, Timestamp::from_millis(2));
        let taken = uses.take();
        assert_eq!(taken, [CredentialUse { credential: id.clone(), used_at: Timestamp::from_millis(2) }]);
        assert!(uses.take().is_empty());
        uses.note(&id, Timestamp::from_millis(3));
        uses.put_back(taken.clone());
        assert_eq!(uses.take()[0].used_at, Timestamp::from_millis(3));
        uses.put_back(taken.clone());
        assert_eq!(uses.take(), taken);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let uses = Uses::default();
        for number in 0..REMEMBERED + 10 {
            uses.note(&format!("c-{number}").parse().unwrap(), Timestamp::from_millis(1));
        }
        assert_eq!(uses.take().len(), REMEMBERED);
    }
}
