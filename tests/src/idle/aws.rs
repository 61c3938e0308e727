//! A deployment at rest on AWS: every request to its queues is paid for, so each is counted, by the proxy before the emulator.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::{delivered, woken};
use crate::{
    aws_proxy::{Call, Service},
    bench::Table,
    deployment::{Carries, Deployment, Shape},
    engines::Flavour,
    gateway::{Helper, Programs, Setup},
};

/// Requests to SQS in an hour, for each group of queues and each worker process.
const AN_HOUR: f64 = 15.0;

/// Longer than a long poll with all that a request takes besides.
const LONGEST_POLL: Duration = Duration::from_secs(21);

/// By then it rests.
const SETTLED: Duration = Duration::from_secs(180);

/// Worker processes that are watched.
const WORKERS: u64 = 2;

/// What was asked of SQS meanwhile, by group of queues: the lanes of a route together, and whatever else lies beside a route or
/// a subscription by itself.
#[derive(Debug)]
pub struct Asked {
    span: Duration,
    groups: BTreeMap<String, u64>,
    calls: BTreeMap<Call, u64>,
}

/// Two fronts and two workers on AWS with a doorbell, at rest; a webhook has them receive a subscription's copies.
pub struct RestingOnAws {
    site: Deployment,
    /// What the webhook calls; it ends with this.
    _receiver: Helper,
}

/// The group of the subscription that is received.
const COPIES: &str = "copies-webhooks";

impl RestingOnAws {
    /// Starts everything, lets it work a little, and lets it come to rest.
    ///
    /// # Errors
    /// If it cannot be started, or does not work.
    pub fn begin() -> anyhow::Result<Self> {
        let setup = Setup { subscription: Some("watch".to_owned()), ..Setup::default() };
        let carries = Carries::Aws { flavour: Flavour::Fauxqs, counted: true };
        let mut site = Deployment::prepare(&Shape { setup, carries, ..Shape::default() })?;
        let receiver = Helper::start(&Programs::find()?, &["receiver"])?;
        let url = format!("http://{}/", receiver.address);
        site.verb(&["webhook", "add", "c0", "resting", &url, "--allow-network", "127.0.0.0/8"])?;
        site.verb(&["infra", "apply"])?;
        site.start(&[])?;
        for number in 0..10 {
            delivered(&mut site.customer(0), &format!("before {number}"))?;
        }
        let resting = Self { site, _receiver: receiver };
        ensure!(resting.is_received()?, "nobody receives {COPIES}");
        resting.settle()?;
        Ok(resting)
    }

    /// Whether the workers have asked for the subscription's copies.
    fn is_received(&self) -> anyhow::Result<bool> {
        let calls = self.site.carrier.cloud()?.calls()?.take_calls();
        Ok(calls.keys().any(|call| call.action == "ReceiveMessage" && group(&call.resource) == COPIES))
    }

    /// A queue rests only when nothing was heard of it for a minute and a long poll came back empty after that. Once nothing was asked of any for
    /// longer than a long poll takes, none has one out.
    fn settle(&self) -> anyhow::Result<()> {
        let counter = self.site.carrier.cloud()?.calls()?;
        let (deadline, mut quiet_since) = (Instant::now() + SETTLED, Instant::now());
        drop(counter.take_calls());
        while quiet_since.elapsed() < LONGEST_POLL {
            ensure!(Instant::now() < deadline, "it does not come to rest within {SETTLED:?}");
            thread::sleep(Duration::from_millis(250));
            if counter.take_calls().keys().any(|call| call.service == Service::Sqs) {
                quiet_since = Instant::now();
            }
        }
        Ok(())
    }

    /// Counts what happens meanwhile.
    ///
    /// # Errors
    /// If nobody counts.
    pub fn watch(&self, span: Duration) -> anyhow::Result<Asked> {
        let counter = self.site.carrier.cloud()?.calls()?;
        drop(counter.take_calls());
        let began = Instant::now();
        thread::sleep(span);
        let (span, calls) = (began.elapsed(), counter.take_calls());
        let mut groups = BTreeMap::new();
        for (call, count) in calls.iter().filter(|(call, _)| call.service == Service::Sqs) {
            *groups.entry(group(&call.resource)).or_default() += count;
        }
        Ok(Asked { span, groups, calls })
    }

    /// One message after all that rest: how long from the call until the API says that it is delivered.
    ///
    /// # Errors
    /// If it is not accepted or not delivered.
    pub fn wake(&self) -> anyhow::Result<Duration> {
        delivered(&mut self.site.customer(0), "after the rest")
    }
}

/// Queues whose requests count together.
fn group(queue: &str) -> String {
    let name = queue.strip_prefix("naru-main-").unwrap_or(queue);
    name.replace("-express", "").replace("-bulk", "")
}

impl Asked {
    /// The figures beside what is allowed.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::default();
        // An ask that is due within the span may fall into it at either end.
        let most = (AN_HOUR * self.span.as_secs_f64() / 3_600.0).ceil();
        for (group, count) in &self.groups {
            #[expect(clippy::cast_precision_loss, reason = "a count of some minutes")]
            let each = *count as f64 / WORKERS as f64;
            let figure = format!("{each:.1} requests by each worker");
            table.judge(group, figure, &format!("≤ {most} in {:.0?}", self.span), each <= most);
        }
        table
    }

    /// What was asked, of whom, and how often.
    #[must_use]
    pub fn details(&self) -> String {
        let line = |(call, count): (&Call, &u64)| {
            format!("{count:6}  {:?} {} {}\n", call.service, call.action, call.resource)
        };
        self.calls.iter().map(line).collect()
    }
}

/// Watches a deployment on AWS at rest.
///
/// # Errors
/// If it cannot be run.
pub fn run_aws(span: Duration, details: bool, say: &mut dyn FnMut(&str)) -> anyhow::Result<Table> {
    say(&format!("two fronts and two workers on AWS come to rest, and are watched for {span:?}"));
    let resting = RestingOnAws::begin()?;
    let asked = resting.watch(span)?;
    if details {
        say(&asked.details());
    }
    let mut table = asked.table();
    woken(&mut table, resting.wake()?);
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_count_together_and_what_is_dead_by_itself() {
        assert_eq!(group("naru-main-packs-demo-express"), group("naru-main-packs-demo-bulk"));
        assert_eq!(group("naru-main-packs-demo-express-dead"), "packs-demo-dead");
        assert_eq!(group("naru-main-copies-watch"), "copies-watch");
    }
}
