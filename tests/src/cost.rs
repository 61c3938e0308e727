//! What a month on AWS costs for what Naru asks of it: counted calls, list prices, and a formula.

use std::{
    collections::BTreeMap,
    fmt::Write,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    aws_proxy::{Call, Service},
    deployment::{Carries, Deployment, Shape},
    engines::Flavour,
    gateway::{Helper, Programs},
};

/// List prices in US dollars; `docs/cost.md` tells of which region and day, and where they stand.
#[derive(Debug, Clone, Copy)]
pub struct Prices {
    /// A million requests to standard queues.
    pub sqs: f64,
    /// The same, on top, of requests with a message group.
    pub fair: f64,
    /// A million publishes; copies into queues are free.
    pub sns: f64,
    /// A thousand objects written.
    pub s3_put: f64,
    /// A thousand objects read.
    pub s3_get: f64,
}

/// Those of the documentation.
pub const PRICES: Prices = Prices { sqs: 0.40, fair: 0.10, sns: 0.50, s3_put: 0.005, s3_get: 0.000_4 };

/// Hours of a month.
pub const HOURS: f64 = 730.0;

/// Billed requests for each message at one rate.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counted {
    /// To the queues of packs.
    pub packs: f64,
    /// To the queues of subscriptions.
    pub copies: f64,
    /// Publishes.
    pub publishes: f64,
}

/// A deployment, as far as its idle queues cost.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Routes.
    pub routes: f64,
    /// Subscriptions.
    pub subscriptions: f64,
    /// Worker processes.
    pub workers: f64,
}

/// Asks in an hour with a doorbell: of a route or subscription, and of what is dead of it.
const WITH_DOORBELL: f64 = 15.0;

/// Asks of one queue in an hour without: one long poll after the other.
const LONG_POLLS: f64 = 3_600.0 / 20.0;

/// Requests in a month for queues on which nothing lies.
#[must_use]
pub fn idle(size: Size, doorbell: bool) -> f64 {
    let (lanes, each) = if doorbell { (1.0, WITH_DOORBELL) } else { (2.0, LONG_POLLS) };
    // Of each route its lanes and what is dead of them, of each subscription the same.
    let queues = size.routes * lanes * 2.0 + size.subscriptions * 2.0;
    queues * each * HOURS * size.workers
}

/// Requests in a month, at the most, of lanes and subscriptions that are neither at rest nor busy: something comes now and then, and
/// every worker waits for it by one long poll after the other. Messages that are spread over many routes come so.
#[must_use]
pub fn waiting(size: Size) -> f64 {
    (size.routes + size.subscriptions) * LONG_POLLS * HOURS * size.workers
}

/// Requests to S3 for each file: objects written, and objects read or looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CountedFiles {
    /// Written.
    pub put: f64,
    /// Read, or looked at.
    pub read: f64,
}

/// Dollars for so many files.
#[must_use]
pub fn files(number: f64, counted: CountedFiles) -> f64 {
    number / 1e3 * (counted.put * PRICES.s3_put + counted.read * PRICES.s3_get)
}

/// Dollars in a month for so many messages of which this was counted.
#[must_use]
pub fn month(messages: f64, counted: Counted, size: Size, doorbell: bool) -> f64 {
    let millions = |count: f64| count / 1e6;
    let packs = millions(messages * counted.packs) * (PRICES.sqs + PRICES.fair);
    let copies = millions(messages * counted.copies) * PRICES.sqs;
    let publishes = millions(messages * counted.publishes) * PRICES.sns;
    packs + copies + publishes + millions(idle(size, doorbell)) * PRICES.sqs
}

/// The same if every message were a message of the queue, asked for one by one: a send, a receive and a delete for it, a
/// publish for its event, and a receive and a delete for each subscription's copy.
#[must_use]
pub const fn one_by_one(size: Size) -> Counted {
    Counted { packs: 3.0, copies: 2.0 * size.subscriptions, publishes: 1.0 }
}

