use serde_json::json;

use super::*;
use crate::keys::Secret;

const PLACE: &str = "callback/carrier";

fn sealer() -> Sealer {
    Sealer::new(&Secret::new([7; 32]))
}

fn proof(value: Value) -> Proof {
    Proof::describe(value, PLACE, &sealer()).unwrap()
}

fn admits(proof: &Proof, headers: &[(&str, &str)], body: &[u8], seconds: i64) -> bool {
    let header = |name: &str| {
        headers
            .iter()
            .find(|(there, _)| there.eq_ignore_ascii_case(name))
            .map(|(_, value)| (*value).to_owned())
    };
    let now = Timestamp::from_millis(seconds * 1_000);
    proof.admits_signed(
        PLACE,
        &sealer(),
        &Call { header: &header, path: "/callbacks/v1.0/carrier", body, now },
    )
}

#[test]
fn basic_admits_its_user_and_password_and_nothing_else() {
    let basic = proof(json!({ "kind": "basic", "user": "carrier", "secret": "s3cret-s3cret-s3" }));
    let admits = |text: &str| {
        basic.admits_basic(PLACE, &sealer(), &format!("Basic {}", BASE64.encode(text.as_bytes())))
    };
    assert!(admits("carrier:s3cret-s3cret-s3"));
    for wrong in ["", "carrier:", "carrier:s3cret-s3cret-s4", "other:s3cret-s3cret-s3", ":s3cret-s3cret-s3"] {
        assert!(!admits(wrong), "{wrong}");
    }
    assert!(!basic.admits_basic(PLACE, &sealer(), "Bearer s3cret-s3cret-s3"));
    assert!(
        !basic.admits_basic("callback/other", &sealer(), "Basic Y2Fycmllcjpz"),
        "sealed for another route"
    );
    let signed =
        proof(json!({ "kind": "standard-webhooks", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }));
    let given = format!("Basic {}", BASE64.encode(b":whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert!(!signed.admits_basic(PLACE, &sealer(), &given), "a key is no password");
}

/// The example of the specification's reference libraries.
#[test]
fn the_reference_example_of_standard_webhooks_is_admitted() {
    let signed =
        proof(json!({ "kind": "standard-webhooks", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }));
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ];
    let body = br#"{"test": 2432232314}"#;
    assert!(admits(&signed, &headers, body, 1_614_265_330));
    assert!(
        admits(&signed, &headers, body, 1_614_265_630) && !admits(&signed, &headers, body, 1_614_265_631)
    );
    assert!(!admits(&signed, &headers, br#"{"test": 2432232315}"#, 1_614_265_330));
    assert!(!admits(&signed, &headers[..2], body, 1_614_265_330));
    assert!(!admits(&signed, &headers[1..], body, 1_614_265_330));
}

/// The example of Twilio's documentation of request validation: the URL, then the fields by name, HMAC-SHA-1 in base 64.
#[test]
fn a_text_of_the_provider_s_own_is_signed() {
    let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
    let signed =
        proof(json!({ "kind": "hmac", "secret": "12345-12345-12345", "header": "X-Twilio-Signature",
        "algorithm": "sha1", "encoding": "base64", "signed": format!("{url}{{form}}") }));
    let body =
        b"CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212";
    let text =
        format!("{url}CallSidCA1234567890ABCDECaller+14158675310Digits1234From+14158675310To+18005551212");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345-12345-12345");
    let tag = BASE64.encode(hmac::sign(&key, text.as_bytes()).as_ref());
    assert!(admits(&signed, &[("x-twilio-signature", &tag)], body, 0));
    assert!(!admits(&signed, &[("x-twilio-signature", &tag)], b"CallSid=CA1", 0));
    assert!(!admits(&signed, &[], body, 0));
}

#[test]
fn a_signed_time_must_be_now_and_what_a_field_brings_is_no_field() {
    let signed = proof(
        json!({ "kind": "hmac", "secret": "0123456789abcdef", "header": "x-signature", "prefix": "sha256=",
        "signed": "{timestamp}.{body}.{path}{", "timestamp": "x-time" }),
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef");
    let tag = hmac::sign(&key, b"100.{path}./callbacks/v1.0/carrier{");
    let tag = format!("sha256={}", data_encoding::HEXLOWER.encode(tag.as_ref()));
    let headers = [("x-signature", tag.as_str()), ("x-time", "100")];
    assert!(admits(&signed, &headers, b"{path}", 400) && !admits(&signed, &headers, b"{path}", 401));
    let bare = [("x-signature", &tag["sha256=".len()..]), ("x-time", "100")];
    assert!(!admits(&signed, &bare, b"{path}", 100));
}

#[test]
fn a_proof_that_proves_nothing_is_refused() {
    for wrong in [
        json!({ "kind": "basic", "user": "a:b", "secret": "0123456789abcdef" }),
        json!({ "kind": "basic", "user": "a", "secret": "0123456789abcde" }),
        json!({ "kind": "standard-webhooks", "secret": "whsec_AAAA" }),
        json!({ "kind": "hmac", "secret": "0123456789abcdef", "header": "x", "signed": "{path}" }),
        json!({ "kind": "hmac", "secret": "0123456789abcdef", "header": "x", "signed": "{timestamp}{body}" }),
        json!({ "kind": "hmac", "secret": "0123456789abcdef" }),
        json!({ "kind": "hmac", "secret": "0123456789abcdef", "header": "Authorization", "prefix": "HMAC " }),
    ] {
        assert!(Proof::describe(wrong.clone(), PLACE, &sealer()).is_err(), "{wrong}");
    }
}
