//! `naru usage`: what customers sent in a month, by channel and hour of their own time, counted from the messages themselves.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use clap::Args;
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{Account, ChannelName, CustomerId, Day, Environment, RouteName, TimeZone, Timestamp},
    ledger::{LedgerDesk, Tally, TallyRange},
};
use serde::Serialize;

use crate::{
    desk::Desk,
    exit::Failure,
    output::{note, print},
};

/// Time zones differ from UTC by at most this.
const ZONES: Duration = Duration::from_secs(15 * 3_600);

/// Rows of an answer: a month has at most 745 hours, so that this is a thousand customers with a few channels each.
const ROWS: usize = 5_000_000;

/// The longest rest between two steps.
const REST: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// Which month, of each customer's own time: 2026-11
    #[arg(long, value_parser = month, value_name = "YYYY-MM")]
    month: i32,
    /// Only of this customer
    #[arg(long)]
    customer: Option<CustomerId>,
    /// Comma-separated values (RFC 4180)
    #[arg(long)]
    csv: bool,
}

fn month(text: &str) -> Result<i32, String> {
    let wrong = || "a month is written as 2026-11".to_owned();
    let (year, month) = text.split_once('-').ok_or_else(wrong)?;
    if year.len() != 4 || month.len() != 2 {
        return Err(wrong());
    }
    let (year, month): (i32, i32) = (year.parse().map_err(|_| wrong())?, month.parse().map_err(|_| wrong())?);
    if (1970..=9998).contains(&year) && (1..=12).contains(&month) {
        Ok(year * 100 + month)
    } else {
        Err(wrong())
    }
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    customer: CustomerId,
    environment: Environment,
    channel: ChannelName,
    route: RouteName,
    /// When the hour begins, by the customer's clock.
    hour: String,
    #[serde(flatten)]
    tally: Tally,
    /// The class of prices, if there is one.
    class: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    month: String,
    /// Hours that began before then are left out: not all of their messages are kept any more.
    complete_from: Option<Timestamp>,
    hours: Vec<Line>,
}

/// Whose, whether on the sandbox, how, which way, at which hour, at which prices.
type Sums = BTreeMap<(CustomerId, bool, ChannelName, RouteName, Timestamp, Option<String>), Tally>;

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(args: &UsageArgs, desk: &Desk) -> anyhow::Result<()> {
    let zones = zones(desk, args.customer.as_ref()).await?;
    let ledger = desk.ledger()?.desk;
    let sums = count(&*ledger, args, &zones).await?;
    let utc = TimeZone::UTC;
    // Asked after the count: what was let go of meanwhile is known by then.
    let complete_from = ledger.forgotten_before().await?;
    let mut hours = Vec::with_capacity(sums.len());
    let mut left_out = false;
    for ((customer, sandbox, channel, route, at, class), tally) in sums {
        let zone = zones.get(&customer).unwrap_or(&utc);
        if complete_from.is_some_and(|from| at < from) {
            left_out = true;
            continue;
        }
        let environment = if sandbox { Environment::Sandbox } else { Environment::Live };
        hours.push(Line { customer, environment, channel, route, hour: zone.hour(at), tally, class });
    }
    let first = Day::from_i32(args.month * 100 + 1);
    let begins = zones.values().chain([&utc]).map(|zone| first.begins(zone)).min();
    let complete_from = complete_from.filter(|from| left_out || begins.is_some_and(|begins| *from > begins));
    answer(args, desk, complete_from, hours)
}

/// The time zones of customers.
async fn zones(desk: &Desk, only: Option<&CustomerId>) -> anyhow::Result<HashMap<CustomerId, TimeZone>> {
    let book = desk.book()?;
    if let Some(id) = only {
        let customer = book.customer(id).await?;
        return Ok(HashMap::from([(customer.id, customer.time_zone)]));
    }
    let entries = book.all(Kind::Customer, "").await?;
    let zones = entries.into_iter().filter_map(|entry| match entry {
        Entry::Customer(customer) => Some((customer.id, customer.time_zone)),
        _ => None,
    });
    Ok(zones.collect())
}