/// How messages come.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Messages in a second.
    pub rate: f64,
    /// Messages of one call.
    pub batch: usize,
}

/// How long after its start a deployment has found its queues.
const STARTED: Duration = Duration::from_secs(5);

/// Counts what a deployment asks for each message that comes so.
///
/// # Errors
/// If it cannot be run, or a message is not accepted.
pub fn count(profile: Profile, span: Duration) -> anyhow::Result<(Counted, BTreeMap<Call, u64>)> {
    let carries = Carries::Aws { flavour: Flavour::Fauxqs, counted: true };
    // One worker: the emulator answers every long poll when something comes, also those that get nothing; AWS lets them wait.
    let mut site = Deployment::prepare(&Shape { carries, workers: 1, ..Shape::default() })?;
    // A webhook is who receives the subscription's copies.
    let receiver = Helper::start(&Programs::find()?, &["receiver"])?;
    let url = format!("http://{}/", receiver.address);
    site.verb(&["webhook", "add", "c0", "counted", &url, "--allow-network", "127.0.0.0/8"])?;
    site.verb(&["infra", "apply"])?;
    site.start(&[])?;
    let mut customer = site.customer(0);
    let counter = site.carrier.cloud()?.calls()?;
    thread::sleep(STARTED);
    drop(counter.take_billed());
    let (began, mut sent) = (Instant::now(), 0_usize);
    while began.elapsed() < span {
        let messages: Vec<_> = (sent..sent + profile.batch).map(message).collect();
        let reply = customer.batch(&messages)?;
        anyhow::ensure!(reply.status == 202, "{}", reply.json());
        sent += profile.batch;
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let due = Duration::from_secs_f64(sent as f64 / profile.rate);
        thread::sleep(due.saturating_sub(began.elapsed()));
    }
    // What is under way is asked for still.
    thread::sleep(Duration::from_secs(2));
    let billed = counter.take_billed();
    let sum = |holds: &dyn Fn(&Call) -> bool| {
        let all: u64 = billed.iter().filter(|(call, _)| holds(call)).map(|(_, count)| count).sum();
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let each = all as f64 / sent as f64;
        each
    };
    // Those of the queues through which the messages came: what others ask at rest is counted by the hour.
    let of =
        |name: &'static str| move |call: &Call| call.service == Service::Sqs && call.resource.ends_with(name);
    let counted = Counted {
        packs: sum(&of("-packs-demo-express")),
        copies: sum(&of("-copies-webhooks")),
        publishes: sum(&|call: &Call| call.service == Service::Sns),
    };
    Ok((counted, billed))
}

/// Counts what a deployment asks of S3 for each file, uploaded once and sent once.
///
/// # Errors
/// If it cannot be run, or a file or message is not accepted.
pub fn count_files(number: usize) -> anyhow::Result<CountedFiles> {
    let carries = Carries::Aws { flavour: Flavour::Fauxqs, counted: true };
    let site = Deployment::spawn(&Shape { carries, workers: 1, ..Shape::default() })?;
    let mut customer = site.customer(0);
    let counter = site.carrier.cloud()?.calls()?;
    thread::sleep(STARTED);
    drop(counter.take_billed());
    for file in 0..number {
        let content = [b"\x89PNG\r\n\x1a\n", format!("file {file}").as_bytes()].concat();
        let uploaded = customer.attach("image/png", &content)?;
        anyhow::ensure!(uploaded.status == 201, "{}", uploaded.json());
        let mut carrying = message(file);
        carrying["channel"] = json!("mms");
        carrying["attachments"] = json!([uploaded.json()["id"]]);
        let reply = customer.send(&carrying, None)?;
        anyhow::ensure!(reply.status == 202, "{}", reply.json());
    }
    // What is under way is asked for still.
    thread::sleep(STARTED);
    let billed = counter.take_billed();
    let each = |holds: &dyn Fn(&str) -> bool| {
        let of_s3 = billed.iter().filter(|(call, _)| call.service == Service::S3);
        let all: u64 = of_s3.filter(|(call, _)| holds(&call.action)).map(|(_, count)| count).sum();
        #[expect(clippy::cast_precision_loss, reason = "some tens")]
        let each = all as f64 / number as f64;
        each
    };
    let is_put = |action: &str| action.starts_with("Put");
    Ok(CountedFiles { put: each(&is_put), read: each(&|action| !is_put(action)) })
}

