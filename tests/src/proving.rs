//! Calls that prove whose they are, in each way, made beforehand by means of their own: what signs here shares no code with what
//! verifies.

use std::{fs, path::Path};

use anyhow::Context;
use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use naru_shared::domain::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::gateway::Gateway;

/// The name of every key of tokens here.
const KID: &str = "k-1";

/// What a call has besides its proof.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// The header `Host`.
    pub host: &'a str,
    /// `GET`, `POST`.
    pub method: &'a str,
    /// Without a query.
    pub path: &'a str,
    /// JSON, or nothing.
    pub body: &'a str,
}

impl Shape<'_> {
    /// The bytes of the call with these lines of its head, each with its end.
    fn bytes(&self, lines: &str) -> Vec<u8> {
        let Self { host, method, path, body } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}");
        if !body.is_empty() {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        (head + "\r\n" + body).into_bytes()
    }

    /// With a password and a key: `user` is `ID:PW:API_KEY` (RFC 7617).
    #[must_use]
    pub fn basic(&self, user: &str) -> Vec<u8> {
        self.bytes(&format!("Authorization: Basic {}\r\n", BASE64.encode(user.as_bytes())))
    }

    /// Signed with a secret (RFC 9421), now and once.
    #[must_use]
    pub fn signed(&self, id: &str, secret: &hmac::Key) -> Vec<u8> {
        Signing::now(*self, id, secret).call(self)
    }

    /// With a token of its own (RFC 7519).
    ///
    /// # Errors
    /// If the cryptography refuses.
    pub fn token(&self, issuer: &str, key: &TokenKey) -> anyhow::Result<Vec<u8>> {
        Ok(self.bytes(&format!("Authorization: Bearer {}\r\n", key.token(issuer)?)))
    }
}

/// How a call is signed; whatever is not as it should be is made so by changing it.
#[derive(Debug, Clone)]
pub struct Signing<'a> {
    /// What is signed, as if it were sent.
    pub signs: Shape<'a>,
    /// Whose signature it says it is.
    pub id: &'a str,
    /// What it is made with.
    pub secret: &'a hmac::Key,
    /// When it says that it was made, in Unix seconds.
    pub created: i64,
    /// What makes it the only one of its kind.
    pub nonce: String,
    /// Whether the digest of a body is signed too.
    pub covers_digest: bool,
    /// More parameters, each with its semicolon.
    pub more: &'a str,
}

impl<'a> Signing<'a> {
    /// As it should be.
    #[must_use]
    pub fn now(signs: Shape<'a>, id: &'a str, secret: &'a hmac::Key) -> Self {
        Self { signs, id, secret, created: unix_seconds(), nonce: nonce(), covers_digest: true, more: "" }
    }

