//! Bounded room that customers share: nobody takes more than a part of it, so that one who floods leaves some to others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use naru_shared::domain::Account;

/// So many places, of which one account holds at most its share.
#[derive(Debug)]
pub struct Room {
    share: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    free: usize,
    by: HashMap<Account, usize>,
}

/// Places in a room; free again when dropped.
#[derive(Debug)]
pub struct Places {
    room: Arc<Room>,
    account: Account,
    count: usize,
}

impl Room {
    /// A room of `places`, of which one account may hold `1 / parts`, but at least one.
    pub fn new(places: usize, parts: usize) -> Arc<Self> {
        let taken = Mutex::new(Taken { free: places, by: HashMap::new() });
        Arc::new(Self { share: (places / parts.max(1)).max(1), taken })
    }

    /// Takes `count` places, or none.
    pub fn take(self: &Arc<Self>, account: &Account, count: usize) -> Option<Places> {
        let mut taken = self.lock();
        let mine = taken.by.get(account).copied().unwrap_or(0);
        if count > taken.free || mine + count > self.share {
            return None;
        }
        taken.free -= count;
        match taken.by.get_mut(account) {
            Some(held) => *held += count,
            None => {
                taken.by.insert(account.clone(), count);
            }
        }
        Some(Places { room: Arc::clone(self), account: account.clone(), count })
    }

    /// Numbers are whole at every moment, so a holder that panicked leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        taken.free += self.count;
        let left = taken.by.get_mut(&self.account).map(|held| {
            *held = held.saturating_sub(self.count);
            *held
        });
        if left == Some(0) {
            taken.by.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use naru_shared::domain::Environment;

    use super::*;

    #[test]
    fn one_account_leaves_room_to_others_and_places_come_back() {
        let account =
            |name: &str| Account { customer: name.parse().unwrap(), environment: Environment::Live };
        let (a, b, c) = (account("a"), account("b"), account("c"));
        let room = Room::new(10, 2);
        let held = room.take(&a, 5).unwrap();
        assert!(room.take(&a, 1).is_none());
        let other = room.take(&b, 4).unwrap();
        assert!(room.take(&c, 2).is_none() && room.take(&c, 1).is_some());
        drop(held);
        assert!(room.take(&a, 5).is_some());
        drop(other);
        assert!(room.lock().by.is_empty());
        assert_eq!(room.lock().free, 10);
    }
}
