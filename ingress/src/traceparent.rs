//! The caller's trace (W3C Trace Context, section 3.2): carried through the queue and sent on to the backend.

use actix_web::http::header::HeaderMap;

/// The trace of a call; none where several are named (section 3.2.1: the header is sent once).
pub fn of(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all("traceparent");
    let only = all.next().filter(|_| all.next().is_none())?;
    parse(only.to_str().ok()?)
}

/// A valid `traceparent` as it is kept; `None` for anything else (section 3.2.2.3: ignore what cannot be parsed).
fn parse(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    if bytes.len() < 55 || bytes.len() > 128 || !text.is_ascii() {
        return None;
    }
    let (version, trace, parent, flags) = (&bytes[..2], &bytes[3..35], &bytes[36..52], &bytes[53..55]);
    let dashes = bytes[2] == b'-' && bytes[35] == b'-' && bytes[52] == b'-';
    let hex = |part: &[u8]| part.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
    let some = |part: &[u8]| hex(part) && part.iter().any(|b| *b != b'0');
    let tail_fits = if version == b"00" { bytes.len() == 55 } else { bytes.len() == 55 || bytes[55] == b'-' };
    let valid =
        dashes && tail_fits && hex(version) && version != b"ff" && some(trace) && some(parent) && hex(flags);
    // A later version is read as the fields that are known (section 3.2.4).
    valid.then(|| &text[..55])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_parent_is_kept_and_nothing_else() {
        assert_eq!(parse(GOOD), Some(GOOD));
        let later = GOOD.replacen("00-", "01-", 1);
        assert_eq!(parse(&format!("{later}-extra")), Some(later.as_str()));
        for bad in [
            format!("{GOOD}-extra"),
            GOOD.to_uppercase(),
            GOOD.replacen("00-", "ff-", 1),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace('-', "_"),
            GOOD[..54].to_owned(),
            String::new(),
        ] {
            assert_eq!(parse(&bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,140}") {
            if let Some(kept) = parse(&text) {
                assert_eq!(kept.len(), 55);
            }
        }
    }
}