    /// The bytes of a call with this signature.
    #[must_use]
    pub fn call(&self, sent: &Shape<'_>) -> Vec<u8> {
        let Self { signs, id, secret, created, nonce, covers_digest, more } = self;
        let Shape { host, method, path, body } = signs;
        let (mut covered, mut lines, mut digest) =
            (r#""@method" "@authority" "@path" "@query""#.to_owned(), String::new(), String::new());
        if !body.is_empty() {
            let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
            let value = format!("sha-256=:{}:", BASE64.encode(sum.as_ref()));
            if *covers_digest {
                covered.push_str(r#" "content-digest""#);
                lines = format!("\"content-digest\": {value}\n");
            }
            digest = format!("Content-Digest: {value}\r\n");
        }
        let params = format!("({covered});created={created};nonce=\"{nonce}\";keyid=\"{id}\"{more}");
        let base = format!(
            "\"@method\": {method}\n\"@authority\": {host}\n\"@path\": {path}\n\"@query\": ?\n{lines}\"@signature-params\": {params}"
        );
        let tag = BASE64.encode(hmac::sign(secret, base.as_bytes()).as_ref());
        sent.bytes(&format!("{digest}Signature-Input: sig1={params}\r\nSignature: sig1=:{tag}:\r\n"))
    }
}

fn unix_seconds() -> i64 {
    SystemClock.now().as_millis().div_euclid(1_000)
}

/// Random, and as long as any other.
fn nonce() -> String {
    HEXLOWER.encode(&naru_shared::keys::random_bytes::<16>())
}

/// What tokens are signed with.
#[derive(Debug)]
pub enum TokenKey {
    /// A secret.
    Hs256(Box<hmac::Key>),
    /// A private key.
    Es256(Box<EcdsaKeyPair>),
}

impl TokenKey {
    /// A secret that nobody else has.
    #[must_use]
    pub fn hs256() -> Self {
        Self::Hs256(Box::new(secret(&naru_shared::keys::random_bytes::<32>())))
    }

    /// A private key that nobody else has.
    ///
    /// # Errors
    /// If the cryptography refuses.
    pub fn es256() -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("no key can be made")?;
        Ok(Self::Es256(Box::new(pair)))
    }

    /// A token that nobody made before, good for five minutes.
    ///
    /// # Errors
    /// If the cryptography refuses.
    pub fn token(&self, issuer: &str) -> anyhow::Result<String> {
        let alg = match self {
            Self::Hs256(_) => "HS256",
            Self::Es256(_) => "ES256",
        };
        let encode = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let now = unix_seconds();
        let claims = json!({ "iss": issuer, "aud": "naru", "iat": now, "exp": now + 300, "jti": nonce() });
        let signed =
            format!("{}.{}", encode(json!({ "alg": alg, "kid": KID, "typ": "JWT" })), encode(claims));
        let signature = match self {
            Self::Hs256(key) => hmac::sign(key, signed.as_bytes()).as_ref().to_vec(),
            Self::Es256(pair) => {
                let made = pair.sign(&SystemRandom::new(), signed.as_bytes());
                made.context("it cannot be signed")?.as_ref().to_vec()
            }
        };
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}

/// A secret as HMAC takes it.
#[must_use]
pub fn secret(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

/// Makes a live credential that signs its calls; its secret.
///
/// # Errors
/// If the gateway's program refuses.
pub fn add_signer(gateway: &Gateway, customer: &str, id: &str) -> anyhow::Result<hmac::Key> {
    let made = add(gateway, &[customer, "--id", id, "--kind", "hmac"])?;
    let text = made["secret"].as_str().context("no secret was shown")?;
    Ok(secret(&BASE64.decode(text.as_bytes())?))
}

/// Makes a live credential of tokens that are signed with a secret.
///
/// # Errors
/// If the gateway's program refuses.
pub fn add_hs256(gateway: &Gateway, customer: &str, id: &str) -> anyhow::Result<TokenKey> {
    let made = add(gateway, &[customer, "--id", id, "--kind", "jwt", "--alg", "HS256", "--kid", KID])?;
    let text = made["keys"][0]["secret"].as_str().context("no secret was shown")?;
    Ok(TokenKey::Hs256(Box::new(secret(&BASE64URL_NOPAD.decode(text.as_bytes())?))))
}

/// Makes a live credential of tokens that are signed with a private key of P-256.
///
/// # Errors
/// If the gateway's program refuses.
pub fn add_es256(gateway: &Gateway, customer: &str, id: &str) -> anyhow::Result<TokenKey> {
    let key = TokenKey::es256()?;
    let TokenKey::Es256(pair) = &key else { anyhow::bail!("another key was made") };
    let file = gateway.home().join(format!("{id}.pem"));
    fs::write(&file, pem(pair)?)?;
    let file = path(&file)?;
    let key_of = ["--alg", "ES256", "--kid", KID, "--public-key", file];
    add(gateway, &[&[customer, "--id", id, "--kind", "jwt"], &key_of[..]].concat())?;
    Ok(key)
}

fn pem(pair: &EcdsaKeyPair) -> anyhow::Result<String> {
    let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key());
    let text = BASE64.encode(der.context("a public key can be written")?.as_ref());
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
    Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
}

fn path(file: &Path) -> anyhow::Result<&str> {
    file.to_str().context("a path that is no text")
}

fn add(gateway: &Gateway, arguments: &[&str]) -> anyhow::Result<Value> {
    let said = gateway.verb(&[&["credential", "add"], arguments, &["--json"]].concat())?;
    Ok(serde_json::from_str(&said)?)
}
