//! Passwords that people chose. Argon2id takes tens of milliseconds and 19 MiB, so it is asked as seldom as can be, and never by
//! whoever has no more than a guess.
//!
//! - Only who holds the API key, which nobody guesses, comes this far.
//! - What was verified once is known again by its keyed hash: a customer that calls pays once, and whatever others try does not
//!   slow it. What was wrong once is wrong again, likewise.
//! - One at a time is verified for a credential, and few for all, off the threads that serve HTTP; who waits too long is told so.
//! - Wrong passwords are counted by credential and source. A source that used them up is put off, whatever it sends, and no
//!   other source is: no number of guesses locks anybody out.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use naru_shared::{
    domain::{ChosenPassword, Credential, CredentialId, SecretHash},
    passwords::Passwords,
};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore, time::timeout_at};

use crate::problem::{Code, Problem};

/// Passwords that are known to be right, or wrong. Of each about 200 bytes are kept.
const KNOWN: u64 = 100_000;

/// What is known is forgotten after this, or when nobody asked for so long: then it is verified anew.
const KNOWN_FOR: Duration = Duration::from_secs(12 * 3_600);
const IDLE: Duration = Duration::from_secs(3_600);

/// Verifications at once, of all credentials: 19 MiB each.
const AT_ONCE: usize = 2;

/// Calls that wait for one credential, and how long each may.
const WAITING: usize = 64;
const PATIENCE: Duration = Duration::from_secs(5);

/// Wrong passwords of one credential from one source, and the time in which one of them is forgotten.
const GUESSES: u32 = 10;
const FORGIVEN: Duration = Duration::from_secs(30);

/// Credentials and sources that are told apart.
const SOURCES: u64 = 100_000;

/// A source of guesses: an address, or the network of 64 bits that one holder of IPv6 has.
type Source = Option<IpAddr>;

/// The calls of one credential that are not decided yet.
struct Lane {
    waiting: Semaphore,
    turn: Arc<Semaphore>,
}

impl Default for Lane {
    fn default() -> Self {
        Self { waiting: Semaphore::new(WAITING), turn: Arc::new(Semaphore::new(1)) }
    }
}

/// Wrong passwords from one source; they are forgotten one after the other.
struct Guesses {
    wrong: u32,
    since: Instant,
}

/// What is known of a password: of which version of its credential, and whether it is right.
type Known = (u64, bool);

/// Verifies passwords that people chose.
pub struct ChosenPasswords {
    passwords: Passwords,
    runtime: Handle,
    /// By the keyed hash of id, password and API key.
    known: Cache<[u8; 32], Known>,
    lanes: Cache<CredentialId, Arc<Lane>>,
    guesses: Cache<(CredentialId, Source), Arc<Mutex<Guesses>>>,
    places: Arc<Semaphore>,
}

