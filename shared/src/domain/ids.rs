//! Ids: 128 bits, printed as TypeIDs (`msg_` and 26 characters of Crockford base 32, lower case).
//!
//! A message id is 88 bits of payload and a 40-bit tag that binds the payload to its account, so that ingress can tell
//! whose an id is without a look-up. The payload is time and a counter, or, for a call with an idempotency key, derived
//! from the key: the same key gives the same id for ever, whatever cache was lost. That of a signed call without a key is
//! derived from the call.

use std::{fmt, str::FromStr};

use data_encoding::{Encoding, Specification};
use hmac::{Hmac, Mac};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Account, Key, SignedCall, Timestamp};
use crate::keys::Secret;

const PAYLOAD: usize = 11;

static CROCKFORD: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    #[expect(clippy::expect_used, reason = "a constant alphabet, covered by a test")]
    spec.encoding().expect("32 different symbols are an encoding")
});

/// Text is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected the prefix and 26 characters of 0-9 a-z without i l o u")]
pub struct ParseIdError;

/// The id of a message for its whole life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// From its 16 bytes, as a store keeps them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A TypeID's suffix: 128 bits in 26 characters, two zero bits in front (TypeID specification 0.3).
fn base32(bytes: &[u8; 16]) -> [u8; 26] {
    let mut padded = [0_u8; 20];
    let value = u128::from_be_bytes(*bytes);
    // 20 bytes are 160 bits and 32 symbols; the value is moved so that its 130 bits (two zeros first) are the first 26.
    padded[..16].copy_from_slice(&(value >> 2).to_be_bytes());
    padded[16] = (value as u8 & 0b11) << 6;
    let mut symbols = [0_u8; 32];
    CROCKFORD.encode_mut(&padded, &mut symbols);
    let mut out = [0_u8; 26];
    out.copy_from_slice(&symbols[..26]);
    out
}

/// Writes an id: its kind, and 26 characters.
pub(crate) fn type_id(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8; 16]) -> fmt::Result {
    f.write_str(prefix)?;
    f.write_str(str::from_utf8(&base32(bytes)).map_err(|_| fmt::Error)?)
}

/// Reads an id of that kind.
pub(crate) fn read_type_id(prefix: &str, text: &str) -> Result<[u8; 16], ParseIdError> {
    let suffix = text.strip_prefix(prefix).filter(|s| s.len() == 26).ok_or(ParseIdError)?;
    if suffix.as_bytes()[0] > b'7' {
        return Err(ParseIdError);
    }
    let mut symbols = [b'0'; 32];
    symbols[..26].copy_from_slice(suffix.as_bytes());
    let mut padded = [0_u8; 20];
    CROCKFORD.decode_mut(&symbols, &mut padded).map_err(|_| ParseIdError)?;
    let mut high = [0_u8; 16];
    high.copy_from_slice(&padded[..16]);
    let value = (u128::from_be_bytes(high) << 2) | u128::from(padded[16] >> 6);
    Ok(value.to_be_bytes())
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        type_id(f, "msg_", &self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        read_type_id("msg_", text).map(Self)
    }
}

impl TryFrom<String> for MessageId {
    type Error = ParseIdError;
    fn try_from(text: String) -> Result<Self, ParseIdError> {
        text.parse()
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.to_string()
    }
}

/// Makes message ids and tells whose an id is. Its secret never rotates: keys must give the same ids for ever.
pub struct Minter {
    mac: Hmac<Sha256>,
    last: Mutex<[u8; PAYLOAD]>,
}

