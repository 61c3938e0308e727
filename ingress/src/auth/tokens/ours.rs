//! Tokens that are made here: short-lived, signed with a key that follows from the deployment's secrets, so that every process of it
//! takes them. Such a token says which credential it was made of, and nothing of what that may do: whoever shows it is that credential, for
//! as long as it is one (claims as in RFC 9068 section 2.2).

use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::Tag;
use naru_shared::{
    domain::{CredentialId, Timestamp},
    keys::{TokenSecret, random_bytes},
};
use serde_json::json;

/// Who made them. No credential has this id.
pub const ISSUER: &str = "urn:naru:tokens";

/// `{"alg":"HS256","typ":"at+jwt"}`
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9";

/// Makes and knows them.
pub struct Ours(hmac::Key);

impl Ours {
    /// With the deployment's secret.
    pub fn new(secret: &TokenSecret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.bytes()))
    }

    /// A token of a credential, good from now for a while.
    pub fn issue(&self, credential: &CredentialId, audience: &str, now: Timestamp, life: Duration) -> String {
        let seconds = |at: Timestamp| at.as_millis().div_euclid(1_000);
        let claims = json!({
            "iss": ISSUER,
            "sub": credential,
            "client_id": credential,
            "aud": audience,
            "iat": seconds(now),
            "exp": seconds(now).saturating_add_unsigned(life.as_secs()),
            "jti": HEXLOWER.encode(&random_bytes::<16>()),
        });
        let mut token = format!("{HEADER}.{}", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()));
        let tag: Tag = hmac::sign(&self.0, token.as_bytes());
        token.push('.');
        token.push_str(&BASE64URL_NOPAD.encode(tag.as_ref()));
        token
    }

    /// Whether it was made here.
    pub fn signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, signed, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_what_it_says() {
        let header = BASE64URL_NOPAD.decode(HEADER.as_bytes()).unwrap();
        assert_eq!(header, br#"{"alg":"HS256","typ":"at+jwt"}"#);
        assert!(ISSUER.parse::<CredentialId>().is_err(), "a credential could have this id");
    }
}
