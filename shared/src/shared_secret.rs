//! Secrets that a customer and the gateway both know: what calls are signed with (HMAC-SHA-256).
//!
//! Made here with 256 bits, or brought by a customer; kept sealed for one credential.

use std::fmt;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    domain::{Credential, CredentialId, CustomerId, Environment, SealedSecret},
    keys::random_bytes,
    sealing::{NotOurs, Sealer},
};

/// The fewest and the most bytes of a secret: the length of the MAC (RFC 2104 section 3), and more than any key needs.
const LENGTH: std::ops::RangeInclusive<usize> = 32..=128;

/// Different bytes that a secret has at the least. Of 32 random ones about 30 differ; of the digits of a random number in hexadecimal 15.
const DIFFERENT: usize = 8;

/// Bytes of an HMAC-SHA-256.
pub const TAG: usize = 32;

/// Why a secret is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// It cannot be read.
    #[error("a secret is written in base64 (RFC 4648 section 4, with padding)")]
    NotBase64,
    /// Too short or too long.
    #[error("a secret has 32 to 128 bytes; this one has {0}")]
    Length(usize),
    /// Anybody could guess it.
    #[error(
        "this secret is one that can be guessed: take 32 random bytes, such as those of `openssl rand -base64 32`"
    )]
    Guessable,
}

/// A secret that calls are signed with; erased when dropped, never printed.
#[derive(Clone)]
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(…)")
    }
}

impl SharedSecret {
    /// A new one of 256 bits, from the operating system's generator.
    #[must_use]
    pub fn random() -> Self {
        let bytes = Zeroizing::new(random_bytes::<32>());
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// One that was made elsewhere, in base64.
    ///
    /// # Errors
    /// If it cannot be read, is too short or too long, or is one that can be guessed.
    pub fn import(text: &str) -> Result<Self, WeakSecret> {
        let bytes = BASE64.decode(text.trim().as_bytes()).map_err(|_| WeakSecret::NotBase64)?;
        let secret = Self(Zeroizing::new(bytes));
        if !LENGTH.contains(&secret.0.len()) {
            return Err(WeakSecret::Length(secret.0.len()));
        }
        if is_guessable(&secret.0) { Err(WeakSecret::Guessable) } else { Ok(secret) }
    }

    /// As it is shown, once.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(&self.0))
    }

    /// The HMAC-SHA-256 of a text (RFC 9421 section 3.3.3).
    #[must_use]
    pub fn mac(&self, text: &[u8]) -> [u8; TAG] {
        tag(&self.0, text)
    }

    /// Whether this secret made this MAC, of all its 32 bytes; takes the same time whatever differs.
    #[must_use]
    pub fn verifies(&self, text: &[u8], mac: &[u8; TAG]) -> bool {
        self.mac(text).ct_eq(mac).into()
    }

    /// Sealed for one credential of one customer in one environment: it opens for no other.
    ///
    /// # Errors
    /// If the cryptography refuses, which it does for nothing of this length.
    pub fn seal(
        &self,
        sealer: &Sealer,
        id: &CredentialId,
        customer: &CustomerId,
        environment: Environment,
    ) -> Result<SealedSecret, NotOurs> {
        sealer.seal(&place(id, customer, environment), &self.to_base64()).map(SealedSecret)
    }

    /// Opens what was sealed for this credential.
    ///
    /// # Errors
    /// If it was not, or not by this deployment; if what was sealed is no secret that would be taken.
    pub fn open(sealer: &Sealer, of: &Credential, sealed: &SealedSecret) -> Result<Self, NotOurs> {
        let place = place(&of.id, &of.customer, of.environment);
        let text = sealer.open(&place, &sealed.0)?;
        Self::import(&text).map_err(|_| NotOurs)
    }
}

/// What a secret is sealed for; no name has a slash.
fn place(id: &CredentialId, customer: &CustomerId, environment: Environment) -> String {
    format!("credential/{customer}/{}/{id}/hmac", environment.as_str())
}

fn tag(key: &[u8], text: &[u8]) -> [u8; TAG] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = <Hmac<Sha256>>::new_from_slice(key).expect("any bytes are a key");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// Few different bytes, bytes that count up or down, or a shorter text again and again.
fn is_guessable(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    let mut steps = bytes.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let step = steps.next();
    let counts = steps.all(|other| Some(other) == step);
    let repeats = (1..=bytes.len() / 2)
        .any(|period| bytes.iter().zip(&bytes[period..]).all(|(byte, later)| byte == later));
    different < DIFFERENT || counts || repeats
}

#[cfg(test)]
mod tests;
