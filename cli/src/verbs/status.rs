//! `naru status`: what waits, where, since when, and why.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use naru_shared::{
    aws::Aws,
    data_dir::DataDir,
    domain::{Route, RouteName, State, Timestamp},
    doorbell::NoDoorbell,
    engines::QueueEngine,
    ledger::LaneStatus,
    queue::{QueueError, QueueName, QueueStatus, RabbitMqQueue, SqsQueue, ask, peek},
    rabbitmq::Broker,
};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::{
    desk::Desk,
    exit::unseen,
    output::{age, print},
};

#[derive(Serialize)]
struct Status {
    running: Option<String>,
    routes: Vec<RouteStatus>,
    on_queue: Vec<QueueStatus>,
    waiting: Vec<Waiting>,
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
pub async fn run(desk: &Desk) -> anyhow::Result<()> {
    let running = running(desk).await?;
    let routes = desk.book()?.routes().await?;
    let ledger = desk.ledger()?.desk;
    let suspended = desk.book()?.suspended().await?;
    let lanes = ledger.lanes(Arc::new(suspended)).await?;
    // What is known is told all the same, and at the end what is not.
    let unknown = "how much lies on the queue is not known";
    let (on_queue, silent) = match on_queue(desk, &routes).await {
        Ok((on_queue, silent)) => (on_queue, unseen(silent).map(|error| error.context(unknown))),
        Err(error) => (Vec::new(), Some(error.context(unknown))),
    };
    let now = desk.now();
    tell(desk, &assemble(running, &routes, on_queue, lanes, now), now)?;
    silent.map_or(Ok(()), Err)
}

fn tell(desk: &Desk, status: &Status, now: Timestamp) -> anyhow::Result<()> {
    if desk.out.json {
        return print(&serde_json::to_string_pretty(status)?);
    }
    print(&status.running.as_ref().map_or_else(|| "no worker runs".to_owned(), |who| format!("{who} runs")))?;
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
            w.oldest_seconds.map(|s| age(std::time::Duration::from_secs(s))).unwrap_or_default(),
            w.why.to_string(),
        ]
    })
}

/// Who works here, in words.
async fn running(desk: &Desk) -> anyhow::Result<Option<String>> {
    if let Some(dir) = desk.dir() {
        return Ok(dir.holder()?);
    }
    let lives = desk.ledger()?.ledger.incarnations().await?.len();
    Ok(match lives {
        0 => None,
        1 => Some("one process of workers".to_owned()),
        _ => Some(format!(
            "each of {lives} processes of workers (one that died is counted until its lease ends)"
        )),
    })
}

type Asked = (Vec<QueueStatus>, Vec<(QueueName, QueueError)>);

async fn on_queue(desk: &Desk, routes: &[Route]) -> anyhow::Result<Asked> {
    match &desk.config.queue {
        QueueEngine::Sqlite { .. } => {
            let file = desk.dir().map(DataDir::queue).filter(|file| file.exists());
            Ok((file.map(|file| peek(&file)).transpose()?.unwrap_or_default(), Vec::new()))
        }
        QueueEngine::RabbitMq(settings) => {
            let queue = RabbitMqQueue::new(Broker::open(settings, &Handle::current())?);
            Ok(ask(&queue, routes.iter().map(|route| route.name.clone())).await)
        }
        QueueEngine::Sqs(settings) => {
            let aws = Arc::new(Aws::new(settings.aws()));
            let queue = SqsQueue::new(aws, settings, Arc::new(NoDoorbell));
            Ok(ask(&queue, routes.iter().map(|route| route.name.clone())).await)
        }
    }
}

fn assemble(
    running: Option<String>,
    routes: &[Route],
    on_queue: Vec<QueueStatus>,
    lanes: Vec<LaneStatus>,
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
    Status { running, routes, on_queue, waiting }
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
