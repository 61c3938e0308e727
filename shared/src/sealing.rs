//! Secrets of others (a provider's password, a client's key) as documents keep them: sealed with AES-256-GCM under a key that
//! follows from the deployment's own. Whoever reads the documents alone learns nothing, and what was sealed for one place
//! opens in no other.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::keys::Secret;

/// What begins a sealed text; another way of sealing will have another.
const VERSION: &str = "v1.";

/// Bytes of a nonce.
const NONCE: usize = 12;

/// A sealed text does not open: it was sealed with other secrets, for another place, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed with the secrets of another deployment, for another route, or was changed")]
pub struct NotOurs;

/// Seals and opens.
#[derive(Clone)]
pub struct Sealer(Secret);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// From the secret that those of customers follow from.
    pub(crate) fn new(of_customers: &Secret) -> Self {
        Self(of_customers.derive("sealing"))
    }

    fn key(&self) -> Result<RandomizedNonceKey, NotOurs> {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.bytes()).map_err(|_| NotOurs)
    }

    /// Seals a text for one place; twice the same gives two different texts.
    ///
    /// # Errors
    /// If the cryptography refuses, which it does for nothing shorter than gibibytes.
    pub fn seal(&self, place: &str, plain: &str) -> Result<String, NotOurs> {
        let mut bytes = Zeroizing::new(plain.as_bytes().to_vec());
        let sealing = self.key()?.seal_in_place_append_tag(Aad::from(place), &mut *bytes);
        let nonce = sealing.map_err(|_| NotOurs)?;
        let sealed = [nonce.as_ref().as_slice(), bytes.as_slice()].concat();
        Ok(format!("{VERSION}{}", BASE64.encode(&sealed)))
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// If it was not, or not by this deployment.
    pub fn open(&self, place: &str, sealed: &str) -> Result<Zeroizing<String>, NotOurs> {
        let text = sealed.strip_prefix(VERSION).ok_or(NotOurs)?;
        let mut bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).map_err(|_| NotOurs)?);
        let (nonce, rest) = bytes.split_first_chunk_mut::<NONCE>().ok_or(NotOurs)?;
        let nonce = aws_lc_rs::aead::Nonce::from(&*nonce);
        let opened = self.key()?.open_in_place(nonce, Aad::from(place), rest);
        let plain = opened.map_err(|_| NotOurs)?.to_vec();
        String::from_utf8(plain).map(Zeroizing::new).map_err(|_| NotOurs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_in_its_place_and_nowhere_else() {
        let sealer = Sealer::new(&Secret::random());
        let sealed = sealer.seal("route/a", "s3cret").unwrap();
        assert!(!sealed.contains("s3cret"));
        assert_ne!(sealed, sealer.seal("route/a", "s3cret").unwrap(), "never twice the same");
        assert_eq!(sealer.open("route/a", &sealed).unwrap().as_str(), "s3cret");
        assert_eq!(sealer.open("route/b", &sealed), Err(NotOurs));
        assert_eq!(Sealer::new(&Secret::random()).open("route/a", &sealed), Err(NotOurs));
        assert_eq!(sealer.open("route/a", &sealer.seal("route/a", "").unwrap()).unwrap().as_str(), "");
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let sealer = Sealer::new(&Secret::random());
        let sealed = sealer.seal("p", "s3cret").unwrap();
        let bytes = BASE64.decode(&sealed.as_bytes()[VERSION.len()..]).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let text = format!("{VERSION}{}", BASE64.encode(&changed));
            assert_eq!(sealer.open("p", &text), Err(NotOurs));
        }
        for wrong in ["", "v1.", "v2.AAAA", "v1.?", &sealed[..sealed.len() - 4]] {
            assert_eq!(sealer.open("p", wrong), Err(NotOurs), "{wrong}");
        }
    }
}
