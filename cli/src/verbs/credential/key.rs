//! `naru credential key`: the keys of a credential that proves itself by tokens.

use clap::Subcommand;
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{Credential, CredentialId, CredentialKind, KeyId, TokenKey},
};
use serde::Serialize;

use crate::{
    desk::Desk,
    exit::Failure,
    token_keys::{self, KeySource, NewKeys},
};

/// What can be done to keys.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// Take tokens that another key signs as well, within a second
    Add {
        /// Of which credential
        id: CredentialId,
        /// Which
        #[command(flatten)]
        source: KeySource,
    },
    /// Take no token any more that a key signed, within a second
    Remove {
        /// Of which credential
        id: CredentialId,
        /// Which
        kid: KeyId,
    },
    /// The keys of a credential
    List {
        /// Of which credential
        id: CredentialId,
    },
}

/// A key without what it is made of.
#[derive(Serialize)]
pub(super) struct ShownKey<'a> {
    kid: &'a KeyId,
    alg: &'static str,
    key: String,
    added_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> ShownKey<'a> {
    fn of(key: &'a TokenKey, secret: Option<&'a str>) -> Self {
        let (alg, added_at) = (key.alg.as_str(), key.added_at.to_string());
        Self { kid: &key.kid, alg, key: token_keys::outline(key), added_at, secret }
    }

    /// Keys as they were just made; a secret is of the only one.
    pub(super) fn new(made: &'a NewKeys) -> Vec<Self> {
        let secret = made.secret.as_ref().map(|secret| secret.as_str());
        made.keys.iter().map(|key| ShownKey::of(key, secret)).collect()
    }

    /// For people: what a token says, and the secret.
    pub(super) fn lines(keys: &[Self]) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        for key in keys {
            lines.push(("kid", key.kid.to_string()));
            lines.push(("alg", format!("{} ({})", key.alg, key.key)));
            if let Some(secret) = key.secret {
                lines.push(("secret", secret.to_owned()));
                lines.push(("", "the secret is 32 bytes in base64url, shown this once only".to_owned()));
            }
        }
        lines
    }
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub(super) async fn run(verb: KeyVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        KeyVerb::Add { id, source } => add(desk, &id, &source).await,
        KeyVerb::Remove { id, kid } => remove(desk, &id, &kid).await,
        KeyVerb::List { id } => list(desk, &id).await,
    }
}

/// Reads or makes the keys of a source, with the deployment's secrets where they are needed.
pub(super) async fn made(desk: &Desk, id: &CredentialId, source: &KeySource) -> anyhow::Result<NewKeys> {
    let keyring = if source.makes_secret() { Some(desk.own_keyring().await?) } else { None };
    source.keys(id, keyring.map(|keyring| keyring.sealer()).as_ref(), desk.now())
}

async fn add(desk: &Desk, id: &CredentialId, source: &KeySource) -> anyhow::Result<()> {
    let made = made(desk, id, source).await?;
    change(desk, id, |keys| token_keys::together(keys, &made.keys)).await?;
    let shown = ShownKey::new(&made);
    desk.out.one(&shown, &ShownKey::lines(&shown))
}

async fn remove(desk: &Desk, id: &CredentialId, kid: &KeyId) -> anyhow::Result<()> {
    change(desk, id, |mut keys| {
        let before = keys.len();
        keys.retain(|key| key.kid != *kid);
        match (before, keys.len()) {
            (before, left) if before == left => Err(Failure::NotFound("key", kid.to_string()).into()),
            (_, 0) => {
                let why =
                    format!("it is the only key of `{id}`: add another first, or revoke the credential");
                Err(Failure::Refused(why).into())
            }
            _ => Ok(keys),
        }
    })
    .await?;
    desk.out.said(
        &serde_json::json!({ "credential": id, "removed": kid }),
        &format!("key {kid} of {id} is removed"),
    )
}

async fn list(desk: &Desk, id: &CredentialId) -> anyhow::Result<()> {
    let Entry::Credential(credential) = desk.book()?.get(Kind::Credential, id.as_str()).await? else {
        return Err(Failure::NotFound("credential", id.to_string()).into());
    };
    let keys = keys_of(&credential)?;
    let shown: Vec<ShownKey<'_>> = keys.iter().map(|key| ShownKey::of(key, None)).collect();
    desk.out.rows(&shown, &["kid", "alg", "key", "added"], |key| {
        vec![key.kid.to_string(), key.alg.to_owned(), key.key.clone(), key.added_at.clone()]
    })
}

/// Changes the keys of a credential that has some.
async fn change(
    desk: &Desk,
    id: &CredentialId,
    change: impl Fn(Vec<TokenKey>) -> anyhow::Result<Vec<TokenKey>> + Send + Sync,
) -> anyhow::Result<()> {
    let with = |entry| match entry {
        Entry::Credential(mut credential) => {
            if credential.revoked_at.is_some() {
                return Err(Failure::Refused(format!("`{id}` is revoked, for ever")).into());
            }
            let keys = change(keys_of(&credential)?.to_vec())?;
            credential.kind = CredentialKind::Jwt { keys };
            Ok(Entry::Credential(credential))
        }
        other => Ok(other),
    };
    desk.book()?.change(Kind::Credential, id.as_str(), with).await.map(drop)
}

fn keys_of(credential: &Credential) -> anyhow::Result<&[TokenKey]> {
    match &credential.kind {
        CredentialKind::Jwt { keys } => Ok(keys),
        CredentialKind::Basic { .. } | CredentialKind::Hmac { .. } => {
            let (id, kind) = (&credential.id, credential.kind.as_str());
            Err(Failure::Refused(format!("`{id}` is a credential of kind {kind}: it has no keys")).into())
        }
    }
}
