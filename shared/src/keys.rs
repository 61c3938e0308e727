//! Secrets of a deployment and what is derived from them.
//!
//! One master key; every use gets a key of its own (HKDF's expand step with HMAC-SHA-256, RFC 5869 section 2.3, one block).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    audit::AuditKey,
    domain::{EnvelopeKeys, SecretHash},
    sealing::Sealer,
    signing::WebhookSecrets,
};

/// 256 secret bits; erased when dropped, never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// From its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new one from the operating system's generator.
    #[must_use]
    pub fn random() -> Self {
        Self::new(random_bytes())
    }

    /// From 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok()?);
        Some(Self::new(bytes.as_slice().try_into().ok()?))
    }

    /// As 64 hexadecimal digits, to be written to a file of mode 0600 and nowhere else.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(data_encoding::HEXLOWER.encode(self.0.as_slice()))
    }

    /// The key for one use; another `purpose`, another key.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Self {
        let mut mac = self.hmac();
        mac.update(purpose.as_bytes());
        mac.update(&[1]);
        Self::new(mac.finalize().into_bytes().into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// HMAC-SHA-256 keyed with this secret.
    #[must_use]
    pub fn hmac(&self) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        Hmac::new_from_slice(self.0.as_slice()).expect("32 bytes are a key")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Bytes from the operating system's generator.
///
/// # Panics
/// If the operating system has no randomness to give: nothing safe can be done without it.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(
        clippy::expect_used,
        reason = "without randomness no secret can be made; stopping is the only safe act"
    )]
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// The secrets of a deployment, each derived or kept for one use.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// Derives message ids; never rotates.
    pub ids: Secret,
    /// Hashes the secrets of credentials.
    pub credentials: Secret,
    /// Signs and verifies envelopes: the first signs, all verify. Ids and secrets.
    pub envelopes: Vec<(String, Secret)>,
}

impl Keyring {
    /// Makes the secrets of webhooks.
    #[must_use]
    pub fn webhooks(&self) -> WebhookSecrets {
        WebhookSecrets::new(&self.credentials)
    }

    /// What stands in the place of a recipient that was erased: always the same for the same one, and nothing that leads back
    /// to it without these secrets.
    #[must_use]
    pub fn pseudonym(&self, recipient: &str) -> String {
        let mut mac = self.ids.derive("erased recipient").hmac();
        mac.update(recipient.as_bytes());
        let digest = mac.finalize().into_bytes();
        format!("erased:{}", data_encoding::HEXLOWER.encode(&digest[..16]))
    }

    /// Signs the tokens that are made here.
    #[must_use]
    pub fn tokens(&self) -> TokenSecret {
        TokenSecret(self.credentials.derive("tokens"))
    }

    /// Makes the links of the record of acts, and tells those that others made.
    #[must_use]
    pub fn audit(&self) -> AuditKey {
        AuditKey::new(&self.credentials)
    }

    /// Seals what must be known of others' secrets.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        Sealer::new(&self.credentials)
    }

    /// Names the secrets that never rotate, and tells nothing of them: 32 hexadecimal digits. With others, ids are no longer derived
    /// as they were and no credential verifies. Keys of envelopes rotate, and are not in it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut mac = self.ids.derive("fingerprint").hmac();
        mac.update(self.credentials.derive("fingerprint").bytes());
        let mut name = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
        name.truncate(32);
        name
    }

    /// The keys of envelopes.
    ///
    /// # Errors
    /// If there is none.
    pub fn envelope_keys(&self) -> Result<EnvelopeKeys, NoEnvelopeKey> {
        let (first, rest) = self.envelopes.split_first().ok_or(NoEnvelopeKey)?;
        let rest: Vec<(&str, &Secret)> = rest.iter().map(|(id, secret)| (id.as_str(), secret)).collect();
        Ok(EnvelopeKeys::new((first.0.as_str(), &first.1), &rest))
    }
}

/// What the tokens that are made here are signed with.
#[derive(Debug, Clone)]
pub struct TokenSecret(Secret);

impl TokenSecret {
    /// 256 bits, for an HMAC and nothing else.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// There is no key to sign envelopes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no key to sign envelopes with")]
pub struct NoEnvelopeKey;

/// Hashes the secrets that Naru made (128 bits or more: a keyed hash is enough, and fast).
#[derive(Clone)]
pub struct CredentialHasher(Hmac<Sha256>);

impl CredentialHasher {
    /// Over the deployment's credential secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(secret.hmac())
    }

    /// The hash of a Basic credential's API key alone, where a person chose the password.
    #[must_use]
    pub fn api_key(&self, id: &str, api_key: &str) -> SecretHash {
        self.over(["api key", id, "", api_key])
    }

    /// The hash of a Basic credential's password and API key; neither can hold a NUL (RFC 7617 section 2).
    #[must_use]
    pub fn basic(&self, id: &str, password: &str, api_key: &str) -> SecretHash {
        self.over(["basic", id, password, api_key])
    }

    fn over(&self, parts: [&str; 4]) -> SecretHash {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        SecretHash(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_names_what_never_rotates_and_tells_nothing_of_it() {
        let keyring = Keyring {
            ids: Secret::random(),
            credentials: Secret::random(),
            envelopes: vec![("a".to_owned(), Secret::random())],
        };
        let name = keyring.fingerprint();
        assert_eq!((name.len(), &name), (32, &keyring.fingerprint()));
        assert!(!keyring.ids.to_hex().contains(&name) && !keyring.credentials.to_hex().contains(&name));
        let rotated = Keyring { envelopes: vec![("b".to_owned(), Secret::random())], ..keyring.clone() };
        assert_eq!(rotated.fingerprint(), name);
        for other in [
            Keyring { ids: Secret::random(), ..keyring.clone() },
            Keyring { credentials: Secret::random(), ..keyring.clone() },
            Keyring { ids: keyring.credentials.clone(), credentials: keyring.ids.clone(), ..keyring },
        ] {
            assert_ne!(other.fingerprint(), name);
        }
    }
}
