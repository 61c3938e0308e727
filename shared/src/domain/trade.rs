//! What a message counts, by the rule of its route, and what its units cost: a class of prices.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::PriceClass;

/// How the units of a text message are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextRule {
    /// Every message counts one, however long it is.
    #[default]
    Message,
    /// `sms` counts its segments by 3GPP TS 23.038 and 23.040; every other message counts one.
    Segments,
    /// Every message counts one, and must fit: 90 bytes of EUC-KR in `sms`, 2,000 in `lms` and `mms` with a subject of 40.
    Korean,
}

impl TextRule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Message, Self::Segments, Self::Korean];

    /// The word used in tables and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Segments => "segments",
            Self::Korean => "korean",
        }
    }
}

/// What a route's messages count and cost. A release that does not know it counts every message as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trade {
    /// How text is counted.
    pub rule: TextRule,
    /// The units of each that is counted: of a message, or of a segment.
    pub units_each: NonZeroU32,
    /// Segments that one `sms` may have, 1 to 255 (3GPP TS 23.040 counts them in an octet).
    pub most_segments: u8,
    /// Which prices hold for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<PriceClass>,
}

impl Trade {
    /// The most units of each that is counted.
    pub const UNITS_EACH: u32 = 1_000;

    /// Segments that one `sms` may have, unless something else is said.
    pub const SEGMENTS: u8 = 10;
}

impl Default for Trade {
    fn default() -> Self {
        Self {
            rule: TextRule::Message,
            units_each: NonZeroU32::MIN,
            most_segments: Self::SEGMENTS,
            class: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_release_wrote_counts_every_message_as_one() {
        let read: Trade = serde_json::from_str("{}").unwrap();
        assert_eq!(read, Trade::default());
        assert_eq!((read.rule, read.units_each.get(), read.class), (TextRule::Message, 1, None));
        for rule in TextRule::ALL {
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.as_str());
        }
    }
}
