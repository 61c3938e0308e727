//! Where a blob lies: the path of a file, or the key of an object.

use std::fmt;

use super::{AttachmentId, Sha256Sum};
use crate::domain::Account;

/// The name of a blob: letters, digits, `-`, `_` and `/`, made here and never taken from outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName(String);

impl BlobName {
    /// An attachment: under its owner, so that a name of another's leads nowhere.
    #[must_use]
    pub fn attachment(owner: &Account, id: AttachmentId) -> Self {
        Self(format!("attachments/{}/{}/{id}", owner.environment.as_str(), owner.customer))
    }

    /// A pack that a queue did not take.
    #[must_use]
    pub fn pack(digest: &Sha256Sum) -> Self {
        let text = digest.to_string();
        Self(format!("packs/{}/{text}", &text[..2]))
    }

    /// As a path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
