//! Signatures of tokens, by aws-lc-rs. Which algorithm verifies is the key's to say, never the token's.

use aws_lc_rs::{
    hmac,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    },
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use naru_shared::{
    domain::{KeyMaterial, PublicKey, Timestamp, TokenAlgorithm, TokenKey},
    keys::random_bytes,
    sealing::{NotOurs, Sealer},
};

/// Whether a public key signed it (RFC 7518 sections 3.3 and 3.4, RFC 8037 section 3.1).
pub fn by_public(algorithm: TokenAlgorithm, key: &PublicKey, signed: &[u8], signature: &[u8]) -> bool {
    let verifier: &'static dyn VerificationAlgorithm = match algorithm {
        TokenAlgorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        TokenAlgorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        TokenAlgorithm::EdDsa => &ED25519,
        // A public key is no secret.
        TokenAlgorithm::Hs256 => return false,
    };
    UnparsedPublicKey::new(verifier, key.der()).verify(signed, signature).is_ok()
}

/// Whether a secret signed it (RFC 7518 section 3.2); compared in constant time, whole.
pub fn by_secret(secret: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed, signature).is_ok()
}

/// Whether a key of a credential signed it.
pub fn by_key(sealer: &Sealer, place: &str, key: &TokenKey, signed: &[u8], signature: &[u8]) -> bool {
    match (&key.material, key.alg) {
        (KeyMaterial::Public(public), algorithm) => by_public(algorithm, public, signed, signature),
        (KeyMaterial::Sealed(sealed), TokenAlgorithm::Hs256) => {
            let Ok(opened) = sealer.open(place, sealed) else { return false };
            // A short secret was never made here.
            BASE64URL_NOPAD
                .decode(opened.as_bytes())
                .is_ok_and(|secret| secret.len() >= 32 && by_secret(&secret, signed, signature))
        }
        (KeyMaterial::Sealed(_), _) => false,
    }
}

/// For which place the stranger's secret is sealed: nobody's, without a name.
const NOWHERE: &str = "credential//";

/// RFC 7515 appendices A.2.1 and A.3.1 and RFC 8037 appendix A.2, as `SubjectPublicKeyInfo`: well known, so that nobody takes them
/// for ours.
const PUBLIC: [(TokenAlgorithm, &str); 3] = [
    (
        TokenAlgorithm::Rs256,
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQAB",
    ),
    (
        TokenAlgorithm::Es256,
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==",
    ),
    (TokenAlgorithm::EdDsa, "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
];

/// Keys that stand where there is none, one of each algorithm, so that a call for an unknown id costs what one for a known id costs. Whatever
/// they verify is refused all the same. A secret of this moment is among them.
///
/// # Errors
/// If the cryptography refuses.
pub fn strangers(sealer: &Sealer) -> Result<Vec<TokenKey>, NotOurs> {
    let secret = BASE64URL_NOPAD.encode(&random_bytes::<32>());
    let secret = KeyMaterial::Sealed(sealer.seal(NOWHERE, &secret)?);
    let mut keys = vec![stranger(TokenAlgorithm::Hs256, secret)?];
    for (algorithm, der) in PUBLIC {
        let der = BASE64.decode(der.as_bytes()).map_err(|_| NotOurs)?;
        keys.push(stranger(algorithm, KeyMaterial::Public(PublicKey::new(&der)))?);
    }
    Ok(keys)
}

fn stranger(alg: TokenAlgorithm, material: KeyMaterial) -> Result<TokenKey, NotOurs> {
    let kid = "-".parse().map_err(|_| NotOurs)?;
    Ok(TokenKey { kid, alg, material, added_at: Timestamp::from_millis(0) })
}

#[cfg(test)]
mod tests;
