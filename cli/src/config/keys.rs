//! Where the deployment's secrets come from, if not from the data directory.

use std::{fmt, path::PathBuf};

use naru_shared::{key_file, keys::Keyring};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Where the secrets are. All processes of a deployment have the same ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeysConfig {
    /// A file that `naru keys make` made, readable by its owner only. Without it, `keys.toml` in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The text of such a file, from the variable `NARU_KEYS` and from nowhere else.
    #[serde(skip)]
    pub text: Option<KeysText>,
}

impl KeysConfig {
    /// Whether they are given, so that none are made.
    #[must_use]
    pub const fn are_given(&self) -> bool {
        self.file.is_some() || self.text.is_some()
    }
}

/// Secrets as text; erased when dropped, never printed.
#[derive(Clone)]
pub struct KeysText(Zeroizing<String>);

impl KeysText {
    /// From the text of a file that `naru keys make` made.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secrets.
    ///
    /// # Errors
    /// If the text is not that of such a file.
    pub fn keyring(&self) -> Result<Keyring, key_file::KeyFileError> {
        key_file::read(&self.0, "NARU_KEYS")
    }
}

impl fmt::Debug for KeysText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeysText(…)")
    }
}