/// Counts in steps; after each it rests for as long as the step took, so that whoever serves has at least half of the ledger.
async fn count(
    ledger: &dyn LedgerDesk,
    args: &UsageArgs,
    zones: &HashMap<CustomerId, TimeZone>,
) -> anyhow::Result<Sums> {
    let (first, next) = (Day::from_i32(args.month * 100 + 1), after(args.month));
    let range = TallyRange {
        from: first.begins(&TimeZone::UTC).minus(ZONES),
        until: next.begins(&TimeZone::UTC).plus(ZONES),
    };
    let (mut sums, mut from) = (Sums::new(), None);
    let utc = TimeZone::UTC;
    loop {
        let begun = Instant::now();
        let page = ledger.tally(range, from).await?;
        for cell in page.cells {
            let Account { customer, environment } = cell.account;
            if args.customer.as_ref().is_some_and(|only| *only != customer) {
                continue;
            }
            let zone = zones.get(&customer).unwrap_or(&utc);
            if Day::of(cell.at, zone).month() != args.month {
                continue;
            }
            let sandbox = environment == Environment::Sandbox;
            let at = zone.hour_begins(cell.at);
            let place = (customer, sandbox, cell.channel, cell.route, at, cell.class);
            sums.entry(place).or_default().add(&cell.tally);
        }
        if sums.len() > ROWS {
            let why =
                format!("there are more than {ROWS} hours to tell of: ask for one --customer after another");
            return Err(Failure::Refused(why).into());
        }
        from = page.next;
        if from.is_none() {
            return Ok(sums);
        }
        tokio::time::sleep(begun.elapsed().min(REST)).await;
    }
}

const fn after(month: i32) -> Day {
    let next = if month % 100 == 12 { month + 89 } else { month + 1 };
    Day::from_i32(next * 100 + 1)
}

const HEAD: [&str; 14] = [
    "customer",
    "environment",
    "channel",
    "route",
    "hour",
    "submitted",
    "accepted",
    "reported",
    "acknowledged",
    "units_reserved",
    "units_captured",
    "units_released",
    "units_credited",
    // Last, so that whoever counts columns reads on as before.
    "class",
];

fn cells(line: &Line) -> Vec<String> {
    let tally = &line.tally;
    let mut cells = vec![
        line.customer.to_string(),
        line.environment.as_str().to_owned(),
        line.channel.to_string(),
        line.route.to_string(),
        line.hour.clone(),
    ];
    let counts = [tally.submitted, tally.accepted, tally.reported, tally.acknowledged];
    let units = [tally.units_reserved, tally.units_captured, tally.units_released, tally.units_credited];
    cells.extend(counts.iter().chain(&units).map(u64::to_string));
    cells.push(line.class.clone().unwrap_or_default());
    cells
}

fn answer(
    args: &UsageArgs,
    desk: &Desk,
    complete_from: Option<Timestamp>,
    hours: Vec<Line>,
) -> anyhow::Result<()> {
    if let Some(from) = complete_from {
        note(&format!(
            "hours that began before {from} are left out: of what was accepted by then not everything is kept any more \
             (workers.horizon_ms)"
        ))?;
    }
    if args.csv {
        csv(&HEAD.map(str::to_owned))?;
        return hours.iter().try_for_each(|line| csv(&cells(line)));
    }
    if desk.out.json {
        let month = format!("{:04}-{:02}", args.month / 100, args.month % 100);
        return print(&serde_json::to_string_pretty(&Answer { month, complete_from, hours })?);
    }
    desk.out.rows(&hours, &HEAD.map(|name| name), cells)
}

/// One record (RFC 4180): a carriage return and a line feed end it, and a value that holds a comma, a quote or either of these is quoted.
fn csv(values: &[String]) -> anyhow::Result<()> {
    let quoted = values.iter().map(|value| {
        if value.contains([',', '"', '\r', '\n']) {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value.clone()
        }
    });
    print(&format!("{}\r", quoted.collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_four_digits_a_dash_and_two() {
        assert_eq!(month("2026-11"), Ok(202_611));
        for wrong in ["2026", "2026-13", "2026-00", "26-11", "2026-1", "2026-11-01", "abcd-ef"] {
            assert!(month(wrong).is_err(), "{wrong}");
        }
        assert_eq!(after(202_612).to_string(), "2027-01-01");
        assert_eq!(after(202_611).to_string(), "2026-12-01");
    }

    #[test]
    fn an_hour_is_the_customers_and_comes_twice_where_clocks_go_back() {
        let zone: TimeZone = "Europe/Berlin".parse().unwrap();
        let told = |text: &str| zone.hour(zone.hour_begins(text.parse().unwrap()));
        assert_eq!(told("2026-10-25T00:45:00Z"), "2026-10-25T02:00:00+02:00");
        assert_eq!(told("2026-10-25T01:15:00Z"), "2026-10-25T02:00:00+01:00");
        assert_eq!(told("2026-03-29T01:30:00Z"), "2026-03-29T03:00:00+02:00");
        let half: TimeZone = "Asia/Kathmandu".parse().unwrap();
        assert_eq!(
            half.hour(half.hour_begins("2026-11-25T00:15:00Z".parse().unwrap())),
            "2026-11-25T06:00:00+05:45"
        );
        assert_eq!(
            half.hour(half.hour_begins("2026-11-25T00:00:00Z".parse().unwrap())),
            "2026-11-25T05:00:00+05:45"
        );
    }
}
