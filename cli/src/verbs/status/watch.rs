//! `naru status --watch`: the same look again and again, with what came and ended between two of them.
//!
//! A look reads what an operator's look reads, no more, and the pause after it is several times as long as it took: however much waits,
//! whoever watches has a small share of the ledger.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, ErrorKind, IsTerminal, Write},
    time::{Duration, Instant},
};

use naru_shared::{
    domain::{Lane, RouteName, Timestamp},
    queue::QueueStatus,
    watch::{Flow, FlowStep, Oldest},
};
use serde::Serialize;

use super::{Eyes, Status, alarms, runs};
use crate::{
    desk::Desk,
    output::{age, table},
};

/// The shortest pause between two looks.
const LEAST: Duration = Duration::from_millis(200);

/// The pause after a look is at least so many times as long as the look took.
const SHARE: u32 = 9;

/// How often the queue is asked, which may cost money, and the routes are read.
const QUEUE: Duration = Duration::from_secs(5);

/// What has waited longest: so many places are shown.
const SHOWN: usize = 15;

/// How far back counts may still be written that belong to an earlier moment.
const LATE: Duration = Duration::from_secs(30);

/// A second's worth of what came and ended on a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Rate {
    route: RouteName,
    taken_in: f64,
    delivered: f64,
    failed: f64,
    other: f64,
}

#[derive(Serialize)]
struct Look<'a> {
    at: Timestamp,
    #[serde(flatten)]
    status: &'a Status,
    /// Messages a second since the last look, by route; none with the first.
    rates: Option<Vec<Rate>>,
    oldest: Vec<Waits>,
}

#[derive(Serialize)]
struct Waits {
    #[serde(flatten)]
    oldest: Oldest,
    seconds: u64,
}

/// Looks until it is interrupted, or nobody reads any more.
pub(super) async fn run(every: Duration, desk: &Desk) -> anyhow::Result<()> {
    let mut watch =
        Watch { eyes: Eyes::open(desk)?, desk, known: None, queue: None, place: Place::find(desk) };
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        let begun = Instant::now();
        tokio::select! {
            signal = &mut interrupted => { signal?; return Ok(()) }
            _ = ended.recv() => return Ok(()),
            looked = watch.look() => match looked {
                Ok(()) => {}
                Err(error) if is_closed(&error) => return Ok(()),
                Err(error) => return Err(error),
            },
        }
        let pause = every.max(LEAST).saturating_sub(begun.elapsed()).max(begun.elapsed() * SHARE);
        tokio::select! {
            signal = &mut interrupted => { signal?; return Ok(()) }
            _ = ended.recv() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whoever read is gone: a pager was left, a pipe's end was closed.
fn is_closed(error: &anyhow::Error) -> bool {
    let broken = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(broken)
}

/// How looks are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Over the one before.
    Terminal,
    /// One line each.
    Lines,
    /// One object on a line each.
    Json,
}

impl Place {
    fn find(desk: &Desk) -> Self {
        if desk.out.json {
            Self::Json
        } else if io::stdout().is_terminal() {
            Self::Terminal
        } else {
            Self::Lines
        }
    }
}

/// What was counted, and when.
struct Known {
    at: Instant,
    counted: Counted,
}

type Counted = HashMap<(Timestamp, RouteName), Flow>;

struct Watch<'d> {
    eyes: Eyes,
    desk: &'d Desk,
    known: Option<Known>,
    queue: Option<(Instant, Vec<QueueStatus>)>,
    place: Place,
}

