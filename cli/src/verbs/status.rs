//! `naru status`: what waits, where, since when, and why.

mod watch;

use std::{borrow::Cow, collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use naru_shared::{
    aws::Aws,
    data_dir::DataDir,
    domain::{Route, RouteName, State, Timestamp},
    doorbell::NoDoorbell,
    engines::QueueEngine,
    ledger::LaneStatus,
    ports::DeskPorts,
    queue::{Queue, QueueError, QueueName, QueueStatus, RabbitMqQueue, SqsQueue, ask, peek},
    rabbitmq::Broker,
    watch::Raised,
};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::{
    desk::{Book, Desk},
    exit::unseen,
    output::{age, print, table},
    units::span,
};

/// What is asked.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Look again and again, until it is interrupted: in place on a terminal, else a line for each look (with --json an object)
    #[arg(long)]
    watch: bool,
    /// How long between two looks
    #[arg(long, value_parser = span, default_value = "1s", value_name = "SPAN", requires = "watch")]
    every: Duration,
}

#[derive(Serialize)]
pub(super) struct Status {
    running: Option<String>,
    routes: Vec<RouteStatus>,
    on_queue: Vec<QueueStatus>,
    waiting: Vec<Waiting>,
    alarms: Vec<Raised>,
}

#[derive(Serialize)]
struct RouteStatus {
    route: RouteName,
    backend: &'static str,
    paused: bool,
    not_ended: u64,
}

#[derive(Serialize)]
struct Waiting {
    #[serde(flatten)]
    lane: LaneStatus,
    oldest_seconds: Option<u64>,
    why: Cow<'static, str>,
}

/// Does it.
///
/// # Errors
/// If the catalog or the ledger does not answer.
pub async fn run(args: &StatusArgs, desk: &Desk) -> anyhow::Result<()> {
    if args.watch {
        return watch::run(args.every, desk).await;
    }
    let eyes = Eyes::open(desk)?;
    // What is known is told all the same, and at the end what is not.
    let unknown = "how much lies on the queue is not known";
    let routes = eyes.book.routes().await?;
    let (on_queue, silent) = match eyes.on_queue(&routes).await {
        Ok((on_queue, silent)) => (on_queue, unseen(silent).map(|error| error.context(unknown))),
        Err(error) => (Vec::new(), Some(error.context(unknown))),
    };
    let now = desk.now();
    tell(desk, &eyes.look(desk, &routes, on_queue, now).await?, now)?;
    silent.map_or(Ok(()), Err)
}

/// What a look is taken with, opened once.
pub(super) struct Eyes {
    book: Book,
    ports: DeskPorts,
    queue: Lies,
}

/// Where packs lie.
enum Lies {
    File(Option<PathBuf>),
    Engine(Box<dyn Queue>),
}

type Asked = (Vec<QueueStatus>, Vec<(QueueName, QueueError)>);

impl Eyes {
    fn open(desk: &Desk) -> anyhow::Result<Self> {
        let queue = match &desk.config.queue {
            QueueEngine::Sqlite { .. } => {
                Lies::File(desk.dir().map(DataDir::queue).filter(|file| file.exists()))
            }
            QueueEngine::RabbitMq(settings) => {
                Lies::Engine(Box::new(RabbitMqQueue::new(Broker::open(settings, &Handle::current())?)))
            }
            QueueEngine::Sqs(settings) => {
                let aws = Arc::new(Aws::new(settings.aws()));
                Lies::Engine(Box::new(SqsQueue::new(aws, settings, Arc::new(NoDoorbell))))
            }
        };
        Ok(Self { book: desk.book()?, ports: desk.ledger()?, queue })
    }

    async fn on_queue(&self, routes: &[Route]) -> anyhow::Result<Asked> {
        match &self.queue {
            Lies::File(file) => Ok((file.as_deref().map(peek).transpose()?.unwrap_or_default(), Vec::new())),
            Lies::Engine(queue) => {
                Ok(ask(queue.as_ref(), routes.iter().map(|route| route.name.clone())).await)
            }
        }
    }

    async fn look(
        &self,
        desk: &Desk,
        routes: &[Route],
        on_queue: Vec<QueueStatus>,
        now: Timestamp,
    ) -> anyhow::Result<Status> {
        let running = self.running(desk).await?;
        let suspended = self.book.suspended().await?;
        let lanes = self.ports.desk.lanes(Arc::new(suspended)).await?;
        let alarms = self.ports.watch.raised().await?;
        Ok(assemble(running, routes, on_queue, lanes, alarms, now))
    }

