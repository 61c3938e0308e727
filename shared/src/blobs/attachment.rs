//! Attachments: their ids tell whose they are, and what they hold.
//!
//! An id is 128 bits, printed as a TypeID (`att_…`): 88 bits derived, with a secret, from the owner, the content's digest and
//! its media type, and a tag of 40 bits that binds them to the owner. So the same upload has the same id, nobody can make an
//! id of somebody else's, ingress tells a foreign one without a look-up, and whoever reads the content sees whether it is
//! what was uploaded without believing the store.

use std::{fmt, str::FromStr};

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{MediaType, Sha256Sum};
use crate::{
    domain::{Account, ParseIdError, read_type_id, type_id},
    keys::Secret,
};

/// The most bytes of an attachment.
pub const LARGEST: usize = 10 << 20;

const PREFIX: &str = "att_";
const PAYLOAD: usize = 11;

/// The id of an attachment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttachmentId([u8; 16]);

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        type_id(f, PREFIX, &self.0)
    }
}

impl fmt::Debug for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AttachmentId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        read_type_id(PREFIX, text).map(Self)
    }
}

impl TryFrom<String> for AttachmentId {
    type Error = ParseIdError;
    fn try_from(text: String) -> Result<Self, ParseIdError> {
        text.parse()
    }
}

impl schemars::JsonSchema for AttachmentId {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AttachmentId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": crate::domain::type_id_pattern("att") })
    }
}

impl From<AttachmentId> for String {
    fn from(id: AttachmentId) -> Self {
        id.to_string()
    }
}

/// What was read under an id is not what was uploaded under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content is not that of this attachment")]
pub struct NotItself;

/// Makes ids of attachments. Its secret is that of ids, and never rotates.
#[derive(Clone)]
pub struct AttachmentKeys(Hmac<Sha256>);

impl AttachmentKeys {
    /// Over the deployment's id secret.
    #[must_use]
    pub fn new(ids: &Secret) -> Self {
        Self(ids.derive("attachments").hmac())
    }

    /// The id of what this account uploads.
    #[must_use]
    pub fn derive(&self, owner: &Account, digest: &Sha256Sum, media_type: MediaType) -> AttachmentId {
        let mac = self.fed(&[b"content", digest.as_bytes(), media_type.as_str().as_bytes()], owner);
        let mut payload = [0; PAYLOAD];
        payload.copy_from_slice(&mac[..PAYLOAD]);
        self.tagged(owner, payload)
    }

    /// Whether this id was made for this account (an id of another is, but for one in 2^40, told apart).
    #[must_use]
    pub fn is_of(&self, owner: &Account, id: AttachmentId) -> bool {
        let mut payload = [0; PAYLOAD];
        payload.copy_from_slice(&id.0[..PAYLOAD]);
        self.tagged(owner, payload) == id
    }

    /// Whether a content is that of an attachment of this account.
    ///
    /// # Errors
    /// If it is another's, or another content.
    pub fn verify(
        &self,
        owner: &Account,
        id: AttachmentId,
        digest: &Sha256Sum,
        media_type: MediaType,
    ) -> Result<(), NotItself> {
        if self.derive(owner, digest, media_type) == id { Ok(()) } else { Err(NotItself) }
    }

    fn tagged(&self, owner: &Account, payload: [u8; PAYLOAD]) -> AttachmentId {
        let tag = self.fed(&[b"tag", &payload], owner);
        let mut id = [0; 16];
        id[..PAYLOAD].copy_from_slice(&payload);
        id[PAYLOAD..].copy_from_slice(&tag[..16 - PAYLOAD]);
        AttachmentId(id)
    }

    /// Every part is written with its length, so that no two inputs are the same bytes.
    fn fed(&self, parts: &[&[u8]], owner: &Account) -> [u8; 32] {
        let mut mac = self.0.clone();
        let of = [owner.environment.as_str().as_bytes(), owner.customer.as_str().as_bytes()];
        for part in of.iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Environment;

    fn account(customer: &str, environment: Environment) -> Account {
        Account { customer: customer.parse().unwrap(), environment }
    }

    #[test]
    fn an_id_tells_whose_it_is_and_what_it_holds() {
        let keys = AttachmentKeys::new(&Secret::random());
        let (mine, other) = (account("acme", Environment::Live), account("other", Environment::Live));
        let sandbox = account("acme", Environment::Sandbox);
        let digest = Sha256Sum::of(b"content");
        let id = keys.derive(&mine, &digest, MediaType::Png);
        assert_eq!(id, keys.derive(&mine, &digest, MediaType::Png));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(keys.is_of(&mine, id) && !keys.is_of(&other, id) && !keys.is_of(&sandbox, id));
        assert_eq!(keys.verify(&mine, id, &digest, MediaType::Png), Ok(()));
        assert_eq!(keys.verify(&mine, id, &digest, MediaType::Gif), Err(NotItself));
        assert_eq!(keys.verify(&other, id, &digest, MediaType::Png), Err(NotItself));
        assert_eq!(keys.verify(&mine, id, &Sha256Sum::of(b"other"), MediaType::Png), Err(NotItself));
        let foreign = AttachmentKeys::new(&Secret::random());
        assert!(!foreign.is_of(&mine, id));
        for bad in ["", "att_", "msg_00000000000000000000000000", "att_8zzzzzzzzzzzzzzzzzzzzzzzzz"] {
            assert_eq!(bad.parse::<AttachmentId>(), Err(ParseIdError), "{bad}");
        }
    }
}
