//! Public keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use data_encoding::BASE64URL_NOPAD;
use naru_shared::domain::{KeyId, TOKEN_KEYS, TokenAlgorithm};
use serde_json::{Map, Value};

use super::public::{PRIVATE, Public};

/// Members that hold what is nobody else's (RFC 7518 sections 6.2.2, 6.3.2, 6.4.1).
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The keys of a set, or the one key.
///
/// # Errors
/// A sentence that says which key is wrong and why. Either all of them can be used, or none is taken.
pub fn read(text: &str) -> Result<Vec<(KeyId, Public)>, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let keys = match document {
        Value::Object(mut members) if members.contains_key("keys") => match members.remove("keys") {
            Some(Value::Array(keys)) => keys,
            _ => return Err("`keys` is an array".to_owned()),
        },
        one @ Value::Object(_) => vec![one],
        _ => return Err("it is neither a JWKS, `{\"keys\":[…]}`, nor a JWK".to_owned()),
    };
    if keys.is_empty() || keys.len() > TOKEN_KEYS {
        return Err(format!("a set has 1 to {TOKEN_KEYS} keys, this one has {}", keys.len()));
    }
    let mut found: Vec<(KeyId, Public)> = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let (kid, public) = one(key).map_err(|why| format!("keys[{index}]: {why}"))?;
        if found.iter().any(|(known, _)| *known == kid) {
            return Err(format!("keys[{index}]: another key of the set is called `{kid}`"));
        }
        found.push((kid, public));
    }
    Ok(found)
}

fn one(key: &Value) -> Result<(KeyId, Public), String> {
    let Value::Object(members) = key else { return Err("it is no object".to_owned()) };
    if SECRET.into_iter().any(|name| members.contains_key(name)) {
        return Err(match text(members, "kty") {
            Some("oct") => {
                "it is a secret: those of HS256 are made here (--alg HS256), and shown once".to_owned()
            }
            _ => PRIVATE.to_owned(),
        });
    }
    let public = public(members)?;
    if members.get("alg").is_some_and(|alg| alg.as_str() != Some(public.alg.as_str())) {
        return Err(format!("`alg` is not {}, which is what such a key verifies here", public.alg.as_str()));
    }
    if members.get("use").is_some_and(|of| of.as_str() != Some("sig")) {
        return Err("`use` is not `sig`: it is not a key for signatures".to_owned());
    }
    let verifies =
        |of: &Value| of.as_array().is_some_and(|all| all.iter().any(|one| one.as_str() == Some("verify")));
    if members.get("key_ops").is_some_and(|operations| !verifies(operations)) {
        return Err("`key_ops` does not have `verify`".to_owned());
    }
    let kid = match members.get("kid") {
        None => public.thumbprint().parse(),
        Some(kid) => kid.as_str().ok_or("`kid` is no string")?.parse(),
    };
    Ok((kid.map_err(|error: naru_shared::domain::InvalidKeyId| error.to_string())?, public))
}

fn public(members: &Map<String, Value>) -> Result<Public, String> {
    let number = |name: &'static str| {
        let found = text(members, name).and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
        found.ok_or_else(|| format!("`{name}` is not base64url without padding"))
    };
    match (text(members, "kty"), text(members, "crv")) {
        (Some("RSA"), _) => Public::rsa(&number("n")?, &number("e")?),
        (Some("EC"), Some("P-256")) => Public::p256(&number("x")?, &number("y")?),
        (Some("OKP"), Some("Ed25519")) => Public::ed25519(&number("x")?),
        (kty, crv) => Err(format!(
            "a key of `kty` {} and `crv` {} cannot be used: RSA ({}), EC on P-256 ({}) and OKP on Ed25519 ({}) can",
            kty.unwrap_or("none"),
            crv.unwrap_or("none"),
            TokenAlgorithm::Rs256.as_str(),
            TokenAlgorithm::Es256.as_str(),
            TokenAlgorithm::EdDsa.as_str(),
        )),
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}
