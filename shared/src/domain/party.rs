//! Who sends and who receives, as they are compared: a number is the same however it is written.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest that is compared, in characters: the longest sender or recipient of a message.
const LONGEST: usize = 64;

/// Digits of what is taken for a telephone number; fewer are a service's own (`114`, `1588`).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Somebody who sends or receives, in the one form in which they are compared.
///
/// Seven to fifteen digits, with an optional `+` before them and spaces, hyphens, dots and brackets anywhere, are a telephone
/// number and become `+`, country and number (ITU-T E.164). Without `+`, a number that begins with one `0` is a Korean one, and so
/// is one that begins with `82` and has ten digits or more, or with neither, such as `1544-1234`. The `0` of `+82 (0)2…` is not
/// part of a number. Everything else (letters, shorter numbers, tokens) is compared as it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Party(Box<str>);

/// Nobody is called so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number or name is 1 to 64 printable characters")]
pub struct InvalidParty;

impl Party {
    /// The one form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last characters without what [`Party::PUNCTUATION`] removes: the same for every way to write it. For stores that look
    /// for candidates; whether one is the same, only [`Party`] can tell.
    #[must_use]
    pub fn tail(&self) -> String {
        let plain: Vec<char> = self.0.chars().filter(|c| !Self::PUNCTUATION.contains(*c)).collect();
        plain[plain.len().saturating_sub(Self::TAIL)..].iter().collect()
    }

    /// Characters of a [`Party::tail`].
    pub const TAIL: usize = 7;

    /// What may stand between digits.
    pub const PUNCTUATION: &str = " -.()";
}

impl FromStr for Party {
    type Err = InvalidParty;
    fn from_str(text: &str) -> Result<Self, InvalidParty> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().take(LONGEST + 1).count() <= LONGEST;
        if !fits || text.chars().any(char::is_control) {
            return Err(InvalidParty);
        }
        Ok(Self(number(text).unwrap_or_else(|| text.to_owned()).into()))
    }
}

/// A telephone number in international form.
fn number(text: &str) -> Option<String> {
    let (plus, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
    let digits: String = rest.chars().filter(|c| !Party::PUNCTUATION.contains(*c)).collect();
    if !DIGITS.contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let korean = |national: &str| format!("+82{}", national.strip_prefix('0').unwrap_or(national));
    Some(match digits.strip_prefix("82") {
        Some(national) if plus || digits.len() >= 10 => korean(national),
        _ if plus => format!("+{digits}"),
        // A prefix for calls abroad names a country after it; which prefix is whose is not known here.
        _ if digits.starts_with("00") => digits,
        _ => korean(&digits),
    })
}

impl TryFrom<String> for Party {
    type Error = InvalidParty;
    fn try_from(text: String) -> Result<Self, InvalidParty> {
        text.parse()
    }
}

impl From<Party> for String {
    fn from(party: Party) -> Self {
        party.0.into()
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// In whose name a customer may send.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Senders {
    /// Only the registered may be named, and one must be.
    pub registered_only: bool,
    /// The registered.
    pub registered: BTreeSet<Party>,
}

impl Senders {
    /// The most that one customer registers: they are in its document, which every process holds.
    pub const MOST: usize = 1_000;

    /// Whether nothing was ever said about them.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        !self.registered_only && self.registered.is_empty()
    }

    /// Whether a message may name this sender, or none.
    #[must_use]
    pub fn allow(&self, sender: Option<&str>) -> bool {
        !self.registered_only
            || sender
                .and_then(|sender| sender.parse::<Party>().ok())
                .is_some_and(|sender| self.registered.contains(&sender))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    fn form(text: &str) -> String {
        text.parse::<Party>().unwrap().to_string()
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let ways = ["02-1544-1234", "0215441234", "+82 2 1544 1234", "+82(0)2-1544.1234", "82215441234"];
        for way in ways {
            assert_eq!(form(way), "+82215441234", "{way}");
        }
        for way in ["010-1234-5678", "+821012345678", "+8201012345678", "821012345678", " 01012345678 "] {
            assert_eq!(form(way), "+821012345678", "{way}");
        }
        assert_eq!(form("1544-1234"), "+8215441234");
        assert_eq!(form("+8215441234"), "+8215441234");
        assert_eq!(form("+1 (202) 555-0123"), "+12025550123");
    }

    #[test]
    fn what_is_no_number_is_compared_as_it_is_written() {
        for name in ["ACME", "acme", "114", "#1234", "user-123", "12-34", "0012025550123", "여기요", "82"]
        {
            assert_eq!(form(name), name);
        }
        for bad in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Party>(), Err(InvalidParty), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn the_one_form_is_its_own_form(text in "[ -~가-힣]{1,30}") {
            if let Ok(party) = text.parse::<Party>() {
                prop_assert_eq!(party.as_str().parse::<Party>().unwrap(), party);
            }
        }

        /// Stores look for candidates by it.
        #[test]
        fn every_way_to_write_a_number_has_its_tail(
            head in "(\\+82|82|0)", rest in "[1-9][0-9]{8,9}", gap in "[-. ]", at in 1_usize..8
        ) {
            let plain = format!("{head}{rest}").parse::<Party>().unwrap();
            let (before, after) = rest.split_at(at);
            let written = format!("{head}{gap}{before}{gap}{after}");
            prop_assert_eq!(&written.parse::<Party>().unwrap(), &plain);
            let stripped: String = written.chars().filter(|c| !Party::PUNCTUATION.contains(*c)).collect();
            prop_assert_eq!(&stripped[stripped.len() - Party::TAIL..], plain.tail());
        }
    }

    #[test]
    fn only_the_registered_are_allowed_once_any_must_be() {
        let mut senders = Senders::default();
        assert!(senders.allow(None) && senders.allow(Some("010-1234-5678")) && senders.is_unset());
        senders.registered.insert("010-1234-5678".parse().unwrap());
        assert!(senders.allow(Some("ACME")));
        senders.registered_only = true;
        assert!(senders.allow(Some("+82 10 1234 5678")));
        for other in [None, Some(""), Some("01012345679"), Some("ACME")] {
            assert!(!senders.allow(other), "{other:?}");
        }
    }
}
