//! How long messages wait on routes that have more to do than they can: by whose turn it is, a customer waits behind its own.

use std::{collections::BTreeMap, time::Duration};

use naru_shared::{
    domain::{Account, Lane, RouteName},
    gate::Delay,
    ledger::{LedgerError, Waiting},
    metrics::ROUTE_PER_SECOND,
};

use crate::{crew::Crew, patience};

/// Waits shorter than this are not told: no time to live is worth refusing a message for them.
const WORTH: Duration = Duration::from_secs(10);

/// Delays that are told.
const DELAYS: usize = 2_000;

/// Ready rows that are counted on a lane; with more the wait is longer than told.
const COUNTED: usize = 200_000;

/// Of eight that begin one is `bulk`, while both lanes wait.
const EXPRESS: f64 = 7.0 / 8.0;

/// Who would wait for long, as far as it was measured.
pub(super) async fn observe(crew: &Crew, waiting: &[Waiting]) -> Result<Vec<Delay>, LedgerError> {
    let mut delays = Vec::new();
    for route in crew.routes() {
        let rate = crew.desk(&route).and_then(|desk| desk.per_second()).filter(|rate| *rate > 0.0);
        ROUTE_PER_SECOND.of(&[("route", route.as_str())]).set(rate.unwrap_or(0.0));
        let Some(rate) = rate else { continue };
        let rate = if waits(waiting, &route, Lane::Bulk) > 0 { rate * EXPRESS } else { rate };
        #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
        let most = waits(waiting, &route, Lane::Express) as f64 / rate;
        if most < WORTH.as_secs_f64() {
            continue;
        }
        // Of what waits only what is ready stands before a message that comes now.
        let ready = patience::ledger(crew.deps.ledger.ready(&route, Lane::Express, COUNTED)).await?;
        let weights = crew.weights();
        let lines: Vec<Line> = ready
            .into_iter()
            .map(|(account, messages)| Line { weight: weights(&account.customer), account, messages })
            .collect();
        delays.extend(shared_out(&lines, rate).into_iter().map(|(account, express)| Delay {
            route: route.clone(),
            account,
            express,
        }));
    }
    delays.sort_by_key(|delay| std::cmp::Reverse(delay.express));
    delays.truncate(DELAYS);
    Ok(delays)
}

fn waits(waiting: &[Waiting], route: &RouteName, lane: Lane) -> u64 {
    waiting.iter().filter(|one| one.route == *route && one.lane == lane).map(|one| one.messages).sum()
}

/// What an account has ready.
struct Line {
    account: Account,
    weight: u32,
    messages: u64,
}

/// How long the last of each line waits, if `rate` begin in a second: those who wait share it by their weights, and what one leaves goes
/// to the others.
#[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
fn shared_out(lines: &[Line], rate: f64) -> Vec<(Account, Duration)> {
    // Whoever needs the fewest turns is done first; up to then all had their part.
    let mut order: BTreeMap<(u64, usize), &Line> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let turns = line.messages.saturating_mul(1_000) / u64::from(line.weight.max(1));
        order.insert((turns, index), line);
    }
    let mut weights: f64 = lines.iter().map(|line| f64::from(line.weight.max(1))).sum();
    let (mut waited, mut before, mut told) = (0.0, 0, Vec::new());
    for ((turns, _), line) in order {
        let step = (turns - before) as f64 / 1_000.0;
        waited += step * weights / rate;
        before = turns;
        weights -= f64::from(line.weight.max(1));
        let wait = Duration::try_from_secs_f64(waited).unwrap_or(Duration::MAX);
        if wait >= WORTH {
            told.push((line.account.clone(), wait));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use naru_shared::domain::Environment;

    use super::*;

    fn line(customer: &str, weight: u32, messages: u64) -> Line {
        let account = Account { customer: customer.parse().unwrap(), environment: Environment::Live };
        Line { account, weight, messages }
    }

    fn seconds(lines: &[Line], rate: f64) -> Vec<(String, u64)> {
        let told = shared_out(lines, rate).into_iter();
        told.map(|(account, wait)| (account.customer.to_string(), wait.as_secs_f64().round() as u64))
            .collect()
    }

    #[test]
    fn a_customer_waits_behind_its_own_and_not_behind_another_s_flood() {
        let lines = [line("flood", 1, 9_900), line("few", 1, 100)];
        assert_eq!(seconds(&lines, 10.0), [("few".to_owned(), 20), ("flood".to_owned(), 1_000)]);
        assert_eq!(seconds(&[line("alone", 1, 1_000)], 10.0), [("alone".to_owned(), 100)]);
        assert_eq!(seconds(&[line("alone", 1, 50)], 10.0), [], "not worth telling");
    }

    #[test]
    fn weight_is_a_share_and_what_one_leaves_is_the_others() {
        let lines = [line("heavy", 3, 300), line("light", 1, 300)];
        // Together until the heavy one is done after 400 messages; then 200 are left.
        assert_eq!(seconds(&lines, 10.0), [("heavy".to_owned(), 40), ("light".to_owned(), 60)]);
    }
}
