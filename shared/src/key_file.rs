//! `keys.toml`: the secrets of a deployment, made on the first start, readable by their owner only.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    data_dir::{is_open_to_others, write_private},
    keys::{Keyring, Secret, random_bytes},
};

/// Why the secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There are none yet.
    #[error("{0} is missing")]
    Missing(PathBuf),
    /// Others could read them.
    #[error("{0} can be read by others than its owner: `chmod 600` it, and think of its secrets as known")]
    TooOpen(PathBuf),
    /// What is in the file is not what belongs there. Never quotes the file.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The operating system refused.
    #[error("cannot use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    master: String,
    ids: String,
    envelope: Vec<StoredEnvelopeKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredEnvelopeKey {
    id: String,
    secret: String,
}

/// Makes new secrets and writes them; after a crash the file is there whole or not at all.
///
/// # Errors
/// If it cannot be written, or is there already: secrets are never replaced.
pub fn create(path: &Path) -> Result<Keyring, KeyFileError> {
    let key_id = data_encoding::HEXLOWER.encode(&random_bytes::<4>());
    let text = Zeroizing::new(format!(
        "# The secrets of this deployment. Whoever reads them can forge messages.\n\
         # Credentials are hashed with a key derived from `master`.\n\
         master = \"{}\"\n\
         # Derives message ids from idempotency keys. It never changes: with another one, a repeated call is a new message.\n\
         ids = \"{}\"\n\n\
         # Sign what lies on the queue. The first signs, all verify; keep an old one for longer than the queue keeps packs.\n\
         [[envelope]]\nid = \"{key_id}\"\nsecret = \"{}\"\n",
        *Secret::random().to_hex(),
        *Secret::random().to_hex(),
        *Secret::random().to_hex(),
    ));
    let failed = |source| KeyFileError::Io { path: path.to_owned(), source };
    write_private(path, text.as_bytes()).map_err(failed)?;
    load(path)
}

/// Reads the secrets.
///
/// # Errors
/// If they are missing, open to others, or damaged.
pub fn load(path: &Path) -> Result<Keyring, KeyFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => KeyFileError::Io { path: path.to_owned(), source },
    };
    if is_open_to_others(path).map_err(failed)? {
        return Err(KeyFileError::TooOpen(path.to_owned()));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    read(&text, path)
}

/// Reads the secrets out of the text of such a file; `place` says where it came from.
///
/// # Errors
/// If it is not such a text.
pub fn read(text: &str, place: impl AsRef<Path>) -> Result<Keyring, KeyFileError> {
    parse(text).map_err(|what| KeyFileError::Damaged { path: place.as_ref().to_owned(), what })
}

fn parse(text: &str) -> Result<Keyring, &'static str> {
    let stored: Stored = toml::from_str(text)
        .map_err(|_| "expected `master`, `ids` and `[[envelope]]` with `id` and `secret`")?;
    let secret = |hex: &str| Secret::from_hex(hex).ok_or("a secret is not 64 hexadecimal digits");
    if stored.envelope.is_empty() {
        return Err("there is no `[[envelope]]` key");
    }
    let mut envelopes = Vec::with_capacity(stored.envelope.len());
    for key in &stored.envelope {
        let plain =
            !key.id.is_empty() && key.id.len() <= 32 && key.id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain {
            return Err("an envelope key's `id` must be 1 to 32 letters and digits");
        }
        envelopes.push((key.id.clone(), secret(&key.secret)?));
    }
    let credentials = secret(&stored.master)?.derive("credentials");
    Ok(Keyring { ids: secret(&stored.ids)?, credentials, envelopes })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_read_back_as_they_were_made() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("keys.toml");
        assert!(matches!(load(&path), Err(KeyFileError::Missing(_))));
        let made = create(&path).unwrap();
        let read = load(&path).unwrap();
        assert_eq!(*made.ids.to_hex(), *read.ids.to_hex());
        assert_eq!(*made.credentials.to_hex(), *read.credentials.to_hex());
        assert_eq!(made.envelopes[0].0, read.envelopes[0].0);
        assert!(create(&path).is_err(), "keys must never be replaced");
    }

    #[test]
    fn keys_that_others_can_read_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("keys.toml");
        create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load(&path), Err(KeyFileError::TooOpen(_))));
    }

    #[test]
    fn damaged_keys_are_refused_without_quoting_them() {
        let hex = "ab".repeat(32);
        for text in [
            String::new(),
            format!("master = \"{hex}\"\nids = \"{hex}\"\nenvelope = []\n"),
            format!("master = \"{hex}0\"\nids = \"{hex}\"\n[[envelope]]\nid = \"a\"\nsecret = \"{hex}\"\n"),
            format!("master = \"{hex}\"\nids = \"{hex}\"\n[[envelope]]\nid = \"a.b\"\nsecret = \"{hex}\"\n"),
            format!(
                "master = \"{hex}\"\nids = \"{hex}\"\nmore = 1\n[[envelope]]\nid = \"a\"\nsecret = \"{hex}\"\n"
            ),
        ] {
            let said = parse(&text).unwrap_err();
            assert!(!said.contains("abab"), "{said}");
        }
    }
}