impl Minter {
    /// A minter over the deployment's id secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self { mac: secret.hmac(), last: Mutex::new([0; PAYLOAD]) }
    }

    /// A new id for a call without a key: unique, ordered by time within a process.
    #[must_use]
    pub fn mint(&self, account: &Account, now: Timestamp) -> MessageId {
        self.tagged(account, self.next_payload(now))
    }

    /// The id of a call with a key: the same account and key give the same id.
    #[must_use]
    pub fn derive(&self, account: &Account, key: &Key) -> MessageId {
        let mut mac = self.mac.clone();
        feed(&mut mac, b"key", account);
        mac.update(key.as_str().as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut payload = [0; PAYLOAD];
        payload.copy_from_slice(&digest[..PAYLOAD]);
        self.tagged(account, payload)
    }

    /// The id of a message of a signed call without a key: the same credential, nonce and place in the call give the same id. No key
    /// that a customer can write gives one of these.
    #[must_use]
    pub fn derive_signed(&self, account: &Account, call: &SignedCall, item: Option<usize>) -> MessageId {
        let mut mac = self.mac.clone();
        feed(&mut mac, b"nonce", account);
        // A name holds no NUL, and a nonce is the last.
        let place = item.map_or(u64::MAX, |item| item as u64);
        mac.update(call.credential.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(&place.to_be_bytes());
        mac.update(call.nonce.as_str().as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut payload = [0; PAYLOAD];
        payload.copy_from_slice(&digest[..PAYLOAD]);
        self.tagged(account, payload)
    }

    /// Whether this id was made for this account (an id of another is, but for one in 2^40, told apart).
    #[must_use]
    pub fn is_of(&self, account: &Account, id: MessageId) -> bool {
        let mut payload = [0; PAYLOAD];
        payload.copy_from_slice(&id.0[..PAYLOAD]);
        self.tagged(account, payload) == id
    }

    /// 48 bits of milliseconds, then 40 that begin at random in each millisecond and count up.
    fn next_payload(&self, now: Timestamp) -> [u8; PAYLOAD] {
        let millis = now.as_millis().to_be_bytes();
        let mut last = self.last.lock();
        if last[..6] >= millis[2..] {
            for byte in last.iter_mut().rev() {
                let (next, carry) = byte.overflowing_add(1);
                *byte = next;
                if !carry {
                    break;
                }
            }
        } else {
            last[..6].copy_from_slice(&millis[2..]);
            last[6..].copy_from_slice(&fastrand::u64(..).to_be_bytes()[..5]);
        }
        *last
    }

    fn tagged(&self, account: &Account, payload: [u8; PAYLOAD]) -> MessageId {
        let mut mac = self.mac.clone();
        feed(&mut mac, b"tag", account);
        mac.update(&payload);
        let digest = mac.finalize().into_bytes();
        let mut id = [0; 16];
        id[..PAYLOAD].copy_from_slice(&payload);
        id[PAYLOAD..].copy_from_slice(&digest[..16 - PAYLOAD]);
        MessageId(id)
    }
}

/// What separates the uses of the id secret; names hold no NUL, so no two inputs are the same bytes.
fn feed(mac: &mut Hmac<Sha256>, purpose: &[u8], account: &Account) {
    for part in [purpose, account.environment.as_str().as_bytes(), account.customer.as_str().as_bytes()] {
        mac.update(part);
        mac.update(&[0]);
    }
}

/// One life of one worker process. Its heartbeat row tells whether the rows it holds are still in living hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncarnationId(i64);

impl IncarnationId {
    /// A new life.
    #[must_use]
    pub fn random() -> Self {
        Self(i64::from_be_bytes(crate::keys::random_bytes()) & i64::MAX)
    }

    /// As a store keeps it.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// As a store gives it back.
    #[must_use]
    pub const fn from_i64(value: i64) -> Self {
        Self(value)
    }
}

/// Marks the rows of one intake, so that a commit whose answer was lost can be told from a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IntakeToken(i64);

impl IntakeToken {
    /// A token that no other intake has.
    #[must_use]
    pub fn random() -> Self {
        Self(i64::from_be_bytes(crate::keys::random_bytes()))
    }

    /// As a store keeps it.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::domain::Environment;

    fn account(customer: &str, environment: Environment) -> Account {
        Account { customer: customer.parse().unwrap(), environment }
    }

    #[test]
    fn the_printed_form_is_the_specification_s() {
        // TypeID specification, valid.json: the zero, the ten, and the maximum.
        assert_eq!(MessageId([0; 16]).to_string(), "msg_00000000000000000000000000");
        let mut ten = [0; 16];
        ten[15] = 10;
        assert_eq!(MessageId(ten).to_string(), "msg_0000000000000000000000000a");
        assert_eq!(MessageId([255; 16]).to_string(), "msg_7zzzzzzzzzzzzzzzzzzzzzzzzz");
        let valid = "msg_0123456789abcdefghjkmnpqrs";
        assert_eq!(valid.parse::<MessageId>().unwrap().0[..4], [0x01, 0x10, 0xc8, 0x53]);
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for bad in [
            "",
            "msg_",
            "msg_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "msg_0000000000000000000000000i",
            "xyz_00000000000000000000000000",
        ] {
            assert_eq!(bad.parse::<MessageId>(), Err(ParseIdError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_id_reads_back(bytes in any::<[u8; 16]>()) {
            assert_eq!(MessageId(bytes).to_string().parse(), Ok(MessageId(bytes)));
        }
    }

    #[test]
    fn an_id_tells_whose_it_is() {
        let minter = Minter::new(&Secret::random());
        let mine = account("acme", Environment::Live);
        let key: Key = "order-77".parse().unwrap();
        for id in [minter.mint(&mine, Timestamp::from_millis(1)), minter.derive(&mine, &key)] {
            assert!(minter.is_of(&mine, id));
            assert!(!minter.is_of(&account("acme", Environment::Sandbox), id));
            assert!(!minter.is_of(&account("other", Environment::Live), id));
        }
        assert_eq!(minter.derive(&mine, &key), minter.derive(&mine, &key));
        assert_ne!(minter.derive(&mine, &key), minter.derive(&account("acme", Environment::Sandbox), &key));
    }

    #[test]
    fn a_signed_call_gives_the_same_ids_again_and_none_that_a_key_gives() {
        let minter = Minter::new(&Secret::random());
        let mine = account("acme", Environment::Live);
        let call = |credential: &str, nonce: &str| SignedCall {
            credential: credential.parse().unwrap(),
            nonce: nonce.parse().unwrap(),
        };
        let this = call("acme-hmac", "nonce-1234");
        let id = minter.derive_signed(&mine, &this, None);
        assert_eq!(minter.derive_signed(&mine, &this, None), id);
        assert!(minter.is_of(&mine, id));
        let others = [
            minter.derive_signed(&mine, &this, Some(0)),
            minter.derive_signed(&mine, &this, Some(1)),
            minter.derive_signed(&mine, &call("acme-hmac-2", "nonce-1234"), None),
            minter.derive_signed(&mine, &call("acme-hmac", "nonce-1235"), None),
            minter.derive_signed(&account("acme", Environment::Sandbox), &this, None),
            minter.derive(&mine, &"nonce-1234".parse().unwrap()),
        ];
        for (index, other) in others.iter().enumerate() {
            assert!(*other != id && !others[..index].contains(other), "{index}");
        }
    }

    #[test]
    fn ids_of_one_process_are_unique_and_ordered_even_when_the_clock_goes_back() {
        let minter = Minter::new(&Secret::random());
        let mine = account("acme", Environment::Live);
        let mut last = MessageId([0; 16]);
        for ms in [1_000, 1_000, 999, 1_000, 1_001, 5] {
            for _ in 0..1_000 {
                let id = minter.mint(&mine, Timestamp::from_millis(ms));
                assert!(id > last);
                last = id;
            }
        }
    }
}
