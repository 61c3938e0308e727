//! Secrets that Naru makes: 128 bits, shown once, kept as a keyed hash.

use data_encoding::BASE32_NOPAD;
use naru_shared::{
    domain::{Access, Credential, CredentialId, CredentialKind, CustomerId, Environment, Timestamp},
    keys::{CredentialHasher, Keyring, random_bytes},
    passwords::Passwords,
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

    /// Puts a password that a person chose in the place of the one that was made; the API key stays.
    ///
    /// # Errors
    /// If it cannot be hashed.
    pub fn choose(&mut self, keyring: &Keyring, password: &str) -> anyhow::Result<()> {
        let secret =
            CredentialHasher::new(&keyring.credentials).api_key(self.credential.id.as_str(), &self.api_key);
        let kept = Passwords::new(&keyring.credentials).keep(password)?;
        self.credential.kind = CredentialKind::Basic { secret, password: Some(kept) };
        self.password.clear();
        Ok(())
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
