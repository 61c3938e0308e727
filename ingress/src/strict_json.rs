//! JSON that means one thing: at most 32 levels, no repeated keys, no U+0000, numbers that programs can hold.
//!
//! `serde_json` refuses what is not JSON (RFC 8259), invalid UTF-8 and lone surrogates; this walk adds the rest, over the
//! whole text, before any of it is read into a type.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

const DEPTH: u8 = 32;

/// Keys up to which a plain search beats a hash set.
const FEW: usize = 12;

/// Walks over one JSON text.
///
/// # Errors
/// What is wrong with it and where; never its content.
pub fn check(text: &[u8]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Walk(0).deserialize(&mut reader)?;
    reader.end()
}

/// One value, that many levels down.
#[derive(Clone, Copy)]
struct Walk(u8);

impl Walk {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.0 < DEPTH { Ok(Self(self.0 + 1)) } else { Err(E::custom("more than 32 levels deep")) }
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        // An integer beyond 64 bits arrives here, and would be kept as another number than was sent.
        if number.abs() < 9.0e18 { Ok(()) } else { Err(E::custom("a number is out of range")) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if text.as_bytes().contains(&0) { Err(E::custom("U+0000 in a string")) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut keys = Keys::default();
        while let Some(key) = fields.next_key_seed(KeyText)? {
            self.visit_str(&key)?;
            if !keys.insert(key) {
                return Err(A::Error::custom("a key is repeated in one object"));
            }
            fields.next_value_seed(inside)?;
        }
        Ok(())
    }
}

/// A key, borrowed from the text where it has no escapes.
struct KeyText;

impl<'de> DeserializeSeed<'de> for KeyText {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyText {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The keys of one object: a short list first, a set when they are many.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    fn insert(&mut self, key: Cow<'de, str>) -> bool {
        if self.many.is_empty() && self.few.len() < FEW {
            let new = !self.few.contains(&key);
            self.few.push(key);
            return new;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
    use serde_json::Value;

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn what_means_one_thing_passes() {
        for good in
            [r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#, "\"\\ud83d\\ude00\"", "-1.5e3", " null ", &nested(32)]
        {
            assert!(check(good.as_bytes()).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let keys: Vec<String> = (0..40).map(|n| format!("\"k{n}\":0")).collect();
        let late_repeat = format!("{{{},\"k3\":1}}", keys.join(","));
        for bad in [
            r#"{"a":1,"a":2}"#,
            r#"{"data":{"a":1,"\u0061":2}}"#,
            "\"\\u0000\"",
            "{\"\\u0000\":1}",
            "\"\\ud800\"",
            "1e400",
            "123456789012345678901234567890",
            "{} {}",
            "{\"a\":1,}",
            "NaN",
            "",
            &nested(33),
            &late_repeat,
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(check(b"\"\xff\"").is_err());
    }

    #[test]
    fn an_error_never_repeats_the_content() {
        let error = check(br#"{"hunter2":1,"hunter2":2}"#).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[^\u{0}]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::hash_map("[^\u{0}]{0,4}", inner, 0..20)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_program_writes_passes(value in value()) {
            assert!(check(&serde_json::to_vec(&value).unwrap()).is_ok());
        }

        #[test]
        fn no_bytes_make_it_panic_or_pass_what_serde_refuses(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if check(&bytes).is_ok() {
                assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
            }
        }
    }
}
