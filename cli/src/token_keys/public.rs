//! A public key that verifies tokens: what it is made of, what it must be, and its bytes as `SubjectPublicKeyInfo`.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey},
};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use naru_shared::domain::TokenAlgorithm;
use rustls::pki_types::pem::{PemObject, SectionKind};

/// What precedes the 65 bytes of a point, uncompressed (RFC 5480 section 2).
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// What precedes the 32 bytes of a key (RFC 8410 section 4).
const ED: &str = "302a300506032b6570032100";

/// `rsaEncryption` and its empty parameters (RFC 3279 section 2.3.1).
const RSA: &str = "300d06092a864886f70d0101010500";

/// Points of small order, without their sign: whoever has one of them for a key has a signature for everything.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// What is said of a key that should have stayed where it was.
pub const PRIVATE: &str = "this is a private key, which nobody but its owner should have: give the public one, and if this one has been \
     elsewhere, make another (`openssl pkey -in key.pem -pubout`)";

/// A public key that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// What it verifies.
    pub alg: TokenAlgorithm,
    parts: Parts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Parts {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256([u8; 64]),
    Ed25519([u8; 32]),
}

impl Public {
    /// An RSA key by modulus and exponent, most significant byte first.
    ///
    /// # Errors
    /// A sentence that says why not: shorter than 2048 bits, longer than 4096, or of an exponent that is not used.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, String> {
        let [n, e] = [n, e].map(|number| number.iter().copied().skip_while(|b| *b == 0).collect::<Vec<u8>>());
        let bits = bits(&n);
        if !(2_048..=4_096).contains(&bits) {
            return Err(format!("an RSA key has 2048 to 4096 bits, this one has {bits}"));
        }
        let exponent = e.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let usual = e.len() <= 4 && exponent >= 65_537 && exponent % 2 == 1;
        if !usual || n.last().is_none_or(|last| last % 2 == 0) {
            return Err(
                "an RSA key has an odd modulus, and 65537 or a larger odd number of 32 bits for its exponent"
                    .to_owned(),
            );
        }
        let public = Self { alg: TokenAlgorithm::Rs256, parts: Parts::Rsa { n, e } };
        rsa::PublicKey::from_der(&public.der()).map_err(|_| "the RSA key is not one".to_owned())?;
        Ok(public)
    }

    /// A key on P-256 by its point.
    ///
    /// # Errors
    /// If there is no such point.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, String> {
        let point = [x, y].concat();
        let point = point.try_into().ok().filter(|_| x.len() == 32);
        let point = point.ok_or("a point of P-256 has two coordinates of 32 bytes")?;
        let public = Self { alg: TokenAlgorithm::Es256, parts: Parts::P256(point) };
        let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public.der());
        parsed.map_err(|_| "the point is not on the curve P-256".to_owned())?;
        Ok(public)
    }

    /// A key of Ed25519 by its 32 bytes.
    ///
    /// # Errors
    /// If it is none, or one that proves nothing.
    pub fn ed25519(x: &[u8]) -> Result<Self, String> {
        let key: [u8; 32] = x.try_into().map_err(|_| "a key of Ed25519 has 32 bytes".to_owned())?;
        let mut unsigned = key;
        unsigned[31] &= 0x7f;
        if SMALL_ORDER.contains(&HEXLOWER.encode(&unsigned).as_str()) {
            return Err("the key has a small order: anybody can sign for it".to_owned());
        }
        let public = Self { alg: TokenAlgorithm::EdDsa, parts: Parts::Ed25519(key) };
        ParsedPublicKey::new(&ED25519, public.der()).map_err(|_| "the key is none of Ed25519".to_owned())?;
        Ok(public)
    }

    /// A public key in PEM, for the algorithm that its owner signs with.
    ///
    /// # Errors
    /// A sentence that says what it is instead.
    pub fn from_pem(text: &str, alg: TokenAlgorithm) -> Result<Self, String> {
        if text.contains("PRIVATE KEY") {
            return Err(PRIVATE.to_owned());
        }
        let sections: Result<Vec<(SectionKind, Vec<u8>)>, _> =
            PemObject::pem_slice_iter(text.as_bytes()).collect();
        let sections = sections.map_err(|error| format!("it is no PEM: {error}"))?;
        let der = match sections.as_slice() {
            [(SectionKind::PublicKey, der)] => der,
            [(SectionKind::Certificate, _), ..] => {
                return Err("it is a certificate: give its key (`openssl x509 -in cert.pem -noout -pubkey`)"
                    .to_owned());
            }
            [] => return Err("there is no `-----BEGIN PUBLIC KEY-----` in it".to_owned()),
            _ => {
                return Err(
                    "it holds more than one public key: bring them one by one, or as a JWKS".to_owned()
                );
            }
        };
        match alg {
            TokenAlgorithm::Rs256 => {
                let (n, e) = rsa_parts(der).ok_or("the key is not of RSA, which RS256 needs")?;
                Self::rsa(&n, &e)
            }
            TokenAlgorithm::Es256 => {
                let point = after(P256, der).and_then(|rest| rest.strip_prefix(&[4]));
                let point = point.filter(|point| point.len() == 64);
                let (x, y) = point
                    .ok_or("the key is not an uncompressed point of P-256, which ES256 needs")?
                    .split_at(32);
                Self::p256(x, y)
            }
            TokenAlgorithm::EdDsa => {
                Self::ed25519(after(ED, der).ok_or("the key is not of Ed25519, which EdDSA needs")?)
            }
            TokenAlgorithm::Hs256 => {
                Err("HS256 has no public key: leave --public-key out, and a secret is made".to_owned())
            }
        }
    }

    /// As `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        match &self.parts {
            Parts::Rsa { n, e } => {
                let key = [&[0][..], &tlv(0x30, &[integer(n), integer(e)].concat())].concat();
                tlv(0x30, &[hex(RSA), tlv(3, &key)].concat())
            }
            Parts::P256(point) => [&hex(P256)[..], &[4], point].concat(),
            Parts::Ed25519(key) => [&hex(ED)[..], key].concat(),
        }
    }

    /// Its thumbprint (RFC 7638 section 3; RFC 8037 appendix A.3): SHA-256 of its members in order, in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let members = match &self.parts {
            Parts::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            Parts::P256(point) => {
                let (x, y) = point.split_at(32);
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
            Parts::Ed25519(key) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(key)),
        };
        text(digest(&SHA256, members.as_bytes()).as_ref())
    }

    /// The bits of an RSA key's modulus.
    #[must_use]
    pub fn rsa_bits(der: &[u8]) -> Option<usize> {
        rsa_parts(der).map(|(n, _)| bits(&n))
    }
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap_or_default()
}

