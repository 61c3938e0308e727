//! Keys, credentials and tokens of the tests.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use data_encoding::BASE64URL_NOPAD;
use naru_shared::{
    domain::{
        Access, Credential, CredentialKind, Environment, KeyMaterial, PublicKey, SecretHash, Timestamp,
        TokenAlgorithm, TokenKey,
    },
    keys::{Keyring, Secret},
};
use serde_json::Value;

pub const NOW: i64 = 1_800_000_000;
pub const KID: &str = "k-1";

static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static OTHER_RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

pub fn keyring() -> Keyring {
    let secret = |byte| Secret::new([byte; 32]);
    Keyring { ids: secret(1), credentials: secret(2), envelopes: vec![("a".to_owned(), secret(3))] }
}

pub fn other_keyring() -> Keyring {
    Keyring { credentials: Secret::new([9; 32]), ..keyring() }
}

/// Who signs.
pub enum Signing {
    Secret(Vec<u8>),
    Rsa(&'static RsaKeyPair),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Signing {
    pub fn hs256() -> Self {
        Self::Secret(naru_shared::keys::random_bytes::<32>().to_vec())
    }

    pub fn es256() -> Self {
        Self::P256(Box::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
    }

    pub fn eddsa() -> Self {
        Self::Ed25519(Box::new(Ed25519KeyPair::generate().unwrap()))
    }

    /// One of each algorithm.
    pub fn all() -> [Self; 4] {
        [Self::hs256(), Self::Rsa(&RSA), Self::es256(), Self::eddsa()]
    }

    /// Likewise, and none of them the same.
    pub fn others() -> [Self; 4] {
        [Self::hs256(), Self::Rsa(&OTHER_RSA), Self::es256(), Self::eddsa()]
    }

    pub fn algorithm(&self) -> TokenAlgorithm {
        match self {
            Self::Secret(_) => TokenAlgorithm::Hs256,
            Self::Rsa(_) => TokenAlgorithm::Rs256,
            Self::P256(_) => TokenAlgorithm::Es256,
            Self::Ed25519(_) => TokenAlgorithm::EdDsa,
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Secret(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    fn public(&self) -> Option<Vec<u8>> {
        match self {
            Self::Secret(_) => None,
            Self::Rsa(pair) => Some(pair.public_key().as_der().unwrap().as_ref().to_vec()),
            Self::P256(pair) => Some(pair.public_key().as_der().unwrap().as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.public_key().as_der().unwrap().as_ref().to_vec()),
        }
    }

    /// What a forger would take for a secret: a public key as bytes and as text.
    pub fn known_to_all(&self) -> Vec<Vec<u8>> {
        let Some(der) = self.public() else { return vec![Vec::new(), b"secret".to_vec()] };
        let base64 = data_encoding::BASE64.encode(&der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
        vec![der, base64.into_bytes(), pem.into_bytes(), Vec::new()]
    }

    fn material(&self, credential: &str) -> KeyMaterial {
        match (self, self.public()) {
            (Self::Secret(secret), _) => {
                let place = TokenKey::place(credential, KID);
                KeyMaterial::Sealed(keyring().sealer().seal(&place, &BASE64URL_NOPAD.encode(secret)).unwrap())
            }
            (_, der) => KeyMaterial::Public(PublicKey::new(&der.unwrap())),
        }
    }
}

fn with(id: &str, kind: CredentialKind) -> Credential {
    Credential {
        id: id.parse().unwrap(),
        customer: "acme".parse().unwrap(),
        environment: Environment::Live,
        kind,
        created_at: Timestamp::from_millis(0),
        access: Access::default(),
        revoked_at: None,
        version: 1,
    }
}

/// `acme-tokens`, with the one key.
pub fn credential(signing: &Signing) -> Credential {
    let id = "acme-tokens";
    let (alg, material) = (signing.algorithm(), signing.material(id));
    let key = TokenKey { kid: KID.parse().unwrap(), alg, material, added_at: Timestamp::from_millis(0) };
    with(id, CredentialKind::Jwt { keys: vec![key] })
}

/// `acme-live`.
pub fn basic() -> Credential {
    with("acme-live", CredentialKind::Basic { secret: SecretHash([7; 32]), password: None })
}

/// A token of these texts, whatever they are.
pub fn raw(header: &str, claims: &str, signing: &Signing) -> String {
    let signed = [header, claims].map(|part| BASE64URL_NOPAD.encode(part.as_bytes())).join(".");
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signing.sign(signed.as_bytes())))
}

pub fn token(header: &Value, claims: &Value, signing: &Signing) -> String {
    raw(&header.to_string(), &claims.to_string(), signing)
}
