//! Bearer tokens over raw sockets: what they open, every way to forge one, and those that are made here.

mod made;

use std::{net::TcpListener, time::Duration};

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use naru_shared::{
    catalog::Entry,
    domain::{
        Access, Clock, Credential, CredentialKind, Environment, KeyMaterial, PublicKey, SystemClock,
        Timestamp, TokenAlgorithm, TokenKey,
    },
};
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, JSON, sms},
    wire::Reply,
};

const KID: &str = "key-1";

/// A gateway, and the credential `acme-tokens` whose key is here.
struct Stage {
    gateway: Gateway,
    pair: EcdsaKeyPair,
}

impl Stage {
    async fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let stage = Self { gateway: Gateway::spawn().await, pair };
        stage.put(stage.credential("acme-tokens"), 600);
        let revoked_at = Some(Timestamp::from_millis(1));
        stage.put(Credential { revoked_at, ..stage.credential("acme-revoked") }, 601);
        stage
    }

    fn credential(&self, id: &str) -> Credential {
        let material = KeyMaterial::Public(PublicKey::new(&self.public()));
        let (alg, added_at) = (TokenAlgorithm::Es256, Timestamp::from_millis(0));
        let keys = vec![TokenKey { kid: KID.parse().unwrap(), alg, material, added_at }];
        Credential {
            id: id.parse().unwrap(),
            customer: "acme".parse().unwrap(),
            environment: Environment::Live,
            kind: CredentialKind::Jwt { keys },
            created_at: added_at,
            access: Access::default(),
            revoked_at: None,
            version: 0,
        }
    }

    fn put(&self, credential: Credential, version: u64) {
        self.gateway.registry.apply(
            vec![Entry::Credential(Credential { version, ..credential })],
            true,
            version,
        );
    }

    fn public(&self) -> Vec<u8> {
        self.pair.public_key().as_der().unwrap().as_ref().to_vec()
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = input(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }

    fn good(&self) -> String {
        self.sign(&header(), &claims())
    }

    async fn quota(&self, token: &str) -> Reply {
        let value = format!("Bearer {token}");
        self.gateway.call("GET", "/v1.0/quota", &[("Authorization", &value)], "").await
    }

    /// A message with this token is refused so, and is nowhere.
    async fn refuses(&self, token: &str, code: &str) {
        let value = format!("Bearer {token}");
        let headers = [("Authorization", value.as_str()), JSON];
        let reply = self.gateway.call("POST", "/v1.0/messages", &headers, &sms("forged").to_string()).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, code), "{token}");
        let challenge = reply.header("www-authenticate").unwrap();
        assert_eq!(
            challenge,
            "Basic realm=\"naru\", charset=\"UTF-8\", Bearer realm=\"naru\", error=\"invalid_token\""
        );
        assert!(self.gateway.messages().await.is_empty());
    }

    async fn refuses_header(&self, name: &str, value: Value, code: &str) {
        let mut header = header();
        header[name] = value;
        self.refuses(&self.sign(&header, &claims()), code).await;
    }

    async fn refuses_claim(&self, name: &str, value: Value, code: &str) {
        let mut claims = claims();
        claims[name] = value;
        self.refuses(&self.sign(&header(), &claims), code).await;
    }
}

fn now() -> i64 {
    SystemClock.now().as_millis() / 1_000
}

fn header() -> Value {
    json!({ "alg": "ES256", "typ": "JWT", "kid": KID })
}

fn claims() -> Value {
    json!({ "iss": "acme-tokens", "aud": "naru", "iat": now(), "exp": now() + 300 })
}

