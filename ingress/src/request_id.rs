//! The id of a call: on every answer, in problems and in logs.

/// `req_` and 26 characters of Crockford base 32; for people to quote, not a secret.
#[derive(Debug, Clone, Copy)]
pub struct RequestId([u8; 30]);

const SYMBOLS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl RequestId {
    /// A new one.
    pub fn random() -> Self {
        Self::from_bits(fastrand::u128(..))
    }

    fn from_bits(bits: u128) -> Self {
        let mut text = *b"req_00000000000000000000000000";
        for (place, symbol) in text[4..].iter_mut().rev().enumerate() {
            *symbol = SYMBOLS[((bits >> (5 * place)) & 31) as usize];
        }
        Self(text)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or("req_00000000000000000000000000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_the_prefix_and_26_symbols() {
        assert_eq!(RequestId::from_bits(u128::MAX).as_str(), "req_7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(RequestId::from_bits(33).as_str(), "req_00000000000000000000000011");
        assert_ne!(RequestId::random().as_str(), RequestId::random().as_str());
    }
}
