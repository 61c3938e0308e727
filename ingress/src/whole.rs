//! Whole numbers as JSON has them: `600` and `600.0` are one number (RFC 8259 section 6; JSON Schema's `integer`).

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// A whole number from 0 to 4294967295.
pub struct Whole(pub u32);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer).map(Self)
    }
}

/// Reads one, for a field of another type.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(Number)
}

struct Number;

impl Visitor<'_> for Number {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0 to 4294967295")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        u32::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<u32, E> {
        let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        // Within these bounds nothing is cut off.
        if whole { Ok(number as u32) } else { Err(E::invalid_value(Unexpected::Float(number), &self)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let read = |text: &str| serde_json::from_str::<Whole>(text).map(|whole| whole.0).ok();
        for same in ["600", "600.0", "6e2", "6000e-1"] {
            assert_eq!(read(same), Some(600), "{same}");
        }
        assert_eq!((read("0"), read("-0.0"), read("4294967295")), (Some(0), Some(0), Some(u32::MAX)));
        for bad in ["-1", "0.5", "4294967296", "4294967296.0", "1e300", "\"1\"", "null", "[1]"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
