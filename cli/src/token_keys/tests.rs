//! What is taken for a key, and what is not, with keys of openssl's and of RFCs'.

use naru_shared::keys::{Keyring, Secret};

use super::*;

/// RFC 7515 appendix A.2.1, RFC 7517 appendix A.1.
const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj\
hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpb\
ISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn pem(kind: &str, der: &[u8]) -> String {
    let lines = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = lines.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

fn refused(jwks: &str) -> String {
    jwks::read(jwks).map(|keys| keys.len()).unwrap_err()
}

fn es256(more: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"{more}}}"#)
}

#[test]
fn a_set_of_public_keys_is_taken_whole() {
    let rsa = format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#);
    let ed = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}","use":"sig","key_ops":["verify"]}}"#);
    let set = format!(r#"{{"keys":[{rsa},{},{ed}]}}"#, es256(r#","kid":"1","use":"sig""#));
    let keys = jwks::read(&set).unwrap();
    let names: Vec<_> = keys.iter().map(|(kid, key)| (kid.as_str(), key.alg.as_str())).collect();
    // RFC 8037 appendix A.3 is the thumbprint of the third.
    assert_eq!(
        names,
        [("2011-04-29", "RS256"), ("1", "ES256"), ("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "EdDSA")]
    );
    // RFC 7638 section 3.1.
    assert_eq!(keys[0].1.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(jwks::read(&es256("")).unwrap()[0].1, keys[1].1);
}

#[test]
fn a_key_is_the_same_in_pem() {
    let both = jwks::read(&format!(
        r#"{{"keys":[{},{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}"}},{{"kty":"RSA","n":"{RSA_N}","e":"AQAB"}}]}}"#,
        es256("")
    ))
    .unwrap();
    for (_, key) in both {
        let text = pem("PUBLIC KEY", &key.der());
        assert_eq!(Public::from_pem(&text, key.alg).unwrap(), key);
        for other in TokenAlgorithm::ALL.into_iter().filter(|other| *other != key.alg) {
            let why = Public::from_pem(&text, other).unwrap_err();
            assert!(why.contains(other.as_str()), "{why}");
        }
    }
}

#[test]
fn private_keys_are_refused_by_name() {
    for kind in
        ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"]
    {
        let why = Public::from_pem(&pem(kind, &[1; 48]), TokenAlgorithm::Rs256).unwrap_err();
        assert!(why.contains("private key"), "{kind}: {why}");
    }
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        let why = refused(&es256(&format!(r#","{name}":"AAAA""#)));
        assert!(why.contains("keys[0]: this is a private key"), "{name}: {why}");
    }
    assert!(refused(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#).contains("--alg HS256"));
}

#[test]
fn weak_keys_are_refused() {
    let url64 = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    let n = url64(RSA_N);
    for (n, e, why) in [
        (&n[..128], &[1, 0, 1][..], "1024"),
        (&n[1..], &[1, 0, 1][..], "204"),
        (&[&n[..], &n[..], &n[..]].concat()[..], &[1, 0, 1][..], "6144"),
        (&n[..], &[3][..], "65537"),
        (&n[..], &[1][..], "65537"),
        (&n[..], &[][..], "65537"),
        (&n[..], &[1, 0, 0][..], "65537"),
        (&n[..], &[1, 0, 0, 0, 1][..], "65537"),
        (&[&n[..255], &[2][..]].concat()[..], &[1, 0, 1][..], "odd modulus"),
        (&[][..], &[1, 0, 1][..], "2048"),
    ] {
        let refused = Public::rsa(n, e).unwrap_err();
        assert!(refused.contains(why), "{refused} instead of {why}");
    }
    assert!(Public::rsa(&[&[0, 0][..], &n].concat(), &[0, 1, 0, 1]).is_ok(), "zeros in front say nothing");
    let (x, y) = (url64(X), url64(Y));
    assert!(Public::p256(&x, &y).is_ok());
    let longer = [&y[..], &[1][..]].concat();
    for (x, y) in
        [(&x[..], &x[..]), (&[0; 32][..], &[0; 32][..]), (&x[..31], &longer[..]), (&x[..], &y[..31])]
    {
        assert!(Public::p256(x, y).is_err());
    }
    assert!(Public::ed25519(&url64(ED_X)).is_ok());
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    for weak in [[0; 32], one, minus_one] {
        assert!(Public::ed25519(&weak).is_err(), "{weak:?}");
    }
    for size in [0, 31, 33, 64] {
        assert!(Public::ed25519(&vec![7; size]).is_err());
    }
}

#[test]
fn a_set_says_which_key_is_wrong_and_why() {
    for (set, why) in [
        ("", "no JSON"),
        ("[]", "neither a JWKS"),
        (r#"{"keys":{}}"#, "array"),
        (r#"{"keys":[]}"#, "1 to 16"),
        (r#"{"keys":[7]}"#, "keys[0]"),
        (r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#, "P-384"),
        (r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#, "X25519"),
        (r#"{"kty":"RSA","n":"AQAB=","e":"AQAB"}"#, "`n`"),
        (&es256(r#","alg":"ES384""#), "ES256"),
        (&es256(r#","alg":"none""#), "ES256"),
        (&es256(r#","use":"enc""#), "`use`"),
        (&es256(r#","key_ops":["sign"]"#), "key_ops"),
        (&es256(r#","kid":7"#), "`kid`"),
        (&es256(r#","kid":"a b""#), "kid"),
        (&format!(r#"{{"keys":[{0},{0}]}}"#, es256("")), "keys[1]: another"),
        (&format!(r#"{{"keys":[{}]}}"#, vec![es256(""); 17].join(",")), "this one has 17"),
    ] {
        let refused = refused(set);
        assert!(refused.contains(why), "{set}: {refused}");
    }
    let point = Public::p256(&[0; 32], &[0; 32]).unwrap_err();
    assert!(point.contains("curve"), "{point}");
}

#[test]
fn other_files_are_told_what_they_are() {
    for (text, why) in [
        (pem("CERTIFICATE", &[1; 8]), "certificate"),
        (String::new(), "BEGIN PUBLIC KEY"),
        ("ssh-ed25519 AAAA me".to_owned(), "BEGIN PUBLIC KEY"),
        (pem("PUBLIC KEY", &[1; 8]).repeat(2), "more than one"),
        (pem("PUBLIC KEY", &[1; 8]), "ES256"),
    ] {
        let refused = Public::from_pem(&text, TokenAlgorithm::Es256).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_secret_is_made_sealed_and_told() {
    let keyring = Keyring { ids: Secret::random(), credentials: Secret::random(), envelopes: Vec::new() };
    let (id, sealer) = ("acme-1".parse().unwrap(), keyring.sealer());
    let source = KeySource {
        alg: Some(TokenAlgorithm::Hs256),
        kid: Some("k".parse().unwrap()),
        ..KeySource::default()
    };
    let made = source.keys(&id, Some(&sealer), Timestamp::from_millis(0)).unwrap();
    let secret = made.secret.unwrap();
    assert_eq!(BASE64URL_NOPAD.decode(secret.as_bytes()).unwrap().len(), 32);
    let [TokenKey { material: KeyMaterial::Sealed(sealed), .. }] = made.keys.as_slice() else {
        panic!("one secret")
    };
    assert!(!sealed.contains(secret.as_str()));
    assert_eq!(sealer.open("credential/acme-1/k", sealed).unwrap().as_str(), secret.as_str());
    let again = source.keys(&id, Some(&sealer), Timestamp::from_millis(0)).unwrap();
    assert_ne!(again.secret.unwrap(), secret);
    assert!(together(made.keys.clone(), &again.keys).is_err(), "the name is taken");
}
