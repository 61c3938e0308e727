//! What verifies the tokens of a credential (RFC 7519): keys, each pinned to one algorithm.

use std::{fmt, str::FromStr};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Keys of one credential at once, so that old and new ones overlap.
pub const TOKEN_KEYS: usize = 16;

/// Algorithms of tokens (RFC 7518 section 3.1, RFC 8037 section 3.1); there are no others, and none is "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256, under a secret that Naru made.
    #[serde(rename = "HS256")]
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits or more.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl TokenAlgorithm {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// As `alg` names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one that `alg` names, letter for letter.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == word)
    }
}

/// Text names no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's name (`kid`) has 1 to 128 printable ASCII characters and no blank")]
pub struct InvalidKeyId;

/// What a token's `kid` says: which of the credential's keys. It is compared, and nothing is looked up by it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(Box<str>);

impl KeyId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;
    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.into())) } else { Err(InvalidKeyId) }
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidKeyId;
    fn try_from(text: String) -> Result<Self, InvalidKeyId> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A `SubjectPublicKeyInfo` in DER (RFC 5280 section 4.1.2.7).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(Box<[u8]>);

impl PublicKey {
    /// From bytes that are known to be such a key.
    #[must_use]
    pub fn new(der: &[u8]) -> Self {
        Self(der.into())
    }

    /// The bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<String> for PublicKey {
    type Error = data_encoding::DecodeError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Ok(Self(BASE64.decode(text.as_bytes())?.into()))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        BASE64.encode(&key.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", BASE64.encode(&self.0))
    }
}

/// What a key is made of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyMaterial {
    /// The half that everybody may know.
    Public(PublicKey),
    /// A secret, sealed for [`TokenKey::place`]; opened it is base64url without padding, as `k` of a JWK.
    Sealed(String),
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public(key) => key.fmt(f),
            Self::Sealed(_) => f.write_str("Sealed(…)"),
        }
    }
}

/// One key of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenKey {
    /// Its name among those of the credential.
    pub kid: KeyId,
    /// The only algorithm that it verifies.
    pub alg: TokenAlgorithm,
    /// What it is made of.
    pub material: KeyMaterial,
    /// When it was added.
    pub added_at: Timestamp,
}

impl TokenKey {
    /// For which place its secret is sealed.
    #[must_use]
    pub fn place(credential: &str, kid: &str) -> String {
        format!("credential/{credential}/{kid}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_named_letter_for_letter() {
        for algorithm in TokenAlgorithm::ALL {
            assert_eq!(TokenAlgorithm::from_word(algorithm.as_str()), Some(algorithm));
            let json = serde_json::to_string(&algorithm).unwrap();
            assert_eq!(json, format!("\"{}\"", algorithm.as_str()));
        }
        for other in ["none", "None", "", "hs256", "HS512", "PS256", "ES384", "Ed25519", "EdDSA "] {
            assert_eq!(TokenAlgorithm::from_word(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_key_is_named_within_bounds() {
        for good in
            ["a", "2011-04-29", "bilbo.baggins@hobbiton.example", "../../etc/passwd", &"k".repeat(128)]
        {
            assert_eq!(good.parse::<KeyId>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a\n", "é", "\u{0}", &"k".repeat(129)] {
            assert_eq!(bad.parse::<KeyId>(), Err(InvalidKeyId), "{bad:?}");
        }
    }
}