    /// Who works here, in words.
    async fn running(&self, desk: &Desk) -> anyhow::Result<Option<String>> {
        if let Some(dir) = desk.dir() {
            return Ok(dir.holder()?);
        }
        let lives = self.ports.ledger.incarnations().await?.len();
        Ok(match lives {
            0 => None,
            1 => Some("one process of workers".to_owned()),
            _ => Some(format!(
                "each of {lives} processes of workers (one that died is counted until its lease ends)"
            )),
        })
    }
}

fn runs(status: &Status) -> String {
    status.running.as_ref().map_or_else(|| "no worker runs".to_owned(), |who| format!("{who} runs"))
}

fn alarms(raised: &[Raised], now: Timestamp) -> String {
    table(raised, &["alarm raised", "about", "for", "seen then"], |one| {
        let seen = one.data.get("seen").map(ToString::to_string).unwrap_or_default();
        vec![one.alarm.clone(), one.subject.clone(), age(now.since(one.raised_at)), seen]
    })
}

fn tell(desk: &Desk, status: &Status, now: Timestamp) -> anyhow::Result<()> {
    if desk.out.json {
        return print(&serde_json::to_string_pretty(status)?);
    }
    print(&runs(status))?;
    if !status.alarms.is_empty() {
        print(&alarms(&status.alarms, now))?;
    }
    desk.out.rows(&status.routes, &["route", "backend", "state", "not ended"], |r| {
        let state = if r.paused { "paused" } else { "open" };
        vec![r.route.to_string(), r.backend.to_owned(), state.to_owned(), r.not_ended.to_string()]
    })?;
    if !status.on_queue.is_empty() {
        desk.out.rows(
            &status.on_queue,
            &["on the queue", "lane", "packs", "oldest", "quarantined"],
            |q| {
                vec![
                    q.route.to_string(),
                    q.lane.as_str().to_owned(),
                    q.packs.to_string(),
                    q.oldest.map(|at| age(now.since(at))).unwrap_or_default(),
                    q.quarantined.to_string(),
                ]
            },
        )?;
    }
    if status.waiting.is_empty() {
        return print("no message waits in the ledger");
    }
    desk.out.rows(&status.waiting, &["route", "lane", "state", "messages", "oldest", "why"], |w| {
        vec![
            w.lane.route.to_string(),
            w.lane.lane.as_str().to_owned(),
            w.lane.state.as_str().to_owned(),
            w.lane.messages.to_string(),
            w.oldest_seconds.map(|s| age(Duration::from_secs(s))).unwrap_or_default(),
            w.why.to_string(),
        ]
    })
}

fn assemble(
    running: Option<String>,
    routes: &[Route],
    on_queue: Vec<QueueStatus>,
    lanes: Vec<LaneStatus>,
    alarms: Vec<Raised>,
    now: Timestamp,
) -> Status {
    let known: HashMap<&RouteName, &Route> = routes.iter().map(|route| (&route.name, route)).collect();
    let mut not_ended: HashMap<&RouteName, u64> = HashMap::new();
    for lane in &lanes {
        *not_ended.entry(&lane.route).or_default() += lane.messages;
    }
    let routes = routes
        .iter()
        .map(|route| RouteStatus {
            route: route.name.clone(),
            backend: route.backend.as_str(),
            paused: route.paused,
            not_ended: not_ended.get(&route.name).copied().unwrap_or(0),
        })
        .collect();
    let waiting = lanes
        .iter()
        .map(|lane| Waiting {
            oldest_seconds: lane.oldest.map(|oldest| now.since(oldest).as_secs()),
            why: why(lane, known.get(&lane.route).copied(), running.is_some()),
            lane: lane.clone(),
        })
        .collect();
    Status { running, routes, on_queue, waiting, alarms }
}

/// What a message in this state waits for.
fn why(lane: &LaneStatus, route: Option<&Route>, running: bool) -> Cow<'static, str> {
    if let Some(customer) = &lane.customer {
        return format!("{customer} is suspended: naru customer resume {customer}").into();
    }
    let words = match (lane.state, route) {
        (State::Held, _) => "waits for a person: naru uncertain list",
        (State::Stopped, _) => "recalled",
        _ if !running => "no worker runs",
        (_, None) => "its route is gone",
        (State::Sending, _) => "an attempt is under way",
        (State::Sent, _) => "its delivery report has not come",
        (State::Ready | State::Retrying | State::Scheduled, Some(Route { paused: true, .. })) => {
            "the route is paused"
        }
        (State::Retrying, _) => "the backend did not take it: tried again when its time comes",
        (State::Scheduled, _) => "its time has not come",
        (State::Ready, _) => "its turn has not come",
        _ => "on its way",
    };
    words.into()
}
