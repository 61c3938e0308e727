//! How a provider calls back: what an operator writes, and what the catalog keeps.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Proof, Shape, proof::Secrets};
use crate::{
    domain::{CallbackDocument, RouteName},
    keys::random_bytes,
    sealing::Sealer,
};

/// It cannot be; the sentence says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reports: {0}")]
pub struct InvalidCallback(pub String);

/// How a provider calls back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// How a call proves that it comes from the provider.
    pub proof: Proof,
    /// What its body says.
    #[serde(default)]
    pub shape: Shape,
}

/// A proof as it is made new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewProof {
    /// Basic, with the route's name for the user.
    Basic,
    /// Standard Webhooks 1.0.0.
    Signed,
}

/// What a secret is sealed for.
#[must_use]
pub fn place(route: &RouteName) -> String {
    format!("callback/{route}")
}

impl Callback {
    /// From the section `[reports]` of a provider's description: a shape, and in it `proof` with its plain secret, which is sealed
    /// here.
    ///
    /// # Errors
    /// If it cannot mean anything.
    pub fn describe(section: &Value, route: &RouteName, sealer: &Sealer) -> Result<Self, InvalidCallback> {
        let wrong = |why: &str| InvalidCallback(why.to_owned());
        let mut shape = section.clone();
        let fields = shape.as_object_mut().ok_or_else(|| wrong("it is a table"))?;
        let proof = fields.remove("proof").ok_or_else(|| wrong("`proof` says how a call is proved"))?;
        // What the section does not say is not said: the plain form has words of its own.
        for name in ["delivered", "failed", "waiting"] {
            fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        }
        let silent = Shape { message: None, code: None, detail: None, time: None, ..Shape::default() };
        let status = fields.contains_key("status");
        let named: Vec<String> = fields.keys().cloned().collect();
        let mut read: Shape =
            serde_json::from_value(shape).map_err(|error| InvalidCallback(error.to_string()))?;
        let has = |name: &str| named.iter().any(|there| there == name);
        for (name, field, none) in [
            ("message", &mut read.message, silent.message),
            ("code", &mut read.code, silent.code),
            ("detail", &mut read.detail, silent.detail),
            ("time", &mut read.time, silent.time),
        ] {
            if !has(name) {
                *field = none;
            }
        }
        if !status {
            return Err(wrong("`status` says where a report says what became of its message"));
        }
        read.check()?;
        let proof = Proof::describe(proof, &place(route), sealer)?;
        Ok(Self { proof, shape: read })
    }

    /// The plain form, with a new secret, which is shown this once. What proved calls before goes on proving them, until the next
    /// change.
    ///
    /// # Errors
    /// If the secret cannot be sealed.
    pub fn plain(
        new: NewProof,
        before: Option<&Self>,
        route: &RouteName,
        sealer: &Sealer,
    ) -> Result<(Self, String), InvalidCallback> {
        let bytes: [u8; 32] = random_bytes();
        let secret = match new {
            NewProof::Basic => data_encoding::BASE64URL_NOPAD.encode(&bytes),
            NewProof::Signed => format!("whsec_{}", data_encoding::BASE64.encode(&bytes)),
        };
        let sealed = sealer
            .seal(&place(route), &secret)
            .map_err(|error| InvalidCallback(format!("the secret cannot be sealed: {error}")))?;
        let mut secrets = Secrets::of(sealed);
        let (proof, shape) = match (new, before) {
            (NewProof::Basic, Some(Self { proof: Proof::Basic { user, secrets: old }, shape })) => {
                secrets.keep(old);
                (Proof::Basic { user: user.clone(), secrets }, shape.clone())
            }
            (NewProof::Signed, Some(Self { proof: Proof::StandardWebhooks { secrets: old }, shape })) => {
                secrets.keep(old);
                (Proof::StandardWebhooks { secrets }, shape.clone())
            }
            (NewProof::Basic, other) => (
                Proof::Basic { user: route.to_string(), secrets },
                other.map_or_else(Shape::default, |other| other.shape.clone()),
            ),
            (NewProof::Signed, other) => (
                Proof::StandardWebhooks { secrets },
                other.map_or_else(Shape::default, |other| other.shape.clone()),
            ),
        };
        Ok((Self { proof, shape }, secret))
    }

    /// As the catalog keeps it.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn document(&self) -> Result<CallbackDocument, InvalidCallback> {
        let value = serde_json::to_value(self);
        value.map(CallbackDocument).map_err(|error| InvalidCallback(error.to_string()))
    }

    /// As the catalog gives it back.
    ///
    /// # Errors
    /// If this release does not know all of it.
    pub fn of(document: &CallbackDocument) -> Result<Self, InvalidCallback> {
        Self::deserialize(&document.0).map_err(|error| InvalidCallback(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::Secret;

    fn sealer() -> Sealer {
        Sealer::new(&Secret::random())
    }

    #[test]
    fn what_is_described_is_kept_without_its_secret_and_read_back() {
        let (sealer, route) = (sealer(), "carrier".parse().unwrap());
        let section = json!({ "proof": { "kind": "basic", "user": "twilio", "secret": "s3cret-s3cret-s3cret" },
            "id": "/MessageSid", "status": "/MessageStatus", "delivered": ["delivered"] });
        let callback = Callback::describe(&section, &route, &sealer).unwrap();
        assert_eq!((callback.shape.message.as_ref(), callback.shape.failed.len()), (None, 0));
        let document = callback.document().unwrap();
        assert!(!document.0.to_string().contains("s3cret"));
        assert_eq!(Callback::of(&document).unwrap(), callback);
    }

    #[test]
    fn a_section_that_proves_nothing_or_names_nothing_is_refused() {
        let (sealer, route) = (sealer(), "carrier".parse().unwrap());
        let proof = json!({ "kind": "basic", "user": "u", "secret": "s3cret-s3cret-s3cret" });
        for wrong in [
            json!([]),
            json!({ "id": "/a", "status": "/b", "delivered": ["x"] }),
            json!({ "proof": proof, "status": "/b", "delivered": ["x"] }),
            json!({ "proof": proof, "id": "/a", "delivered": ["x"] }),
            json!({ "proof": proof, "id": "/a", "status": "/b" }),
            json!({ "proof": proof, "id": "/a", "status": "/b", "delivered": ["x"], "what": 1 }),
            json!({ "proof": { "kind": "basic", "user": "u", "secret": "short" }, "id": "/a", "status": "/b", "delivered": ["x"] }),
            json!({ "proof": { "kind": "none" }, "id": "/a", "status": "/b", "delivered": ["x"] }),
        ] {
            assert!(Callback::describe(&wrong, &route, &sealer).is_err(), "{wrong}");
        }
    }
}