fn message(number: usize) -> serde_json::Value {
    json!({ "channel": "sms", "recipient": format!("+8210{number:08}"), "body": "x".repeat(160) })
}

/// Months of a million, ten and a hundred million messages: as counted at their mean rates, alone and in calls of 100, beside
/// one by one without a doorbell.
///
/// # Errors
/// As [`count`].
pub fn run(span: Duration, details: bool, say: &mut dyn FnMut(&str)) -> anyhow::Result<String> {
    let size = Size { routes: 10.0, subscriptions: 1.0, workers: 2.0 };
    let mut text = String::from(
        "| messages a month | as | requests for each: packs, copies, publishes | $ a month | $ spread thin, at the most | $ one by one, no doorbell |\n|---|---|---|---|---|---|\n",
    );
    for messages in [1e6, 1e7, 1e8] {
        for batch in [1, 100] {
            let rate = messages / (HOURS * 3_600.0);
            say(&format!("{messages:e} messages a month, {batch} in a call: {rate:.2}/s for {span:?}"));
            // Calls of a batch are far apart at a low rate: at least two of them.
            #[expect(clippy::cast_precision_loss, reason = "1 or 100")]
            let span = span.max(Duration::from_secs_f64(batch as f64 * 1.1 / rate));
            let (counted, billed) = count(Profile { rate, batch }, span)?;
            if details {
                say(&format!("{billed:#?}"));
            }
            let (paid, plain) =
                (month(messages, counted, size, true), month(messages, one_by_one(size), size, false));
            let thin = paid + waiting(size) / 1e6 * PRICES.sqs;
            let Counted { packs, copies, publishes } = counted;
            writeln!(
                text,
                "| {messages:e} | calls of {batch} | {packs:.3}, {copies:.3}, {publishes:.3} | {paid:.2} | {thin:.2} | {plain:.2} |"
            )?;
        }
    }
    say("files");
    let counted = count_files(20)?;
    let CountedFiles { put, read } = counted;
    let month = [1e6, 1e7, 1e8].map(|number| format!("{:.2}", files(number, counted))).join(" | ");
    write!(
        text,
        "\n| requests for each file: written, read | $ for 1,000,000 files | 10,000,000 | 100,000,000 |\n|---|---|---|---|\n\
         | {put:.2}, {read:.2} | {month} |\n"
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_queues_cost_a_tenth_with_a_doorbell_or_less() {
        let size = Size { routes: 10.0, subscriptions: 1.0, workers: 2.0 };
        let (with, without) = (idle(size, true), idle(size, false));
        assert!((with - 22.0 * 15.0 * 730.0 * 2.0).abs() < 1.0, "{with}");
        assert!((without - 42.0 * 180.0 * 730.0 * 2.0).abs() < 1.0, "{without}");
        let one = Counted { packs: 1.0, copies: 1.0, publishes: 1.0 };
        let none = Size { routes: 0.0, subscriptions: 0.0, workers: 0.0 };
        assert!((month(1e6, one, none, true) - 1.40).abs() < 1e-9);
        assert!((waiting(size) - 11.0 * 180.0 * 730.0 * 2.0).abs() < 1.0);
        let once = CountedFiles { put: 1.0, read: 2.0 };
        assert!((files(1e6, once) - 5.80).abs() < 1e-9);
    }
}
