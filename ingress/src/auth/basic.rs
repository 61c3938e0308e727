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
struct Parts<'a> {
    id: &'a str,
    password: &'a str,
    api_key: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
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
    let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| Code::MalformedAuthorization)?;
    let text = str::from_utf8(&bytes).map_err(|_| Code::MalformedAuthorization)?;
    let parts = Parts::of(text).ok_or(Code::MalformedAuthorization)?;
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
        let parts = |text| Parts::of(text).map(|p| (p.id, p.password, p.api_key));
        assert_eq!(parts("id:pw:key"), Some(("id", "pw", "key")));
        assert_eq!(parts("id:p:w::key"), Some(("id", "p:w:", "key")));
        for bad in ["", "id", "id:pw", ":pw:key", "id:pw:", "id::key", "id:p\nw:key", "::"] {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_put_together_comes_apart(id in "[a-z0-9]{1,9}", pw in "[^\\p{Cc}]{1,9}", key in "[a-z0-9]{1,9}") {
            let text = format!("{id}:{pw}:{key}");
            prop_assert_eq!(Parts::of(&text), Some(Parts { id: &id, password: &pw, api_key: &key }));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            if let Some(parts) = Parts::of(&text) {
                prop_assert_eq!(format!("{}:{}:{}", parts.id, parts.password, parts.api_key), text);
            }
        }
    }
}
