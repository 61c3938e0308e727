//! Tokens that were verified a while ago: one that is used again costs a hash, and not a signature.
//!
//! Only what was verified gets in, so guesses neither fill it nor push anybody out. What is remembered is that the signature is good
//! for a version of a credential; whether the credential and the claims still hold is asked each time.

use std::sync::Arc;

use aws_lc_rs::hmac;
use moka::sync::Cache;
use naru_shared::{domain::CredentialId, keys::random_bytes};

use super::claims::{Claims, REMEMBERED};

/// Tokens that are remembered, some 400 bytes each.
const TOKENS: u64 = 10_000;

/// What was found of a token.
#[derive(Debug)]
pub struct Known {
    /// Whose it is.
    pub credential: CredentialId,
    /// The credential's version when it was verified: with another, its keys may be others.
    pub version: u64,
    /// Whether it was made here.
    pub ours: bool,
    /// What it claims.
    pub claims: Claims,
}

/// Name of a token: a hash under a key of this process, so that nobody can choose two with the same.
pub type Mark = [u8; 32];

/// The tokens.
pub struct Seen {
    key: hmac::Key,
    tokens: Cache<Mark, Arc<Known>>,
}

impl Seen {
    /// None yet.
    pub fn new() -> Self {
        let tokens = Cache::builder().max_capacity(TOKENS).time_to_live(REMEMBERED).build();
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()), tokens }
    }

    /// What a token is remembered by.
    pub fn mark(&self, token: &str) -> Mark {
        let mut mark = [0; 32];
        mark.copy_from_slice(hmac::sign(&self.key, token.as_bytes()).as_ref());
        mark
    }

    /// What is remembered of it.
    pub fn get(&self, mark: &Mark) -> Option<Arc<Known>> {
        self.tokens.get(mark)
    }

    /// Remembers a token that was verified.
    pub fn put(&self, mark: Mark, known: Known) {
        self.tokens.insert(mark, Arc::new(known));
    }

    /// Forgets one.
    pub fn forget(&self, mark: &Mark) {
        self.tokens.invalidate(mark);
    }
    /// How many are remembered.
    #[cfg(test)]
    pub fn len(&self) -> u64 {
        self.tokens.run_pending_tasks();
        self.tokens.entry_count()
    }
}
