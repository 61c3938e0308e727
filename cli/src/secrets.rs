//! Secrets that Naru makes: 128 bits, shown once, kept as a keyed hash.

use data_encoding::BASE32_NOPAD;
use naru_shared::{
    domain::{Access, Credential, CredentialId, CredentialKind, CustomerId, Environment, Timestamp},
    keys::{CredentialHasher, Keyring, random_bytes},
};

/// A new Basic credential and what its owner must be told, once.
pub struct NewBasic {
    /// As the catalog keeps it.
    pub credential: Credential,
    /// The password.
    pub password: String,
    /// The API key.
    pub api_key: String,
}

impl NewBasic {
    /// Makes one.
    #[must_use]
    pub fn make(
        keyring: &Keyring,
        id: CredentialId,
        customer: CustomerId,
        environment: Environment,
        now: Timestamp,
    ) -> Self {
        let (password, api_key) = (secret_text(), secret_text());
        let secret = CredentialHasher::new(&keyring.credentials).basic(id.as_str(), &password, &api_key);
        let kind = CredentialKind::Basic { secret, password: None };
        let access = Access::default();
        let (created_at, revoked_at) = (now, None);
        let credential =
            Credential { id, customer, environment, kind, access, created_at, revoked_at, version: 0 };
        Self { credential, password, api_key }
    }

    /// As `curl -u` takes it: `ID:PW:API_KEY`.
    #[must_use]
    pub fn user(&self) -> String {
        format!("{}:{}:{}", self.credential.id, self.password, self.api_key)
    }
}

/// 128 random bits in 26 letters and digits.
fn secret_text() -> String {
    BASE32_NOPAD.encode(&random_bytes::<16>()).to_ascii_lowercase()
}

/// A few random characters for names that nobody chose.
#[must_use]
pub fn suffix() -> String {
    BASE32_NOPAD.encode(&random_bytes::<5>()).to_ascii_lowercase()
}
