//! Which rule holds for which channel.

use std::num::NonZeroU32;

use naru_shared::domain::PriceClass;

use super::*;
use crate::problem::Code;

pub(in crate::accept) fn content(channel: &str, body: &str) -> Content {
    Content {
        channel: channel.parse().unwrap(),
        recipient: "+821012345678".to_owned(),
        sender: None,
        subject: None,
        body: body.to_owned(),
        attachments: Vec::new(),
        data: serde_json::Map::new(),
        reference: None,
        send_at: None,
        ttl: None,
        simulate: None,
    }
}

fn cost(channel: &str, body: &str, rule: TextRule, units_each: u32) -> Result<u32, Code> {
    let class: PriceClass = "domestic".parse().unwrap();
    let units_each = NonZeroU32::new(units_each).unwrap();
    let trade = Trade { rule, units_each, class: Some(class), ..Trade::default() };
    units(&content(channel, body), &trade).map(Units::get).map_err(|problem| problem.code)
}

#[test]
fn a_route_that_says_nothing_counts_every_message_as_one() {
    let long = "가".repeat(5_000);
    for channel in ["sms", "lms", "mms", "push"] {
        assert_eq!(units(&content(channel, &long), &Trade::default()), Ok(Units::ONE), "{channel}");
    }
}

#[test]
fn each_channel_has_its_rule() {
    let text = "a".repeat(161);
    assert_eq!(cost("sms", &text, TextRule::Segments, 1), Ok(2));
    assert_eq!(cost("sms", &text, TextRule::Segments, 3), Ok(6));
    assert_eq!(cost("lms", &text, TextRule::Segments, 3), Ok(3));
    assert_eq!(cost("sms", &text, TextRule::Korean, 1), Err(Code::TextTooLong));
    assert_eq!(cost("lms", &text, TextRule::Korean, 2), Ok(2));
    assert_eq!(cost("push", &text, TextRule::Korean, 5), Ok(5));
    assert_eq!(cost("push", &text, TextRule::Message, 5), Ok(5));
}

#[test]
fn what_a_catalog_says_beyond_its_bounds_costs_no_less() {
    assert_eq!(cost("sms", &"a".repeat(306), TextRule::Segments, u32::MAX), Ok(1_000_000));
}
