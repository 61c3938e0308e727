//! Credentials that sign.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Output, Stdio},
};

use crate::program::{begun, code, complained, json, naru, run, said};

const HMAC: [&str; 5] = ["credential", "add", "acme", "--kind", "hmac"];

fn from_file(data: &Path, file: &Path, text: &str) -> Output {
    fs::write(file, text).unwrap();
    run(data, &[&HMAC[..], &["--secret-file", file.to_str().unwrap()]].concat())
}

#[test]
fn a_secret_that_signs_is_shown_once_and_kept_by_nobody_who_reads_files() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    assert_eq!(code(&data, &HMAC), 3, "there is no such customer");
    json(&data, &["customer", "add", "acme"]);
    let made = json(&data, &HMAC);
    assert_eq!((made["kind"].as_str(), made["password"].as_str()), (Some("hmac"), None));
    let secret = made["secret"].as_str().unwrap();
    assert_eq!((secret.len(), secret.ends_with('=')), (44, true), "32 bytes in base64");
    assert_ne!(json(&data, &HMAC)["secret"], made["secret"], "two may be valid at once");
    let told = said(&run(&data, &HMAC));
    assert!(told.contains("shown this once only"), "{told}");
    let listed = said(&run(&data, &["credential", "list", "acme", "--json"]));
    assert!(listed.matches("hmac").count() >= 3 && !listed.contains("secret"), "{listed}");
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!there, "{}", path.display());
        }
    }
    let id = made["id"].as_str().unwrap();
    assert!(json(&data, &["credential", "revoke", id])["revoked_at"].is_string());
}

#[test]
fn a_customer_cannot_have_an_empty_or_weak_secret() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    json(&data, &["customer", "add", "acme"]);
    let file = root.path().join("secret");
    for (what, text) in [
        ("nothing", ""),
        ("a blank", " \n"),
        ("no base64", "correct horse battery staple"),
        ("16 bytes", "MDEyMzQ1Njc4OWFiY2RlZg=="),
        ("32 zeros", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("a word again and again", "cGFzc3dvcmRwYXNzd29yZHBhc3N3b3JkcGFzc3dvcmQ="),
        ("0, 1, 2 and so on", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ] {
        let output = from_file(&data, &file, text);
        assert_eq!(output.status.code(), Some(2), "{what}: {}", complained(&output));
        assert!(text.trim().is_empty() || !complained(&output).contains(text), "{what}: it is not repeated");
    }
    let gone = [&HMAC[..], &["--secret-file", "/nowhere/at/all"]].concat();
    assert_eq!(code(&data, &gone), 1);
    assert_eq!(code(&data, &["credential", "add", "acme", "--secret-file", "/dev/null"]), 2);
    assert!(json(&data, &["credential", "list", "acme"]).as_array().unwrap().is_empty());
}

#[test]
fn a_customer_s_own_secret_is_taken_from_a_file_or_the_input_and_not_shown() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    json(&data, &["customer", "add", "acme"]);
    let own = "4bq0pXk0kmr8Kx4wkqWkJ3n9nX0JmW2v1mUeYV9oQhQ=";
    let output = from_file(&data, &root.path().join("secret"), &format!("{own}\n"));
    assert_eq!(output.status.code(), Some(0), "{}", complained(&output));
    assert!(!said(&output).contains(own), "{}", said(&output));
    let mut typed = naru(&data)
        .args(HMAC)
        .args(["--secret-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    typed.stdin.take().unwrap().write_all(own.as_bytes()).unwrap();
    assert!(typed.wait_with_output().unwrap().status.success());
}