fn input(header: &Value, claims: &Value) -> String {
    [header, claims].map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes())).join(".")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_its_owner_signed_sends_a_message_once_for_each_call() {
    let stage = Stage::new().await;
    let value = format!("bearer {}", stage.good());
    for text in ["first", "second"] {
        let headers = [("Authorization", value.as_str()), JSON];
        let reply = stage.gateway.call("POST", "/v1.0/messages", &headers, &sms(text).to_string()).await;
        assert_eq!(reply.status, 202, "{reply:?}");
    }
    assert_eq!(stage.gateway.messages().await.len(), 2);
    assert_eq!(stage.quota(&stage.good()).await.status, 200);
    let value = format!("Bearer {}", stage.good());
    let other = stage.gateway.call("GET", "/sandbox/v1.0/quota", &[("Authorization", &value)], "").await;
    assert_eq!((other.status, other.code().as_str()), (403, "wrong-environment"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_nobody_signed_is_refused() {
    let stage = Stage::new().await;
    for none in ["none", "None", "nOnE", "NONE", ""] {
        let header = json!({ "alg": none, "kid": KID });
        stage.refuses(&format!("{}.", input(&header, &claims())), "malformed-token").await;
        stage.refuses(&format!("{}.AAAA", input(&header, &claims())), "malformed-token").await;
    }
    stage.refuses(&format!("{}.", input(&self::header(), &claims())), "malformed-token").await;
    stage.refuses(&format!("{}.{}", input(&self::header(), &claims()), "A".repeat(86)), "unauthorized").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_is_no_secret() {
    let stage = Stage::new().await;
    let der = stage.public();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&der));
    let signed = input(&json!({ "alg": "HS256", "kid": KID }), &claims());
    for secret in [&der[..], pem.as_bytes(), BASE64.encode(&der).as_bytes(), b""] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        stage.refuses(&format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref())), "unauthorized").await;
    }
    for other in ["RS256", "EdDSA", "HS256"] {
        stage.refuses_header("alg", other.into(), "unauthorized").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_chosen_by_its_name_and_by_nothing_that_a_name_could_do() {
    let stage = Stage::new().await;
    for kid in
        ["key-2", "../../../../dev/null", "k' UNION SELECT 'secret' --", "KEY-1", "|id", "http://127.0.0.1/k"]
    {
        stage.refuses_header("kid", kid.into(), "unauthorized").await;
    }
    for kid in [
        json!(""),
        json!("key-1\u{0}"),
        json!("k".repeat(129)),
        json!(null),
        json!(["key-1"]),
        json!({ "key-1": 1 }),
    ] {
        stage.refuses_header("kid", kid, "malformed-token").await;
    }
    stage.refuses(&stage.sign(&json!({ "alg": "ES256" }), &claims()), "malformed-token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_leads_nowhere() {
    let stage = Stage::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys.json", listener.local_addr().unwrap());
    let der = BASE64.encode(&stage.public());
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!([der])),
        ("jwk", json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": KID })),
        ("url", json!(url)),
    ] {
        stage.refuses_header(name, value, "malformed-token").await;
    }
    stage.refuses_header("kid", url.clone().into(), "unauthorized").await;
    stage.refuses_claim("iss", url.into(), "unauthorized").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let nobody = listener.accept().expect_err("nobody connects");
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_understood_and_is_not_is_refused() {
    let stage = Stage::new().await;
    for crit in [json!(["exp"]), json!(["http://example.com/x"]), json!(["b64"]), json!([]), json!("alg")] {
        stage.refuses_header("crit", crit, "malformed-token").await;
    }
    stage.refuses_header("b64", false.into(), "malformed-token").await;
    stage.refuses_header("zip", "DEF".into(), "malformed-token").await;
    stage.refuses_header("typ", "at+jwt".into(), "malformed-token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_an_end_or_beyond_its_time_is_refused() {
    let stage = Stage::new().await;
    let mut endless = claims();
    endless.as_object_mut().unwrap().remove("exp");
    stage.refuses(&stage.sign(&header(), &endless), "invalid-claim").await;
    for exp in [
        json!((now() + 300).to_string()),
        json!(null),
        json!(true),
        json!([now() + 300]),
        json!(now() + 7_200),
    ] {
        stage.refuses_claim("exp", exp, "invalid-claim").await;
    }
    stage.refuses_claim("exp", json!(now() - 60), "token-expired").await;
    stage.refuses_claim("exp", json!(-1), "token-expired").await;
    stage.refuses_claim("nbf", json!(now() + 120), "token-not-yet-valid").await;
    stage.refuses_claim("iat", json!(now() + 120), "token-not-yet-valid").await;
    stage.refuses_claim("nbf", json!("0"), "invalid-claim").await;
    stage.refuses_claim("iat", json!(now() - 3_400), "invalid-claim").await;
    let (mut late, mut early) = (claims(), claims());
    late["exp"] = json!(now() - 20);
    early["nbf"] = json!(now() + 20);
    for within in [late, early] {
        assert_eq!(stage.quota(&stage.sign(&header(), &within)).await.status, 200, "{within}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_others_or_of_others_is_refused() {
    let stage = Stage::new().await;
    for aud in [json!("other"), json!(["other"]), json!([]), json!(null), json!("naru/"), json!(["naru", 1])]
    {
        stage.refuses_claim("aud", aud, "invalid-claim").await;
    }
    for iss in [json!(null), json!(7), json!(""), json!(["acme-tokens"])] {
        stage.refuses_claim("iss", iss, "invalid-claim").await;
    }
    for iss in ["nobody", "acme-revoked", "acme-live", "other-live", "urn:naru:tokens", "Acme-Tokens"] {
        stage.refuses_claim("iss", iss.into(), "unauthorized").await;
    }
    for name in ["aud", "iss"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        stage.refuses(&stage.sign(&header(), &without), "invalid-claim").await;
    }
    stage.refuses_claim("sub", "other-live".into(), "invalid-claim").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_encrypted_or_has_anything_around_it_is_refused() {
    let stage = Stage::new().await;
    let good = stage.good();
    let parts: Vec<&str> = good.split('.').collect();
    // RFC 7516 appendix A.1 begins so.
    let jwe = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6ji.XFBoMYUZodetZdvTiFvSkQ";
    let claims_twice = format!(r#"{{"iss":"nobody","iss":"acme-tokens","aud":"naru","exp":{}}}"#, now() + 60);
    let signed =
        [header().to_string(), claims_twice].map(|part| BASE64URL_NOPAD.encode(part.as_bytes())).join(".");
    let signature = stage.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let twice = format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()));
    let mut long = claims();
    long["padding"] = "x".repeat(4_000).into();
    for bad in [
        jwe.to_owned(),
        format!("{good}."),
        format!("{good}.AAAA"),
        format!("{good}=="),
        format!("{good}AA=="),
        format!("{good} x"),
        format!("x {good}"),
        format!("{good}, {good}"),
        format!(".{good}"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        good.replace('.', ".."),
        BASE64.encode(good.as_bytes()),
        stage.sign(&header(), &long),
        twice,
        "x".to_owned(),
    ] {
        stage.refuses(&bad, "malformed-token").await;
    }
    // Bytes behind the signature are part of it.
    let longer = [&BASE64URL_NOPAD.decode(parts[2].as_bytes()).unwrap()[..], &[0][..]].concat();
    let longer = format!("{}.{}.{}", parts[0], parts[1], BASE64URL_NOPAD.encode(&longer));
    stage.refuses(&longer, "unauthorized").await;
    assert_eq!(stage.quota(&good).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_look_up_fails_with_the_same_bytes() {
    let stage = Stage::new().await;
    let with = |name: &str, value: &str| {
        let (mut header, mut claims) = (header(), claims());
        if name == "kid" {
            header[name] = value.into()
        } else {
            claims[name] = value.into()
        }
        stage.sign(&header, &claims)
    };
    let good = stage.good();
    let forged = format!("{}.{}", good.rsplit_once('.').unwrap().0, "A".repeat(86));
    let mut seen = Vec::new();
    for token in [
        with("iss", "nobody"),
        with("iss", "acme-revoked"),
        with("iss", "acme-live"),
        with("kid", "other"),
        forged,
    ] {
        let reply = stage.quota(&token).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "unauthorized"), "{token}");
        let body =
            String::from_utf8(reply.body.clone()).unwrap().replace(reply.header("request-id").unwrap(), "");
        let mut headers: Vec<_> =
            reply.headers.into_iter().filter(|(name, _)| name != "date" && name != "request-id").collect();
        headers.sort();
        seen.push((body, headers));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_dies_with_its_key_and_with_its_credential() {
    let stage = Stage::new().await;
    let good = stage.good();
    assert_eq!(stage.quota(&good).await.status, 200);
    let CredentialKind::Jwt { mut keys } = stage.credential("acme-tokens").kind else {
        panic!("it has keys")
    };
    keys[0].kid = "key-2".parse().unwrap();
    stage.put(Credential { kind: CredentialKind::Jwt { keys }, ..stage.credential("acme-tokens") }, 700);
    assert_eq!(stage.quota(&good).await.code(), "unauthorized");
    stage.put(stage.credential("acme-tokens"), 701);
    assert_eq!(stage.quota(&good).await.status, 200);
    let revoked_at = Some(Timestamp::from_millis(1));
    stage.put(Credential { revoked_at, ..stage.credential("acme-tokens") }, 702);
    assert_eq!(stage.quota(&good).await.code(), "unauthorized");
}
