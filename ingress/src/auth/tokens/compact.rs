//! The outside of a token: JWS in its compact form (RFC 7515 section 7.1), read strictly. What is not exactly that is refused before
//! anything is looked up or verified, the same for everybody.

use data_encoding::BASE64URL_NOPAD;
use naru_shared::domain::TokenAlgorithm;
use serde_json::{Map, Value};

use crate::{
    problem::{Code, Problem},
    strict_json,
};

/// The longest token, in bytes: an RS256 signature of 4096 bits, and room for claims.
const LONGEST: usize = 4 * 1024;

/// The longest `kid` that any key has.
const KEY_NAME: usize = 128;

/// Members of a header that bring a key or a place where one lies, or change what is signed or how. Keys are those of the
/// credential; nothing is ever fetched.
const REFUSED: [&str; 10] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "enc", "zip", "cty", "url"];

/// What is said of a token that cannot be read.
pub fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::MalformedToken, detail)
}

/// The three parts of a token.
#[derive(Debug)]
pub struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    /// What is signed: the first two parts and the dot between.
    pub signed: &'a str,
    /// The third part, decoded.
    pub signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Takes a token apart.
    pub fn of(token: &'a str) -> Result<Self, Problem> {
        if token.len() > LONGEST {
            return Err(malformed("A token has at most 4096 bytes."));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or_else(not_three)?;
        let (header, payload) = signed.split_once('.').ok_or_else(not_three)?;
        if payload.contains('.') {
            return Err(not_three());
        }
        let signature = decoded(signature)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(not_three());
        }
        Ok(Self { header, payload, signed, signature })
    }

    /// The members of the header.
    pub fn header(&self) -> Result<Header, Problem> {
        Header::read(&object(self.header, "The header")?)
    }

    /// The claims.
    pub fn claims(&self) -> Result<Map<String, Value>, Problem> {
        object(self.payload, "The payload")
    }
}

fn not_three() -> Problem {
    malformed(
        "A token is a JWS of three parts with two dots between them, none empty (RFC 7515 section 7.1); an encrypted one is not taken.",
    )
}

/// Base64url without padding, blanks or bits that are left over (RFC 7515 section 2).
fn decoded(text: &str) -> Result<Vec<u8>, Problem> {
    let wrong = |_| malformed("Each part is base64url without padding (RFC 7515 section 2).");
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(wrong)
}

fn object(part: &str, what: &'static str) -> Result<Map<String, Value>, Problem> {
    let wrong = |_| malformed(format!("{what} is not one JSON object in UTF-8 without repeated members."));
    let bytes = decoded(part)?;
    strict_json::check(&bytes).map_err(wrong)?;
    serde_json::from_slice(&bytes).map_err(wrong)
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// How it is signed, it says; believed only of a key with this very algorithm.
    pub algorithm: TokenAlgorithm,
    /// Which key it names.
    pub kid: Option<Box<str>>,
    /// What it is.
    pub form: Form,
}

/// Kinds of tokens, told apart by `typ` (RFC 8725 section 3.11), so that one is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Signed by a customer: `JWT`, or no `typ`.
    Customers,
    /// Made here: `at+jwt` (RFC 9068 section 2.1).
    Ours,
}

impl Header {
    fn read(members: &Map<String, Value>) -> Result<Self, Problem> {
        if let Some(name) = REFUSED.into_iter().find(|name| members.contains_key(*name)) {
            return Err(malformed(format!("A header with the member {name} is not taken.")));
        }
        let algorithm = members.get("alg").and_then(Value::as_str).and_then(TokenAlgorithm::from_word);
        let algorithm = algorithm.ok_or_else(|| malformed("alg is one of HS256, RS256, ES256, EdDSA."))?;
        let kid = match members.get("kid") {
            None => None,
            Some(Value::String(kid)) if (1..=KEY_NAME).contains(&kid.len()) => Some(kid.as_str().into()),
            Some(_) => return Err(malformed("kid is a string of 1 to 128 bytes.")),
        };
        let form = match members.get("typ").map(Value::as_str) {
            None => Form::Customers,
            Some(Some(typ)) if typ.eq_ignore_ascii_case("JWT") => Form::Customers,
            Some(Some("at+jwt")) => Form::Ours,
            Some(_) => return Err(malformed("typ, if it is there, is JWT.")),
        };
        Ok(Self { algorithm, kid, form })
    }
}
