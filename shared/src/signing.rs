//! Signatures of callbacks, as Standard Webhooks asks for them (<https://www.standardwebhooks.com>, specification 1.0.0):
//! HMAC-SHA-256 over `ID.TIMESTAMP.BODY`, in base 64, after `v1,`.
//!
//! No secret is stored: each follows from the deployment's own, the webhook's name and a generation.

use std::fmt;

use data_encoding::BASE64;
use hmac::Mac;
use zeroize::Zeroizing;

use crate::{
    domain::{Timestamp, Webhook, WebhookId},
    keys::Secret,
};

/// What begins a secret as it is shown.
const SHOWN: &str = "whsec_";

/// Makes the secrets of webhooks.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(Secret);

/// What one generation of a webhook signs with: 32 bytes, never printed but where it is shown to its owner.
#[derive(Clone)]
pub struct WebhookSecret(Secret);

impl WebhookSecrets {
    /// From the secret that those of customers follow from.
    pub(crate) fn new(of_customers: &Secret) -> Self {
        Self(of_customers.derive("webhooks"))
    }

    /// The secret of a webhook's generation.
    #[must_use]
    pub fn of(&self, webhook: &WebhookId, generation: u32) -> WebhookSecret {
        let mut mac = self.0.hmac();
        // Names hold no NUL: no two webhooks have the same bytes.
        for part in ["webhook", webhook.customer.as_str(), webhook.name.as_str()] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.update(&generation.to_be_bytes());
        WebhookSecret(Secret::new(mac.finalize().into_bytes().into()))
    }

    /// What signs for a webhook at a moment, the newest first.
    #[must_use]
    pub fn signing(&self, webhook: &Webhook, now: Timestamp) -> Vec<WebhookSecret> {
        let id = webhook.id();
        webhook.signing(now).into_iter().map(|generation| self.of(&id, generation)).collect()
    }
}

impl WebhookSecret {
    /// As its owner enters it: `whsec_` and base 64.
    #[must_use]
    pub fn shown(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{SHOWN}{}", BASE64.encode(self.0.bytes())))
    }

    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac = self.0.hmac();
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// The value of `webhook-signature`: what each secret says, separated by a blank. `seconds` is the value of `webhook-timestamp`.
#[must_use]
pub fn signatures(secrets: &[WebhookSecret], id: &str, seconds: i64, body: &[u8]) -> String {
    secrets.iter().map(|secret| secret.sign(id, seconds, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> WebhookSecrets {
        WebhookSecrets::new(&Secret::new([7; 32]))
    }

    fn id(text: &str) -> WebhookId {
        text.parse().unwrap()
    }

    /// The example of the specification's reference libraries. Its secret is shorter than ours; HMAC fills up a short key with
    /// zeros (RFC 2104), so the same bytes followed by zeros are the same key.
    #[test]
    fn the_reference_example_is_signed_as_the_reference_signs_it() {
        let mut key = [0; 32];
        let short = BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        key[..short.len()].copy_from_slice(&short);
        let secret = WebhookSecret(Secret::new(key));
        let signed =
            signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_webhook_and_generation_has_its_own_secret_always_the_same() {
        let names = ["a/bc", "ab/c", "a/b"];
        let mut seen = Vec::new();
        for name in names {
            for generation in [1, 2, 256] {
                let shown = secrets().of(&id(name), generation).shown();
                assert_eq!(shown, secrets().of(&id(name), generation).shown());
                assert!(shown.starts_with("whsec_") && shown.len() == 6 + 44, "{}", *shown);
                assert!(!seen.contains(&shown));
                seen.push(shown);
            }
        }
    }

    #[test]
    fn two_secrets_sign_the_newest_first() {
        let both = [secrets().of(&id("a/b"), 2), secrets().of(&id("a/b"), 1)];
        let signed = signatures(&both, "msg_x.1", 1, b"{}");
        let alone: Vec<String> =
            both.iter().map(|one| signatures(std::slice::from_ref(one), "msg_x.1", 1, b"{}")).collect();
        assert_eq!(signed, alone.join(" "));
        assert_ne!(alone[0], alone[1]);
    }
}
