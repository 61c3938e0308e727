//! Keys of tokens, as operators bring them: read from files, checked, named. What could never verify safely is refused, with what to
//! do instead; a private key above all, which nobody but its owner should have.

mod jwks;
mod public;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use naru_shared::{
    domain::{CredentialId, KeyId, KeyMaterial, PublicKey, TOKEN_KEYS, Timestamp, TokenAlgorithm, TokenKey},
    keys::random_bytes,
    sealing::Sealer,
};
pub use public::Public;
use zeroize::Zeroizing;

use crate::exit::Failure;

/// Bytes of a file with keys.
const FILE: u64 = 64 * 1024;

/// Where keys come from.
#[derive(Debug, Clone, Default, Args)]
pub struct KeySource {
    /// Public keys as a JWKS or a JWK (RFC 7517); - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["public_key", "alg", "kid"])]
    pub jwks: Option<PathBuf>,
    /// A public key in PEM; - is standard input
    #[arg(long, value_name = "FILE", requires = "alg")]
    pub public_key: Option<PathBuf>,
    /// What the key verifies: RS256, ES256, EdDSA; or HS256, whose secret is made and shown once
    #[arg(long, value_name = "ALGORITHM", value_parser = algorithm)]
    pub alg: Option<TokenAlgorithm>,
    /// The key's name in tokens [default: of a public key its thumbprint (RFC 7638), of a secret made up]
    #[arg(long, value_name = "NAME", requires = "alg")]
    pub kid: Option<KeyId>,
}

fn algorithm(word: &str) -> Result<TokenAlgorithm, String> {
    TokenAlgorithm::from_word(word).ok_or_else(|| "it is one of HS256, RS256, ES256, EdDSA".to_owned())
}

/// Keys for a credential, and the secret that its owner must be told, once.
pub struct NewKeys {
    /// As the catalog keeps them.
    pub keys: Vec<TokenKey>,
    /// Base64url of 256 bits, where one was made.
    pub secret: Option<Zeroizing<String>>,
}

impl KeySource {
    /// Whether it names any.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.jwks.is_none() && self.public_key.is_none() && self.alg.is_none()
    }

    /// Whether the secrets of the deployment are needed for it.
    #[must_use]
    pub fn makes_secret(&self) -> bool {
        self.public_key.is_none() && self.alg == Some(TokenAlgorithm::Hs256)
    }

    /// Reads or makes them.
    ///
    /// # Errors
    /// [`Failure::Usage`] with what is wrong with a file or an option.
    pub fn keys(
        &self,
        credential: &CredentialId,
        sealer: Option<&Sealer>,
        now: Timestamp,
    ) -> anyhow::Result<NewKeys> {
        let keys = match (&self.jwks, &self.public_key, self.alg) {
            (Some(file), ..) => named(file, jwks::read(&read(file)?))?
                .into_iter()
                .map(|(kid, key)| stored(kid, key, now))
                .collect(),
            (_, Some(file), Some(alg)) => {
                let key = named(file, Public::from_pem(&read(file)?, alg))?;
                let kid = self.kid.clone().map_or_else(|| key.thumbprint().parse(), Ok)?;
                vec![stored(kid, key, now)]
            }
            (_, None, Some(TokenAlgorithm::Hs256)) => return self.secret(credential, sealer, now),
            (_, None, Some(alg)) => {
                let why = format!("a key for {} is brought: --public-key FILE or --jwks FILE", alg.as_str());
                return Err(Failure::Usage(why).into());
            }
            _ => {
                let why = "which key? --jwks FILE, --public-key FILE --alg ALGORITHM, or --alg HS256";
                return Err(Failure::Usage(why.to_owned()).into());
            }
        };
        Ok(NewKeys { keys, secret: None })
    }

    fn secret(
        &self,
        credential: &CredentialId,
        sealer: Option<&Sealer>,
        now: Timestamp,
    ) -> anyhow::Result<NewKeys> {
        let sealer = sealer.context("the deployment's secrets are needed to keep a secret")?;
        let made_up = || BASE32_NOPAD.encode(&random_bytes::<5>()).to_ascii_lowercase().parse();
        let kid = self.kid.clone().map_or_else(made_up, Ok)?;
        let secret = Zeroizing::new(BASE64URL_NOPAD.encode(&random_bytes::<32>()));
        let sealed = sealer.seal(&TokenKey::place(credential.as_str(), kid.as_str()), &secret)?;
        let material = KeyMaterial::Sealed(sealed);
        let key = TokenKey { kid, alg: TokenAlgorithm::Hs256, material, added_at: now };
        Ok(NewKeys { keys: vec![key], secret: Some(secret) })
    }
}

fn stored(kid: KeyId, key: Public, now: Timestamp) -> TokenKey {
    TokenKey { kid, alg: key.alg, material: KeyMaterial::Public(PublicKey::new(&key.der())), added_at: now }
}

fn named<T>(file: &Path, read: Result<T, String>) -> anyhow::Result<T> {
    Ok(read.map_err(|why| Failure::Usage(format!("{}: {why}", file.display())))?)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let whole = if file.as_os_str() == "-" {
        std::io::stdin().take(FILE + 1).read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|open| open.take(FILE + 1).read_to_string(&mut text))
    };
    let bytes =
        whole.map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", file.display())))?;
    if bytes as u64 > FILE {
        return Err(Failure::Usage(format!("{} is larger than 64 KiB", file.display())).into());
    }
    Ok(text)
}

/// The keys of a credential with more of them.
///
/// # Errors
/// [`Failure::Conflict`] if a name is taken, [`Failure::Refused`] beyond the bound.
pub fn together(mut keys: Vec<TokenKey>, more: &[TokenKey]) -> anyhow::Result<Vec<TokenKey>> {
    for key in more {
        if keys.iter().any(|known| known.kid == key.kid) {
            return Err(
                Failure::Conflict(format!("key `{}` exists already: give another --kid", key.kid)).into()
            );
        }
        keys.push(key.clone());
    }
    if keys.len() > TOKEN_KEYS {
        return Err(Failure::Refused(format!(
            "a credential has at most {TOKEN_KEYS} keys: remove some first"
        ))
        .into());
    }
    Ok(keys)
}

/// What a key is, for people.
#[must_use]
pub fn outline(key: &TokenKey) -> String {
    match &key.material {
        KeyMaterial::Sealed(_) => "secret, 256 bits".to_owned(),
        KeyMaterial::Public(public) => match key.alg {
            TokenAlgorithm::Rs256 => Public::rsa_bits(public.der())
                .map_or_else(|| "RSA".to_owned(), |bits| format!("RSA, {bits} bits")),
            TokenAlgorithm::Es256 => "P-256".to_owned(),
            TokenAlgorithm::EdDsa => "Ed25519".to_owned(),
            TokenAlgorithm::Hs256 => String::new(),
        },
    }
}

#[cfg(test)]
mod tests;
