//! Who calls, how they prove it, and how fast they may call.

use std::{fmt, num::NonZeroU32};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{
    Access, CredentialId, CustomerId, Environment, QuietHours, Senders, TimeZone, Timestamp, TokenKey,
    stored_credential::StoredCredential,
};

/// How fast a customer may call: in any window *t*, accepted ≤ limit · *t* / window + burst.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RatePolicy {
    /// The policy's name in `RateLimit` headers.
    pub name: String,
    /// Messages per window.
    pub limit: u32,
    /// The window in seconds.
    pub window_seconds: u32,
    /// Messages that may come at once.
    pub burst: u32,
}

/// What becomes of a customer's calls while nobody who knows about its rates can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatePolicy {
    /// Each process lets in its own share of the rates, never the whole.
    #[default]
    Local,
    /// All are let in.
    Open,
    /// All are refused.
    Closed,
}

impl GatePolicy {
    /// The word used in tables and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// A paying tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    /// Named for ever.
    pub id: CustomerId,
    /// For people to read.
    pub title: String,
    /// Calls are refused and what intake sees is rejected.
    pub suspended: bool,
    /// In which days and months are counted.
    pub time_zone: TimeZone,
    /// Its share among others that wait on a route: 1 to 100.
    pub weight: u32,
    /// All of them hold at once.
    pub rates: Vec<RatePolicy>,
    /// What becomes of its calls while nobody can be asked about its rates.
    #[serde(default)]
    pub gate_policy: GatePolicy,
    /// In whose name it may send.
    #[serde(default, skip_serializing_if = "Senders::is_unset")]
    pub senders: Senders,
    /// For how many seconds the same content to the same recipient is refused, up to 86,400; `None`: it never is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse_repeats: Option<NonZeroU32>,
    /// When no attempt of its messages begins; one rule for a channel at the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiet: Vec<QuietHours>,
    /// Grows with every change of this row.
    pub version: u64,
}

impl Customer {
    /// A customer that nothing but Naru's own bounds limits, called by its id.
    #[must_use]
    pub fn new(id: CustomerId) -> Self {
        Self {
            title: id.to_string(),
            id,
            suspended: false,
            time_zone: TimeZone::UTC,
            weight: 1,
            rates: Vec::new(),
            gate_policy: GatePolicy::Local,
            senders: Senders::default(),
            refuse_repeats: None,
            quiet: Vec::new(),
            version: 0,
        }
    }
}

/// A keyed hash of a secret that Naru made (128 bits or more, so that it cannot be guessed from its hash).
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretHash(pub [u8; 32]);

impl PartialEq for SecretHash {
    /// Takes the same time whatever differs.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A secret that must be known as it is, sealed with the deployment's own (see [`Sealer`](crate::sealing::Sealer)).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecret(pub String);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(…)")
    }
}

/// A password that a person chose, as it is kept: Argon2id (RFC 9106) in the PHC string format, salt and parameters included.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChosenPassword(pub Box<str>);

impl fmt::Debug for ChosenPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChosenPassword(…)")
    }
}

/// One way to authenticate; how documents hold it is told in `stored_credential`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredCredential", into = "StoredCredential")]
pub enum CredentialKind {
    /// HTTP Basic (RFC 7617) with `ID:PW:API_KEY`.
    Basic {
        /// Keyed hash of what Naru made: of password and API key, or of the API key alone where a person chose the password.
        secret: SecretHash,
        /// The password, where a person chose it.
        password: Option<ChosenPassword>,
    },
    /// HTTP Message Signatures (RFC 9421) with `hmac-sha256`.
    Hmac {
        /// What both sides sign with, sealed for this credential.
        secret: SealedSecret,
    },
    /// Tokens that their owner signs (RFC 7519), `iss` being the credential's id.
    Jwt {
        /// Any of them verifies; at most [`TOKEN_KEYS`](super::TOKEN_KEYS).
        keys: Vec<TokenKey>,
    },
}

impl CredentialKind {
    /// The word used in tables and logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "basic",
            Self::Hmac { .. } => "hmac",
            Self::Jwt { .. } => "jwt",
        }
    }
}

/// A credential of a customer, for one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The public half.
    pub id: CredentialId,
    /// Whose it is.
    pub customer: CustomerId,
    /// Where it opens.
    pub environment: Environment,
    /// How it proves itself.
    #[serde(flatten)]
    pub kind: CredentialKind,
    /// What it may do, and from where.
    #[serde(flatten)]
    pub access: Access,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked; it stays as a tombstone.
    pub revoked_at: Option<Timestamp>,
    /// Grows with every change of this row.
    pub version: u64,
}
