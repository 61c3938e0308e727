//! Tokens of every kind against a registry, with a clock that is moved by hand.

mod made;

use naru_shared::{catalog::Entry, registry::MemoryRegistry};
use proptest::prelude::{any, prop, proptest};
use serde_json::{Value, json};

use super::*;
use made::{KID, NOW, Signing, credential, keyring, token};

struct Desk {
    tokens: Tokens,
    registry: Arc<MemoryRegistry>,
}

impl Desk {
    fn with(credentials: Vec<Credential>) -> Self {
        let registry = MemoryRegistry::new();
        registry.apply(credentials.into_iter().map(Entry::Credential).collect(), true, 1);
        Self { tokens: Tokens::new(&keyring(), "naru").unwrap(), registry }
    }

    fn replace(&self, credential: Credential) {
        let version = credential.version;
        self.registry.apply(vec![Entry::Credential(credential)], true, version);
    }

    fn at(&self, token: &str, seconds: i64) -> Result<Proved, Code> {
        let now = Timestamp::from_millis(seconds * 1_000);
        let verified = self.tokens.verify(token, self.registry.as_ref(), now);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(verified).map_err(|denied| denied.problem.code)
    }

    fn code(&self, token: &str) -> Option<Code> {
        self.at(token, NOW).err()
    }
}

fn claims() -> Value {
    json!({ "iss": "acme-tokens", "aud": "naru", "exp": NOW + 300 })
}

fn header(signing: &Signing) -> Value {
    json!({ "alg": signing.algorithm().as_str(), "kid": KID, "typ": "JWT" })
}

#[test]
fn a_token_of_each_algorithm_proves_its_credential_and_no_other_byte_does() {
    for signing in Signing::all() {
        let desk = Desk::with(vec![credential(&signing)]);
        let good = token(&header(&signing), &claims(), &signing);
        for _ in 0..2 {
            let proved = desk.at(&good, NOW).unwrap();
            assert_eq!((proved.credential.id.as_str(), proved.way), ("acme-tokens", Way::Token));
        }
        let bytes = good.as_bytes();
        for at in 0..bytes.len() {
            let mut other = bytes.to_vec();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(desk.code(&other).is_some(), "{:?} byte {at}", signing.algorithm());
        }
    }
}

#[test]
fn what_needs_a_look_up_fails_in_one_way() {
    for signing in Signing::all() {
        let known = credential(&signing);
        let revoked = Credential {
            id: "old".parse().unwrap(),
            revoked_at: Some(Timestamp::from_millis(1)),
            ..known.clone()
        };
        let desk = Desk::with(vec![known, revoked]);
        let with = |name: &str, value: &str| {
            let (mut header, mut claims) = (header(&signing), claims());
            let part = if name == "kid" { &mut header } else { &mut claims };
            part[name] = value.into();
            desk.code(&token(&header, &claims, &signing))
        };
        for (name, value) in [
            ("iss", "nobody"),
            ("iss", "old"),
            ("iss", "Acme Tokens' OR 1=1 --"),
            ("iss", "../../etc/passwd"),
            ("kid", "another"),
            ("kid", "../../dev/null"),
            ("kid", "k' UNION SELECT 'secret"),
            ("kid", "https://127.0.0.1:1/keys"),
        ] {
            assert_eq!(with(name, value), Some(Code::Unauthorized), "{name} {value}");
        }
        for other in Signing::others() {
            let forged = token(&header(&signing), &claims(), &other);
            assert_eq!(desk.code(&forged), Some(Code::Unauthorized));
        }
    }
}

#[test]
fn the_algorithm_is_the_keys_to_say() {
    let all = Signing::all();
    for owner in &all {
        let desk = Desk::with(vec![credential(owner)]);
        for named in &all {
            let mut confused = header(owner);
            confused["alg"] = named.algorithm().as_str().into();
            let same = named.algorithm() == owner.algorithm();
            // Signed by the owner's key under another name, and with its public key as a secret.
            if !same {
                assert_eq!(desk.code(&token(&confused, &claims(), owner)), Some(Code::Unauthorized));
            }
            confused["alg"] = "HS256".into();
            for secret in owner.known_to_all() {
                let forged = token(&confused, &claims(), &Signing::Secret(secret));
                assert_eq!(desk.code(&forged), Some(Code::Unauthorized));
            }
        }
        for none in ["none", "None", "NONE", "", "HS512", "RS384", "PS256", "ES256K", "dir"] {
            let mut nobody = header(owner);
            nobody["alg"] = none.into();
            assert_eq!(desk.code(&token(&nobody, &claims(), owner)), Some(Code::MalformedToken), "{none}");
        }
    }
}