impl Watch<'_> {
    async fn look(&mut self) -> anyhow::Result<()> {
        let now = self.desk.now();
        let routes = self.eyes.book.routes().await?;
        if self.queue.as_ref().is_none_or(|(at, _)| at.elapsed() >= QUEUE) {
            // What a queue does not tell is shown as nothing; `naru status` says why.
            let lies = self.eyes.on_queue(&routes).await.map_or_else(|_| Vec::new(), |(lies, _)| lies);
            self.queue = Some((Instant::now(), lies));
        }
        let lies = self.queue.as_ref().map(|(_, lies)| lies.clone()).unwrap_or_default();
        let status = self.eyes.look(self.desk, &routes, lies, now).await?;
        let flow = self.eyes.ports.watch.flow(now.minus(LATE)).await?;
        let rates = self.rates(flow);
        let mut oldest = self.eyes.ports.watch.oldest().await?;
        oldest.sort_by_key(|one| one.since);
        oldest.truncate(SHOWN);
        let waits = |oldest: Oldest| Waits { seconds: now.since(oldest.since).as_secs(), oldest };
        let oldest = oldest.into_iter().map(waits).collect();
        self.show(&Look { at: now, status: &status, rates, oldest })
    }

    /// What was counted since the last look, a second. Counts are written by each process every few seconds, so that a rate swings
    /// from look to look; over several it is right.
    fn rates(&mut self, flow: Vec<FlowStep>) -> Option<Vec<Rate>> {
        let mut counted = Counted::new();
        for step in flow {
            counted.entry((step.at, step.route)).or_default().add(&step.flow);
        }
        let before = self.known.replace(Known { at: Instant::now(), counted: counted.clone() })?;
        let seconds = before.at.elapsed().as_secs_f64().max(0.001);
        let mut sums: BTreeMap<RouteName, [u64; 4]> = BTreeMap::new();
        for ((at, route), now) in counted {
            let was = before.counted.get(&(at, route.clone())).copied().unwrap_or_default();
            let more = [
                now.taken_in.saturating_sub(was.taken_in),
                now.delivered.saturating_sub(was.delivered),
                now.failed.saturating_sub(was.failed),
                now.other.saturating_sub(was.other),
            ];
            for (sum, more) in sums.entry(route).or_default().iter_mut().zip(more) {
                *sum += more;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
        let each = |count: u64| (count as f64 / seconds * 10.0).round() / 10.0;
        let rate = |(route, [taken_in, delivered, failed, other]): (RouteName, [u64; 4])| Rate {
            route,
            taken_in: each(taken_in),
            delivered: each(delivered),
            failed: each(failed),
            other: each(other),
        };
        Some(sums.into_iter().map(rate).collect())
    }

    fn show(&self, look: &Look<'_>) -> anyhow::Result<()> {
        let text = match self.place {
            Place::Json => serde_json::to_string(look)? + "\n",
            Place::Lines => line(look) + "\n",
            // From the upper left corner on, each line cleared behind its end, and all that is left below.
            Place::Terminal => {
                format!("\u{1b}[H{}\u{1b}[K\n\u{1b}[J", page(look).replace('\n', "\u{1b}[K\n"))
            }
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}

/// Everything in one line.
fn line(look: &Look<'_>) -> String {
    let waiting: u64 = look.status.waiting.iter().map(|waiting| waiting.lane.messages).sum();
    let packs: u64 = look.status.on_queue.iter().map(|queue| queue.packs).sum();
    let oldest = look.oldest.first().map_or_else(
        || "nothing waits".to_owned(),
        |waits| format!("oldest {} on {}", age(Duration::from_secs(waits.seconds)), waits.oldest.route),
    );
    let sum = |of: fn(&Rate) -> f64| look.rates.iter().flatten().map(of).sum::<f64>();
    let rates = look.rates.as_ref().map_or(String::new(), |_| {
        format!(
            ", {:.1}/s in, {:.1}/s delivered, {:.1}/s failed",
            sum(|rate| rate.taken_in),
            sum(|rate| rate.delivered),
            sum(|rate| rate.failed)
        )
    });
    let alarms: Vec<String> =
        look.status.alarms.iter().map(|one| format!("{} {}", one.alarm, one.subject)).collect();
    let alarms = if alarms.is_empty() { String::new() } else { format!(", ALARM {}", alarms.join("; ")) };
    format!(
        "{} {}: {waiting} not ended, {packs} packs on the queue, {oldest}{rates}{alarms}",
        look.at,
        runs(look.status)
    )
}

/// Everything as tables.
fn page(look: &Look<'_>) -> String {
    let status = look.status;
    let mut parts = vec![format!("{}  {}", look.at, runs(status))];
    if !status.alarms.is_empty() {
        parts.push(alarms(&status.alarms, look.at));
    }
    let rate = |route: &RouteName| look.rates.iter().flatten().find(|rate| rate.route == *route);
    let each = |rate: Option<f64>| rate.map(|rate| format!("{rate:.1}")).unwrap_or_default();
    parts.push(table(
        &status.routes,
        &["route", "backend", "state", "not ended", "in/s", "delivered/s", "failed/s"],
        |route| {
            let rate = rate(&route.route);
            vec![
                route.route.to_string(),
                route.backend.to_owned(),
                if route.paused { "paused" } else { "open" }.to_owned(),
                route.not_ended.to_string(),
                each(rate.map(|rate| rate.taken_in)),
                each(rate.map(|rate| rate.delivered)),
                each(rate.map(|rate| rate.failed)),
            ]
        },
    ));
    if !status.on_queue.is_empty() {
        parts.push(table(&status.on_queue, &["on the queue", "lane", "packs", "quarantined"], |queue| {
            let lane = queue.lane.as_str().to_owned();
            vec![queue.route.to_string(), lane, queue.packs.to_string(), queue.quarantined.to_string()]
        }));
    }
    parts.push(waits(look));
    parts.join("\n")
}

fn waits(look: &Look<'_>) -> String {
    if look.oldest.is_empty() {
        return "no message waits in the ledger to be sent".to_owned();
    }
    table(&look.oldest, &["waits longest on", "lane", "customer", "for"], |waits| {
        let lane: Lane = waits.oldest.lane;
        vec![
            waits.oldest.route.to_string(),
            lane.as_str().to_owned(),
            waits.oldest.customer.to_string(),
            age(Duration::from_secs(waits.seconds)),
        ]
    })
}
