//! HTTP Basic (RFC 7617) with `ID:PW:API_KEY`.

use std::{net::IpAddr, sync::Arc};

use data_encoding::BASE64;
use naru_shared::{
    domain::{ChosenPassword, Credential, CredentialKind, SecretHash},
    keys::random_bytes,
};

use super::{Denied, Strangers};
use crate::{front::Front, problem::Code};

/// What a Basic header holds: the id up to the first colon, the key after the last, the password between.
#[derive(Debug, PartialEq, Eq)]
pub struct UserParts<'a> {
    /// Who.
    pub id: &'a str,
    /// Its password.
    pub password: &'a str,
    /// Its key.
    pub api_key: &'a str,
}

impl<'a> UserParts<'a> {
    /// Takes a text apart.
    pub fn of(text: &'a str) -> Option<Self> {
        let (id, rest) = text.split_once(':')?;
        let (password, api_key) = rest.rsplit_once(':')?;
        let whole = !id.is_empty() && !password.is_empty() && !api_key.is_empty();
        // RFC 7617 section 2: neither part contains control characters.
        (whole && !text.chars().any(char::is_control)).then_some(Self { id, password, api_key })
    }
}

/// Who stands where nobody is known, with secrets that nobody has.
pub fn strangers() -> Option<Strangers> {
    Strangers::new(|_| {
        Some(CredentialKind::Basic { secret: SecretHash(random_bytes::<32>()), password: None })
    })
}

/// The credential that these bytes prove, or the one refusal for every reason that needs a look-up.
///
/// Known or unknown, with a password that Naru made or one that a person chose: two keyed hashes and two comparisons. Only who
/// has proved the API key of a password that a person chose goes on to have that verified.
pub async fn verify(encoded: &str, front: &Front, from: Option<IpAddr>) -> Result<Arc<Credential>, Denied> {
    let text = decoded(encoded).ok_or(Code::MalformedAuthorization)?;
    let parts = UserParts::of(&text).ok_or(Code::MalformedAuthorization)?;
    let both = front.hasher.basic(parts.id, parts.password, parts.api_key);
    let key = front.hasher.api_key(parts.id, parts.api_key);
    let known = front.registry.credential(parts.id).await.map_err(|_| Code::Unavailable)?;
    // The same is done where there is nobody, with a stranger: time does not tell.
    let (named, is_known) = front.strangers.or_known(known, parts.id).ok_or(Code::Internal)?;
    let (secret, chosen) = expected(&named);
    let (of_both, of_key) = (secret == both, secret == key);
    let may = is_known && named.revoked_at.is_none();
    let proved = match chosen {
        Some(kept) if of_key && may => {
            let verified = front.chosen.verify(&named, kept, parts.password, both, from).await;
            verified.map_err(|problem| Denied { problem, customer: Some(named.customer.clone()) })?
        }
        chosen => chosen.is_none() && of_both && may,
    };
    if proved { Ok(named) } else { Err(Denied::unproved(&named, is_known)) }
}

/// The text that the header carries: base64 of UTF-8, as is told to clients (RFC 7617 section 2.1).
pub fn decoded(encoded: &str) -> Option<String> {
    String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok()
}

/// What a credential of this kind is compared with.
const fn expected(known: &Credential) -> (SecretHash, Option<&ChosenPassword>) {
    match &known.kind {
        CredentialKind::Basic { secret, password } => (*secret, password.as_ref()),
        CredentialKind::Hmac { .. } | CredentialKind::Jwt { .. } => (SecretHash([0; 32]), None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn the_id_ends_at_the_first_colon_and_the_key_begins_after_the_last() {
        let parts = |text| UserParts::of(text).map(|p| (p.id, p.password, p.api_key));
        assert_eq!(parts("id:pw:key"), Some(("id", "pw", "key")));
        assert_eq!(parts("id:p:w::key"), Some(("id", "p:w:", "key")));
        for bad in ["", "id", "id:pw", ":pw:key", "id:pw:", "id::key", "id:p\nw:key", "::"] {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_examples_of_rfc_7617_are_read_and_are_no_credentials_for_want_of_a_key() {
        // Section 2, and section 2.1: a password that is not of ASCII.
        for (encoded, user) in
            [("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin:open sesame"), ("dGVzdDoxMjPCow==", "test:123£")]
        {
            let text = decoded(encoded).unwrap();
            assert_eq!((text.as_str(), UserParts::of(&text)), (user, None));
            let (id, password) = user.split_once(':').unwrap();
            let whole = format!("{text}:key");
            assert_eq!(UserParts::of(&whole), Some(UserParts { id, password, api_key: "key" }));
        }
        // The same in ISO 8859-1, which is not what was asked for; and base64 that is none.
        for other in [
            "dGVzdDoxMjOj",
            "QWxhZGRpbjpvcGVuIHNlc2FtZQ",
            "QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n",
            "QWxhZGRpbjpvcGVuIHNlc2FtZR==",
        ] {
            assert_eq!(decoded(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_was_put_together_comes_apart(id in "[a-z0-9]{1,9}", pw in "[^\\p{Cc}]{1,9}", key in "[a-z0-9]{1,9}") {
            let text = format!("{id}:{pw}:{key}");
            prop_assert_eq!(UserParts::of(&text), Some(UserParts { id: &id, password: &pw, api_key: &key }));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            if let Some(parts) = UserParts::of(&text) {
                prop_assert_eq!(format!("{}:{}:{}", parts.id, parts.password, parts.api_key), text);
            }
        }
    }
}