#[test]
fn a_header_brings_no_keys_and_nothing_critical() {
    let signing = Signing::es256();
    let desk = Desk::with(vec![credential(&signing)]);
    for (name, value) in [
        ("jku", json!("http://127.0.0.1:1/jwks")),
        ("x5u", json!("http://127.0.0.1:1/cert")),
        ("jwk", json!({ "kty": "oct", "k": "AA" })),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("cty", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", json!("JOSE")),
        ("typ", json!(7)),
        ("kid", json!(7)),
        ("kid", json!("")),
        ("kid", json!("k-1\u{0}")),
        ("kid", json!("k".repeat(129))),
        ("alg", json!(["ES256"])),
    ] {
        let mut header = header(&signing);
        header[name] = value.clone();
        let code = desk.code(&token(&header, &claims(), &signing));
        assert_eq!(code, Some(Code::MalformedToken), "{name} {value}");
    }
    let bare = json!({ "alg": "ES256" });
    assert_eq!(desk.code(&token(&bare, &claims(), &signing)), Some(Code::MalformedToken));
    let plain = json!({ "alg": "ES256", "kid": KID, "x5t": "abc", "typ": "jwt" });
    assert_eq!(desk.code(&token(&plain, &claims(), &signing)), None);
}

#[test]
fn what_is_not_exactly_a_token_is_refused() {
    let signing = Signing::hs256();
    let desk = Desk::with(vec![credential(&signing)]);
    let good = token(&header(&signing), &claims(), &signing);
    let parts: Vec<&str> = good.split('.').collect();
    let twice = made::raw(r#"{"alg":"none","alg":"HS256","kid":"k-1"}"#, &claims().to_string(), &signing);
    let claims_twice = r#"{"iss":"acme-tokens","aud":"naru","exp":1,"exp":1800000300}"#;
    let claims_twice = made::raw(&header(&signing).to_string(), claims_twice, &signing);
    let mut long = claims();
    long["padding"] = "x".repeat(4_096).into();
    let mut deep = Value::Null;
    (0..40).for_each(|_| deep = json!([deep]));
    let mut nested = claims();
    nested["deep"] = deep;
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{good}."),
        format!("{good}.x"),
        format!("{good}="),
        format!("{good}AA=="),
        format!("{good} "),
        format!("{good}\n"),
        format!(".{good}"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{good}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}+/", parts[0], parts[1], parts[2]),
        twice,
        claims_twice,
        made::raw("[]", &claims().to_string(), &signing),
        made::raw(&header(&signing).to_string(), "7", &signing),
        made::raw(&format!("{}{{}}", header(&signing)), &claims().to_string(), &signing),
        made::raw(&header(&signing).to_string(), &format!("{} x", claims()), &signing),
        token(&header(&signing), &long, &signing),
        token(&header(&signing), &nested, &signing),
    ] {
        assert_eq!(desk.code(&bad), Some(Code::MalformedToken), "{bad}");
    }
    assert_eq!(desk.code(&good), None);
}

#[test]
fn a_token_that_was_used_ends_with_its_time_its_key_and_its_credential() {
    let signing = Signing::eddsa();
    let first = credential(&signing);
    let desk = Desk::with(vec![first.clone()]);
    let good = token(&header(&signing), &claims(), &signing);
    assert!(desk.at(&good, NOW).is_ok() && desk.at(&good, NOW + 329).is_ok());
    assert_eq!(desk.at(&good, NOW + 330).err(), Some(Code::TokenExpired));
    // The same document once more, the key gone, the key back, the credential gone.
    let version = |version, keys, revoked_at| Credential {
        version,
        kind: CredentialKind::Jwt { keys },
        revoked_at,
        ..first.clone()
    };
    let CredentialKind::Jwt { keys } = first.kind.clone() else { panic!("it has keys") };
    desk.replace(version(2, keys.clone(), None));
    assert!(desk.at(&good, NOW).is_ok());
    desk.replace(version(3, Vec::new(), None));
    assert_eq!(desk.code(&good), Some(Code::Unauthorized));
    desk.replace(version(4, keys.clone(), None));
    assert!(desk.at(&good, NOW).is_ok());
    desk.replace(version(5, keys, Some(Timestamp::from_millis(1))));
    assert_eq!(desk.code(&good), Some(Code::Unauthorized));
}

#[test]
fn guesses_are_not_remembered() {
    let signing = Signing::hs256();
    let desk = Desk::with(vec![credential(&signing)]);
    let good = token(&header(&signing), &claims(), &signing);
    let head = good.rsplit_once('.').unwrap().0;
    for guess in 0..200_u32 {
        let forged = format!("{head}.{}", data_encoding::BASE64URL_NOPAD.encode(&[guess as u8; 32]));
        assert_eq!(desk.code(&forged), Some(Code::Unauthorized));
    }
    assert!(desk.at(&good, NOW).is_ok());
    assert_eq!(desk.tokens.seen.len(), 1);
}

#[test]
fn a_token_that_is_made_here_is_its_credential_until_either_ends() {
    let basic = made::basic();
    let desk = Desk::with(vec![basic.clone(), credential(&Signing::hs256())]);
    let made = desk.tokens.issue(&basic, Timestamp::from_millis(NOW * 1_000), Duration::from_secs(900));
    for _ in 0..2 {
        let proved = desk.at(&made, NOW).unwrap();
        assert_eq!((&proved.credential.id, proved.way), (&basic.id, Way::OurToken));
    }
    // Another process of the same deployment takes it; another deployment does not.
    let beside = Tokens::new(&keyring(), "naru").unwrap();
    let elsewhere = Desk { tokens: beside, registry: Arc::clone(&desk.registry) };
    assert!(elsewhere.at(&made, NOW).is_ok());
    let stranger = Tokens::new(&made::other_keyring(), "naru").unwrap();
    let stranger = Desk { tokens: stranger, registry: Arc::clone(&desk.registry) };
    assert_eq!(stranger.code(&made), Some(Code::Unauthorized));
    let renamed = Tokens::new(&keyring(), "naru-eu").unwrap();
    let renamed = Desk { tokens: renamed, registry: Arc::clone(&desk.registry) };
    assert_eq!(renamed.code(&made), Some(Code::InvalidClaim));
    assert_eq!(desk.at(&made, NOW + 930).err(), Some(Code::TokenExpired));
    for at in 0..made.len() {
        let mut other = made.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        assert!(desk.code(&String::from_utf8(other).unwrap()).is_some(), "byte {at}");
    }
    // Of what signs its own tokens none is made, whoever asks.
    let of_keys = desk.tokens.issue(
        &credential(&Signing::hs256()),
        Timestamp::from_millis(NOW * 1_000),
        Duration::from_secs(60),
    );
    assert_eq!(desk.code(&of_keys), Some(Code::Unauthorized));
    desk.replace(Credential { version: 9, revoked_at: Some(Timestamp::from_millis(1)), ..basic });
    assert_eq!(desk.code(&made), Some(Code::Unauthorized));
}

#[test]
fn nobody_else_makes_tokens_in_our_name() {
    let signing = Signing::hs256();
    let desk = Desk::with(vec![credential(&signing), made::basic()]);
    let ours = json!({ "iss": ISSUER, "sub": "acme-live", "aud": "naru", "exp": NOW + 60 });
    let form = json!({ "alg": "HS256", "typ": "at+jwt" });
    assert_eq!(desk.code(&token(&form, &ours, &signing)), Some(Code::Unauthorized));
    // As a customer's: our name is no credential's.
    assert_eq!(desk.code(&token(&header(&signing), &ours, &signing)), Some(Code::InvalidClaim));
    let mut without = ours.clone();
    without.as_object_mut().unwrap().remove("sub");
    assert_eq!(desk.code(&token(&header(&signing), &without, &signing)), Some(Code::Unauthorized));
    // A customer's as ours.
    assert_eq!(desk.code(&token(&form, &claims(), &signing)), Some(Code::MalformedToken));
}

#[test]
fn a_subject_is_the_issuer_or_not_there() {
    let signing = Signing::hs256();
    let desk = Desk::with(vec![credential(&signing)]);
    let with = |subject: &str| {
        let mut claims = claims();
        claims["sub"] = subject.into();
        desk.code(&token(&header(&signing), &claims, &signing))
    };
    assert_eq!((with("acme-tokens"), with("someone")), (None, Some(Code::InvalidClaim)));
}

#[test]
fn an_outage_is_never_a_refusal() {
    let desk = Desk { tokens: Tokens::new(&keyring(), "naru").unwrap(), registry: MemoryRegistry::new() };
    let signing = Signing::hs256();
    assert_eq!(desk.code(&token(&header(&signing), &claims(), &signing)), Some(Code::Unavailable));
    let made =
        desk.tokens.issue(&made::basic(), Timestamp::from_millis(NOW * 1_000), Duration::from_secs(60));
    assert_eq!(desk.code(&made), Some(Code::Unavailable));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,80}") {
        let desk = Desk::with(vec![]);
        assert!(desk.code(&text).is_some());
    }

    #[test]
    fn no_parts_make_it_panic(
        header in prop::collection::vec(any::<u8>(), 0..40),
        claims in prop::collection::vec(any::<u8>(), 0..40),
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let parts = [header, claims, signature].map(|part| data_encoding::BASE64URL_NOPAD.encode(&part));
        assert!(Desk::with(vec![]).code(&parts.join(".")).is_some());
    }

    #[test]
    fn no_members_make_it_panic_or_pass(
        names in prop::collection::vec("alg|kid|typ|jwk|crit|iss|sub|aud|exp|nbf|iat|[a-z]{1,3}", 0..8),
        values in prop::collection::vec(prop::sample::select(vec![
            json!("HS256"), json!("none"), json!(""), json!(null), json!(0), json!(-1e300), json!([]), json!({}),
            json!("naru"), json!("acme-tokens"), json!(9_007_199_254_740_993_i64), json!(true),
        ]), 8),
    ) {
        let members: Value = names.into_iter().zip(values).collect::<serde_json::Map<_, _>>().into();
        let stranger = Signing::Secret(vec![1; 32]);
        let desk = Desk::with(vec![credential(&Signing::hs256())]);
        assert!(desk.code(&token(&members, &members, &stranger)).is_some());
    }
}
