//! Keys of tokens: those that openssl makes are taken, and whatever is none of them, or should be nobody else's, is told what it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::program::{begun, code, complained, json, run, said};

/// A private key and its public half, by openssl.
fn pair(folder: &Path, name: &str, options: &[&str]) -> (PathBuf, PathBuf) {
    let (private, public) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pem")));
    let openssl = |arguments: &[&str], out: &Path| {
        let output = Command::new("openssl").args(arguments).arg("-out").arg(out).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", complained(&output));
    };
    openssl(&[&["genpkey"], options].concat(), &private);
    openssl(&["pkey", "-pubout", "-in", &private.display().to_string()], &public);
    (private, public)
}

const RSA_2048: [&str; 4] = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const P256: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const ED25519: [&str; 2] = ["-algorithm", "ED25519"];

fn names(data: &Path, id: &str) -> Vec<(String, String, String)> {
    let word = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    let keys = json(data, &["credential", "key", "list", id]);
    let of = |key: &Value| (word(key, "kid"), word(key, "alg"), word(key, "key"));
    keys.as_array().unwrap().iter().map(of).collect()
}

#[test]
fn keys_are_added_listed_and_removed_but_the_last() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    json(&data, &["customer", "add", "acme"]);
    let file = |name: &str, options: &[&str]| pair(root.path(), name, options).1.display().to_string();
    let (rsa, p256, ed) = (file("rsa", &RSA_2048), file("p256", &P256), file("ed", &ED25519));
    let add = ["credential", "add", "acme", "--id", "acme-1", "--kind", "jwt"];
    let made = json(&data, &[&add[..], &["--public-key", &p256, "--alg", "ES256", "--kid", "a"]].concat());
    assert_eq!((&made["kind"], &made["keys"][0]["kid"]), (&"jwt".into(), &"a".into()));
    assert!(made["keys"][0].get("secret").is_none() && made.get("password").is_none(), "{made}");
    let more = |options: &[&str]| json(&data, &[&["credential", "key", "add", "acme-1"], options].concat());
    more(&["--public-key", &rsa, "--alg", "RS256", "--kid", "b"]);
    let third = more(&["--public-key", &ed, "--alg", "EdDSA"]);
    // A key that brings no name is called by its thumbprint: 256 bits in base64url.
    assert_eq!(third[0]["kid"].as_str().unwrap().len(), 43);
    let secret = more(&["--alg", "HS256", "--kid", "d"])[0]["secret"].as_str().unwrap().to_owned();
    let all: Vec<_> = names(&data, "acme-1").into_iter().map(|(_, alg, key)| (alg, key)).collect();
    let expected = [
        ("ES256", "P-256"),
        ("RS256", "RSA, 2048 bits"),
        ("EdDSA", "Ed25519"),
        ("HS256", "secret, 256 bits"),
    ];
    assert_eq!(all, expected.map(|(alg, key)| (alg.to_owned(), key.to_owned())));
    assert_eq!(code(&data, &["credential", "key", "add", "acme-1", "--alg", "HS256", "--kid", "d"]), 4);
    for shown in [&["credential", "key", "list", "acme-1", "--json"][..], &["credential", "list", "--json"]] {
        assert!(!said(&run(&data, shown)).contains(&secret), "{shown:?}");
    }
    let remove = |kid: &str| code(&data, &["credential", "key", "remove", "acme-1", kid]);
    assert_eq!((remove("nothing"), remove("a"), remove("a"), remove("b"), remove("d")), (3, 0, 3, 0, 0));
    let last = names(&data, "acme-1").remove(0).0;
    let kept = run(&data, &["credential", "key", "remove", "acme-1", &last]);
    assert!(kept.status.code() == Some(1) && complained(&kept).contains("revoke"), "{}", complained(&kept));
    json(&data, &["credential", "revoke", "acme-1"]);
    assert_eq!(code(&data, &["credential", "key", "add", "acme-1", "--alg", "HS256"]), 1);
    assert_eq!(code(&data, &["credential", "key", "list", "nobody"]), 3);
}

#[test]
fn what_is_no_public_key_that_can_be_used_is_told_what_it_is_and_nothing_is_made() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    json(&data, &["customer", "add", "acme"]);
    let pair = |name: &str, options: &[&str]| {
        let (private, public) = pair(root.path(), name, options);
        (private.display().to_string(), public.display().to_string())
    };
    let (rsa, p256, ed) = (pair("rsa", &RSA_2048), pair("p256", &P256), pair("ed", &ED25519));
    let weak = pair("weak", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let p384 = pair("p384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]);
    let large = root.path().join("large");
    fs::write(&large, "x".repeat(70_000)).unwrap();
    let (large, none) = (large.display().to_string(), root.path().join("none").display().to_string());
    let cases: [(&str, &str, &str); 13] = [
        (&rsa.0, "RS256", "private key"),
        (&p256.0, "ES256", "private key"),
        (&ed.0, "EdDSA", "private key"),
        (&weak.1, "RS256", "1024"),
        (&p384.1, "ES256", "P-256"),
        (&p256.1, "EdDSA", "EdDSA"),
        (&ed.1, "ES256", "ES256"),
        (&rsa.1, "ES256", "ES256"),
        (&p256.1, "RS256", "RS256"),
        (&p256.1, "HS256", "HS256"),
        (&p256.1, "none", "HS256, RS256, ES256, EdDSA"),
        (&large, "ES256", "64 KiB"),
        (&none, "ES256", "cannot be read"),
    ];
    for (file, alg, why) in cases {
        let add = [
            "credential",
            "add",
            "acme",
            "--id",
            "acme-1",
            "--kind",
            "jwt",
            "--public-key",
            file,
            "--alg",
            alg,
        ];
        let output = run(&data, &add);
        let told = complained(&output);
        assert!(output.status.code() == Some(2) && told.contains(why), "{file} {alg}: {told}");
    }
    for options in [
        &["--kind", "jwt"][..],
        &["--kind", "jwt", "--alg", "ES256"],
        &["--kind", "jwt", "--public-key", &p256.1],
        &["--kind", "jwt", "--jwks", &p256.1],
        &["--kind", "jwt", "--jwks", &p256.1, "--alg", "ES256"],
        &["--kind", "jwt", "--alg", "HS256", "--kid", "a b"],
        &["--alg", "HS256"],
        &["--kind", "saml"],
    ] {
        let output = run(&data, &[&["credential", "add", "acme", "--id", "acme-1"], options].concat());
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", complained(&output));
    }
    assert_eq!(json(&data, &["credential", "list", "acme"]), Value::Array(Vec::new()));
    let basic = json(&data, &["credential", "add", "acme"])["id"].as_str().unwrap().to_owned();
    assert_eq!(code(&data, &["credential", "key", "add", &basic, "--alg", "HS256"]), 1);
    assert_eq!(code(&data, &["credential", "key", "list", &basic]), 1);
}
