//! What makes a signed call one that was not seen before.

use std::{fmt, str::FromStr, sync::Arc};

use sha2::{Digest, Sha256};

use super::CredentialId;

/// The fewest and the most characters of a nonce.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// Text is not a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a nonce is 8 to 128 printable ASCII characters")]
pub struct InvalidNonce;

/// A text that a signer uses once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Nonce(Arc<str>);

impl Nonce {
    /// As it was signed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Nonce {
    type Err = InvalidNonce;
    fn from_str(text: &str) -> Result<Self, InvalidNonce> {
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if LENGTH.contains(&text.len()) && printable { Ok(Self(Arc::from(text))) } else { Err(InvalidNonce) }
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A call that was signed, by what it may not share with another: which credential signed it, and its nonce.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignedCall {
    /// Whose secret signed it.
    pub credential: CredentialId,
    /// Used once by that credential.
    pub nonce: Nonce,
}

/// A nonce of a credential as it is remembered: 16 bytes of a hash, however long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NonceMark(pub [u8; 16]);

impl SignedCall {
    /// What is remembered of it.
    #[must_use]
    pub fn mark(&self) -> NonceMark {
        let mut digest = Sha256::new();
        digest.update(self.credential.as_str());
        // A name holds no NUL.
        digest.update([0]);
        digest.update(self.nonce.as_str());
        let mut mark = [0; 16];
        mark.copy_from_slice(&digest.finalize()[..16]);
        NonceMark(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_bounded_and_printable() {
        for good in ["12345678", "6f4922f4-5568-4ca7-9c0a-0a56bb2e4a11", "a b\"c\\d e", &"n".repeat(128)] {
            assert_eq!(good.parse::<Nonce>().unwrap().as_str(), good);
        }
        for bad in ["", "1234567", "12345678\n", "열두자리논스입니다", &"n".repeat(129)] {
            assert_eq!(bad.parse::<Nonce>(), Err(InvalidNonce), "{bad:?}");
        }
    }

    #[test]
    fn a_mark_is_of_one_credential_and_one_nonce() {
        let mark = |credential: &str, nonce: &str| {
            let (credential, nonce) = (credential.parse().unwrap(), nonce.parse().unwrap());
            SignedCall { credential, nonce }.mark()
        };
        assert_eq!(mark("a", "12345678"), mark("a", "12345678"));
        assert_ne!(mark("a", "12345678"), mark("b", "12345678"));
        assert_ne!(mark("a", "12345678"), mark("a", "12345679"));
        assert_ne!(mark("a1", "12345678"), mark("a", "112345678"));
    }
}
