//! What a message costs, by the rule of its route.

mod gsm;
mod korean;

use naru_shared::domain::{Content, TextRule, Trade, Units};

use crate::problem::Problem;

/// The units of a message, or why its route cannot carry it.
pub fn units(content: &Content, trade: &Trade) -> Result<Units, Problem> {
    let count = match trade.rule {
        TextRule::Message => 1,
        TextRule::Segments if content.channel.as_str() == "sms" => {
            gsm::segments(&content.body, trade.most_segments)?
        }
        TextRule::Segments => 1,
        TextRule::Korean => {
            korean::fits(content)?;
            1
        }
    };
    // Both factors are bounded where they are set; what a catalog says beyond that costs no less.
    let units = count.saturating_mul(trade.units_each.get()).min(1_000_000);
    Ok(Units::new(units).unwrap_or(Units::ONE))
}

#[cfg(test)]
pub(super) mod tests;