impl ChosenPasswords {
    /// Knows nothing yet; verifies on the blocking threads of this runtime.
    pub fn new(passwords: Passwords, runtime: Handle) -> Self {
        Self {
            passwords,
            runtime,
            known: Cache::builder().max_capacity(KNOWN).time_to_live(KNOWN_FOR).time_to_idle(IDLE).build(),
            lanes: Cache::builder().max_capacity(SOURCES).time_to_idle(IDLE).build(),
            guesses: Cache::builder().max_capacity(SOURCES).time_to_idle(IDLE).build(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Whether this is the credential's password. `given` is the keyed hash of what was sent; its API key has been proved.
    pub async fn verify(
        &self,
        credential: &Credential,
        kept: &ChosenPassword,
        password: &str,
        given: SecretHash,
        from: Option<IpAddr>,
    ) -> Result<bool, Problem> {
        if let Some(right) = self.known(credential, given) {
            return Ok(right);
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let lane = self.lanes.get(&credential.id);
        let lane = lane.unwrap_or_else(|| self.lanes.get_with(credential.id.clone(), Arc::default));
        let _waits = lane.waiting.try_acquire().map_err(|_| Code::Overloaded)?;
        let turn = timeout_at(deadline, Arc::clone(&lane.turn).acquire_owned());
        let turn = turn.await.map_err(|_| Code::Overloaded)?.map_err(|_| Code::Overloaded)?;
        // Whoever had the turn may have had the same password.
        if let Some(right) = self.known(credential, given) {
            return Ok(right);
        }
        let guesses = self.guess(&credential.id, from)?;
        let place = timeout_at(deadline, Arc::clone(&self.places).acquire_owned());
        let place = place.await.map_err(|_| Code::Overloaded)?.map_err(|_| Code::Overloaded)?;
        let (passwords, known) = (self.passwords.clone(), self.known.clone());
        let (kept, password, version) = (kept.clone(), password.to_owned(), credential.version);
        // A caller that hangs up has it decided all the same, and holds turn and place until then.
        let verified = self.runtime.spawn_blocking(move || {
            let (_turn, _place) = (turn, place);
            let right = passwords.verify(&kept, &password);
            match right {
                Ok(right) => known.insert(given.0, (version, right)),
                Err(error) => tracing::error!(%error, "a password that a person chose cannot be verified"),
            }
            if matches!(right, Ok(false)) {
                guesses.lock().count();
            }
            right
        });
        match verified.await {
            Ok(Ok(right)) => Ok(right),
            Ok(Err(_)) | Err(_) => Err(Code::Internal.into()),
        }
    }

    /// What is known of it. Of a credential that was changed or revoked since, nothing is.
    fn known(&self, credential: &Credential, given: SecretHash) -> Option<bool> {
        let (version, right) = self.known.get(&given.0)?;
        if version == credential.version && credential.revoked_at.is_none() {
            return Some(right);
        }
        self.known.invalidate(&given.0);
        None
    }

    /// Refuses a source that used up its wrong passwords.
    fn guess(&self, id: &CredentialId, from: Option<IpAddr>) -> Result<Arc<Mutex<Guesses>>, Problem> {
        let name = (id.clone(), source(from));
        let none = || Arc::new(Mutex::new(Guesses { wrong: 0, since: Instant::now() }));
        let guesses = self.guesses.get(&name).unwrap_or_else(|| self.guesses.get_with(name, none));
        let wait = guesses.lock().wait(Instant::now());
        match wait {
            Some(wait) => Err(Problem::from(Code::TooManyGuesses).retry_after(wait.as_secs() + 1)),
            None => Ok(guesses),
        }
    }
}

impl Guesses {
    /// How long until there may be another, if there may be none now.
    fn wait(&mut self, now: Instant) -> Option<Duration> {
        while self.wrong > 0 && now.saturating_duration_since(self.since) >= FORGIVEN {
            self.wrong -= 1;
            self.since += FORGIVEN;
        }
        (self.wrong >= GUESSES).then(|| FORGIVEN.saturating_sub(now.saturating_duration_since(self.since)))
    }

    fn count(&mut self) {
        if self.wrong == 0 {
            self.since = Instant::now();
        }
        self.wrong = self.wrong.saturating_add(1);
    }
}

fn source(from: Option<IpAddr>) -> Source {
    from.map(|address| match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        plain => plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_are_bounded_and_forgiven_one_after_the_other() {
        let began = Instant::now();
        let mut guesses = Guesses { wrong: 0, since: began };
        for _ in 0..GUESSES {
            assert_eq!(guesses.wait(began), None);
            guesses.count();
        }
        let wait = guesses.wait(Instant::now()).expect("they are used up");
        assert!(wait <= FORGIVEN && wait > FORGIVEN / 2, "{wait:?}");
        let later = Instant::now() + FORGIVEN;
        assert_eq!(guesses.wait(later), None);
        guesses.count();
        assert!(guesses.wait(later).is_some());
        assert_eq!(guesses.wait(later + FORGIVEN * 20), None);
        assert_eq!(guesses.wrong, 0);
    }

    #[test]
    fn a_source_is_an_address_or_a_holder_s_network() {
        let of = |text: &str| source(Some(text.parse().unwrap())).unwrap().to_string();
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
