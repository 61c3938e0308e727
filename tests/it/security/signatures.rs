//! A secret that could be guessed signs nothing: no credential is made of it.

use std::fs;

use data_encoding::BASE64;
use naru_tests::gateway::{Gateway, Setup};

use crate::stage::beside_others;

#[test]
fn no_credential_is_made_of_an_empty_or_weak_secret() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let path = gateway.home().join("secret");
    let add = |secret: &str| {
        fs::write(&path, secret).unwrap();
        let file = path.to_str().unwrap();
        gateway.verb(&["credential", "add", "c0", "--kind", "hmac", "--secret-file", file])
    };
    let before = gateway.verb(&["credential", "list", "--json"]).unwrap();
    let random: Vec<u8> = (0..=255_u8).map(|byte| byte.wrapping_mul(167) ^ 0x5a).collect();
    let of = |length: usize| BASE64.encode(&random[..length]);
    for weak in [String::new(), "\n".to_owned(), "secret".to_owned(), of(1), of(31), of(129), "!".repeat(44)]
    {
        let refused = add(&weak);
        assert!(refused.is_err(), "{weak:?}: {refused:?}");
    }
    assert_eq!(gateway.verb(&["credential", "list", "--json"]).unwrap(), before);
    add(&of(32)).unwrap();
}
