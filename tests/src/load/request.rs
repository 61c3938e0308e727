//! Requests built beforehand, with a place for the moment at which each is sent.

use serde_json::json;

/// Stands in a message's body before the moment of sending.
pub const STAMP: &str = "at=";

/// Digits of the moment, in nanoseconds of the monotonic clock.
pub const STAMP_DIGITS: usize = 20;

/// One call, ready to be written.
#[derive(Debug, Clone)]
pub struct Call {
    bytes: Vec<u8>,
    stamps: Vec<usize>,
}

impl Call {
    /// Bytes that go as they are, such as those that were signed.
    #[must_use]
    pub const fn as_it_is(bytes: Vec<u8>) -> Self {
        Self { bytes, stamps: Vec::new() }
    }

    /// A `POST` of JSON. Every `at=` followed by twenty digits in it is a stamp.
    #[must_use]
    pub fn post(host: &str, path: &str, authorization: Option<&str>, body: &str) -> Self {
        let authorization =
            authorization.map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let bytes = format!("{head}{body}").into_bytes();
        let stamps = bytes
            .windows(STAMP.len() + STAMP_DIGITS)
            .enumerate()
            .filter(|(_, window)| digits_after_stamp(window).is_some())
            .map(|(at, _)| at + STAMP.len())
            .collect();
        Self { bytes, stamps }
    }

    /// A message as a customer would send it: 160 bytes of text, the moment of sending among them.
    #[must_use]
    pub fn message(channel: &str, index: usize) -> serde_json::Value {
        let text = "Your parcel is waiting for you at the landing. Bring this number with you when you come for it, please, and ask for the ferry. No. ";
        json!({
            "channel": channel, "recipient": format!("+8210{:08}", index % 1_000_000 * 100),
            "sender": "0215441234", "body": format!("{text}{STAMP}{:020}", 0), "reference": format!("order-{index}"),
        })
    }

    /// The bytes to write, stamped with `now`.
    pub(super) fn write_into(&self, out: &mut Vec<u8>, now: u64) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        for at in &self.stamps {
            let mut rest = now;
            for place in out[*at..*at + STAMP_DIGITS].iter_mut().rev() {
                *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
                rest /= 10;
            }
        }
    }
}

/// The moment that was stamped into these bytes, if any was.
#[must_use]
pub fn stamp_of(bytes: &[u8]) -> Option<u64> {
    bytes.windows(STAMP.len() + STAMP_DIGITS).find_map(digits_after_stamp)
}

fn digits_after_stamp(window: &[u8]) -> Option<u64> {
    let digits = window.strip_prefix(STAMP.as_bytes())?.get(..STAMP_DIGITS)?;
    digits.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(digits).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_that_was_written_is_read_back() {
        let body = Call::message("sms", 3).to_string();
        let call = Call::post("h", "/p", Some("Basic x"), &format!("[{body},{body}]"));
        let mut out = Vec::new();
        call.write_into(&mut out, 12_345_678_901);
        assert_eq!(stamp_of(&out), Some(12_345_678_901));
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("at=00000000012345678901").count(), 2);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}
