//! `GET /quota`: limits and their use.

use actix_web::http::StatusCode;
use naru_shared::domain::{ChannelName, Day, Environment, RatePolicy, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::reading::{ANSWER, within};
use crate::{answer::Answer, exchange::Exchange, problem::Problem};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Quotas", description = "Quotas and rates of the customer.")]
pub struct Page<'a> {
    quotas: Vec<Line<'a>>,
    rates: &'a [RatePolicy],
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Quota", description = "Units that may be used in a period.")]
struct Line<'a> {
    channel: &'a str,
    period: &'static str,
    limit: u64,
    used: u64,
    remaining: u64,
    renews_at: Option<Timestamp>,
    time_zone: &'a str,
}

/// The caller's quotas, as the ledger holds them, and its rates. The sandbox is never charged and has no quotas.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let caller = exchange.caller(0).await?;
    let front = &exchange.front;
    let customer = &caller.profile.customer;
    let now = front.clock.now();
    let day = Day::of(now, &customer.time_zone);
    let charged = caller.account.environment == Environment::Live;
    let _place = exchange.reading(&caller)?;
    let mut quotas = Vec::new();
    for quota in caller.profile.quotas.iter().filter(|_| charged) {
        let used = within(front, ANSWER, front.reads.used(quota, day)).await?;
        quotas.push(Line {
            channel: quota.channel.as_ref().map_or("*", ChannelName::as_str),
            period: quota.period.as_str(),
            limit: quota.limit,
            used,
            remaining: quota.limit.saturating_sub(used),
            renews_at: quota.period.renews_at(now, &customer.time_zone),
            time_zone: customer.time_zone.name(),
        });
    }
    Answer::json(StatusCode::OK, &Page { quotas, rates: &customer.rates })
}
