//! Segments of a short message: the GSM 7 bit default alphabet with its extension table (3GPP TS 23.038, 6.2.1), or UCS-2, and how
//! many octets the header of a concatenated message leaves (3GPP TS 23.040, 9.2.3.24.1 with 8-bit references).

use crate::problem::{Code, Problem};

/// Septets of a message alone, and of each segment of several.
const SEPTETS: (u32, u32) = (160, 153);

/// 16-bit characters of a message alone, and of each segment of several.
const CHARACTERS: (u32, u32) = (70, 67);

/// What the default alphabet has beyond letters, digits and most of ASCII's punctuation.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";

/// Two septets each: an escape, and a place in the extension table.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// How many segments a text has, at most so many.
pub(super) fn segments(text: &str, most: u8) -> Result<u32, Problem> {
    let (segments, whole) = count(text, most);
    if whole {
        return Ok(segments);
    }
    let sentence = format!(
        "The text has more than {most} segments, which is what this route sends; a longer one may go by another channel, such as lms."
    );
    Err(Problem::new(Code::TextTooLong, sentence))
}

/// The segments, and whether all of the text is in them: counting ends where there are too many.
fn count(text: &str, most: u8) -> (u32, bool) {
    match septets(text) {
        Some(septets) if septets <= SEPTETS.0 => (1, true),
        Some(_) => fill(text, SEPTETS.1, most, |c| if EXTENDED.contains(c) { 2 } else { 1 }),
        None if text.encode_utf16().take(CHARACTERS.0 as usize + 1).count() <= CHARACTERS.0 as usize => {
            (1, true)
        }
        None => fill(text, CHARACTERS.1, most, |c| c.len_utf16() as u32),
    }
}

/// The septets of a text in the default alphabet; `None` if that cannot write it.
fn septets(text: &str) -> Option<u32> {
    text.chars().try_fold(0_u32, |sum, c| Some(sum.saturating_add(width(c)?)))
}

fn width(c: char) -> Option<u32> {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' => Some(1),
        c if BASIC.contains(c) => Some(1),
        c if EXTENDED.contains(c) => Some(2),
        _ => None,
    }
}

/// Fills segments one after the other; a character that takes two places is never split over two of them.
fn fill(text: &str, room: u32, most: u8, width: impl Fn(char) -> u32) -> (u32, bool) {
    let (mut segments, mut used) = (1_u32, 0_u32);
    for c in text.chars() {
        let width = width(c);
        if used + width > room {
            if segments >= u32::from(most) {
                return (segments, false);
            }
            segments += 1;
            used = 0;
        }
        used += width;
    }
    (segments, segments <= u32::from(most))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn of(text: &str) -> u32 {
        count(text, 255).0
    }

    /// The table of 3GPP TS 23.038, 6.2.1, row by row; `\x1b` is the escape, which is no character.
    const TABLE: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
        ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

    #[test]
    fn the_default_alphabet_is_the_table_of_the_specification() {
        assert_eq!(TABLE.chars().count(), 128);
        for c in ('\0'..='\u{2fff}').chain(['가', '힣', '😀']) {
            let expected = match c {
                '\u{1b}' => None,
                c if TABLE.contains(c) => Some(1),
                '\u{c}' | '^' | '{' | '}' | '\\' | '[' | '~' | ']' | '|' | '€' => Some(2),
                _ => None,
            };
            assert_eq!(width(c), expected, "{c:?}");
        }
    }

    /// Lengths as providers document them: 160 and 153, 70 and 67, and what counts twice.
    #[test]
    fn segments_end_where_providers_say_they_do() {
        for (letters, segments) in
            [(1, 1), (160, 1), (161, 2), (306, 2), (307, 3), (459, 3), (460, 4), (1530, 10)]
        {
            assert_eq!(of(&"a".repeat(letters)), segments, "{letters} letters");
        }
        for (letters, segments) in [(1, 1), (70, 1), (71, 2), (134, 2), (135, 3), (201, 3), (202, 4)] {
            assert_eq!(of(&"가".repeat(letters)), segments, "{letters} syllables");
        }
        assert_eq!(of(&"€".repeat(80)), 1);
        assert_eq!(of(&"€".repeat(81)), 2);
        assert_eq!(of(&format!("{}’", "a".repeat(69))), 1, "a curly quote makes all of it UCS-2");
        assert_eq!(of(&format!("{}’", "a".repeat(70))), 2);
        assert_eq!(of(&"😀".repeat(35)), 1);
        assert_eq!(of(&"😀".repeat(36)), 2);
    }

    #[test]
    fn what_takes_two_places_is_never_split_over_two_segments() {
        // 152 septets, then two that do not fit into the last one: 153 places, 306 in all, and yet three segments.
        let escaped = format!("{}€{}", "a".repeat(152), "a".repeat(152));
        assert_eq!(of(&escaped), 3, "306 septets, one of which stays empty");
        assert_eq!(of(&"€".repeat(152)), 2, "76 in each of two");
        assert_eq!(of(&"€".repeat(153)), 3);
        let pairs = format!("{}😀{}", "가".repeat(66), "가".repeat(66));
        assert_eq!(of(&pairs), 3, "134 characters, one of which stays empty");
        assert_eq!(of(&"😀".repeat(66)), 2, "33 in each of two");
        assert_eq!(of(&"😀".repeat(67)), 3);
    }

    #[test]
    fn a_text_beyond_the_most_segments_is_refused() {
        assert_eq!(segments(&"a".repeat(1530), 10), Ok(10));
        assert_eq!(segments(&"a".repeat(1531), 10).unwrap_err().code, Code::TextTooLong);
        assert_eq!(segments(&"a".repeat(161), 1).unwrap_err().code, Code::TextTooLong);
        assert_eq!(segments("", 1), Ok(1));
    }

    proptest! {
        #[test]
        fn segments_never_fall_when_text_is_appended(a in "[a-z€{가😀\\n]{0,400}", b in "[a-z€^가😀’]{0,60}") {
            let both = format!("{a}{b}");
            prop_assert!(of(&both) >= of(&a));
        }

        /// Written out another way: every unit has a place, and a segment ends before what would be cut.
        #[test]
        fn segments_are_what_cutting_the_text_gives(text in "[ab€{가나😀é]{0,500}") {
            let narrow = text.chars().all(|c| width(c).is_some());
            let widths: Vec<u32> = text
                .chars()
                .map(|c| if narrow { width(c).unwrap() } else { c.len_utf16() as u32 })
                .collect();
            let (alone, each) = if narrow { SEPTETS } else { CHARACTERS };
            let mut rest = &widths[..];
            let mut pieces = 0;
            while !rest.is_empty() {
                let fits = (0..=rest.len()).rev().find(|n| rest[..*n].iter().sum::<u32>() <= each).unwrap();
                rest = &rest[fits..];
                pieces += 1;
            }
            let expected = if widths.iter().sum::<u32>() <= alone { 1 } else { pieces };
            prop_assert_eq!(of(&text), expected);
        }
    }
}
