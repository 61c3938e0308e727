//! The header `Idempotency-Key`: a structured string, or bare (draft-ietf-httpapi-idempotency-key-header section 2.1).

use naru_shared::domain::Key;

use crate::problem::{Code, Problem};

/// The key that a header's value names; quoted and bare name the same.
pub fn parse(value: &[u8]) -> Result<Key, Problem> {
    let text = str::from_utf8(value).map_err(|_| Code::InvalidKey)?.trim_matches(' ');
    let key = match text.strip_prefix('"') {
        Some(rest) => unquoted(rest).ok_or(Code::InvalidKey)?.parse(),
        None => text.parse(),
    };
    key.map_err(|_| Code::InvalidKey.into())
}

/// What stands in a structured string after its first quote (RFC 9651 section 4.2.5); nothing may follow it.
fn unquoted(rest: &str) -> Option<String> {
    let mut text = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(text),
            '\\' => text.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn quoted_and_bare_name_the_same_key() {
        let key = |value: &str| parse(value.as_bytes()).map(|k| k.as_str().to_owned()).ok();
        assert_eq!(key("order-77"), key("\"order-77\""));
        assert_eq!(key(r#""a\"b\\""#).as_deref(), Some(r#"a"b\"#));
        for bad in ["", "\"\"", "\"a", "\"a\"b", r#""\x""#, "\" a\"", "é"] {
            assert_eq!(key(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_key_can_be_quoted(text in "[!-~]([ -~]{0,30}[!-~])?") {
            let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            let key = parse(quoted.as_bytes()).unwrap();
            prop_assert_eq!(key.as_str(), text.as_str());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(key) = parse(&bytes) {
                assert!(!key.as_str().is_empty());
            }
        }
    }
}
