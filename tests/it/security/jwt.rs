//! Tokens that would have a key fetched or the algorithm chosen are refused, and nothing is connected to.

use std::{io::ErrorKind, net::TcpListener, time::Duration};

use data_encoding::BASE64URL_NOPAD;
use naru_tests::{
    gateway::{Gateway, Setup},
    wire::Wire,
};
use serde_json::{Value, json};

use crate::stage::beside_others;

const PATIENCE: Duration = Duration::from_secs(15);

fn token(header: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let claims = json!({ "iss": "c0", "aud": "naru", "iat": 1_700_000_000, "exp": 4_000_000_000_u64 });
    format!("{}.{}.{}", part(header), part(&claims), BASE64URL_NOPAD.encode(&[7; 64]))
}

#[test]
fn no_token_has_a_key_fetched_and_each_is_a_401() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", trap.local_addr().unwrap());
    let headers = [
        json!({ "alg": "RS256", "kid": "a", "jku": url }),
        json!({ "alg": "RS256", "kid": "a", "x5u": url }),
        json!({ "alg": "RS256", "kid": url }),
        json!({ "alg": "RS256", "kid": "../../../../dev/null" }),
        json!({ "alg": "HS256", "kid": "' OR 1=1 --" }),
        json!({ "alg": "EdDSA", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": "AAAA" } }),
        json!({ "alg": "none" }),
        json!({ "alg": "None", "kid": "a" }),
        json!({ "alg": "RS256", "kid": "a", "crit": ["b64"], "b64": false }),
        json!({ "alg": "RSA-OAEP", "enc": "A256GCM" }),
    ];
    for header in &headers {
        for token in [token(header), token(header) + ".", token(header) + "\u{e9}", token(header) + ".a.b"] {
            let line = [format!("Authorization: Bearer {token}")];
            let reply =
                Wire::new(gateway.address(), PATIENCE).call("GET", "/v1.0/quota", &line, b"").unwrap();
            assert!(reply.status == 401, "{header}: {}", reply.status);
        }
    }
    assert_eq!(trap.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "a key was fetched");
}