fn after<'a>(prefix: &str, der: &'a [u8]) -> Option<&'a [u8]> {
    der.strip_prefix(hex(prefix).as_slice())
}

/// Modulus and exponent. The library reads whichever form it is, and writes the one that is read here (RFC 8017 appendix A.1.1).
fn rsa_parts(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let key = rsa::PublicKey::from_der(der).ok()?;
    let (0x30, inside, []) = element(key.as_ref())? else { return None };
    let (2, n, rest) = element(inside)? else { return None };
    let (2, e, []) = element(rest)? else { return None };
    let plain = |number: &[u8]| number.iter().copied().skip_while(|b| *b == 0).collect();
    Some((plain(n), plain(e)))
}

/// The first element of DER: its tag, what is inside, what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long => {
            let (bytes, rest) =
                rest.split_at_checked(usize::from(long & 0x7f)).filter(|(b, _)| b.len() <= 2)?;
            (bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((tag, inside, rest))
}

fn integer(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    tlv(2, &[sign, number].concat())
}

/// A tag, a length of up to 65,535, and what is inside (X.690 section 8.1).
fn tlv(tag: u8, inside: &[u8]) -> Vec<u8> {
    let length = inside.len();
    let mut der = vec![tag];
    match length {
        0..=0x7f => der.push(length as u8),
        0x80..=0xff => der.extend([0x81, length as u8]),
        _ => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend_from_slice(inside);
    der
}
