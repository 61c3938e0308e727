//! Webhooks over days, by a clock that the test moves.

use std::{sync::Arc, time::Duration};

use naru_shared::{
    callbacks::{CallbackState, Callbacks},
    catalog::{Catalog, Entry, Kind, Subscription},
    domain::{
        Account, Clock, Environment, Event, ManualClock, SystemClock, Webhook, WebhookState, WhyDisabled,
    },
    ledger::SqliteLedger,
    topic::Topic,
};

use super::{
    http::{Act, Server, install_tls},
    site::{Site, config},
};
use crate::{SUBSCRIPTION, Workers, WorkersDeps};

/// Somebody else who listens to events.
const WATCH: &str = "watch";

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const REFUSED: &str = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n";
const TAKEN: &str = "HTTP/1.1 204 Taken\r\n\r\n";

struct Days {
    site: Site,
    clock: Arc<ManualClock>,
    ledger: Arc<SqliteLedger>,
    server: Server,
    workers: Workers,
    _dir: tempfile::TempDir,
}

impl Days {
    async fn begin(answer: &'static str) -> Self {
        install_tls();
        let (site, dir) = (Site::new(&[]), tempfile::tempdir().unwrap());
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let shared = Arc::<ManualClock>::clone(&clock);
        let ledger = SqliteLedger::open_with_clock(&dir.path().join("ledger.db"), shared).unwrap();
        let ledger = Arc::new(ledger);
        let server = Server::start(Act::Answer(answer)).await;
        let name: naru_shared::domain::SubscriptionName = SUBSCRIPTION.parse().unwrap();
        site.topic.subscribe(&name).await.unwrap();
        site.topic.subscribe(&WATCH.parse().unwrap()).await.unwrap();
        let webhook = webhook(&server.url, clock.now());
        site.catalog.put(vec![Entry::Webhook(webhook)]).await.unwrap();
        // Events are wanted, and the registry has news.
        site.know(Entry::Subscription(Subscription { name, ended: false, outside: false, version: 0 }));
        let deps = WorkersDeps {
            ledger: ledger.clone(),
            reads: ledger.clone(),
            outbox: ledger.clone(),
            callbacks: ledger.clone(),
            watch: ledger.clone(),
            clock: Arc::<ManualClock>::clone(&clock),
            ..site.deps()
        };
        let workers = Workers::start(&config(), deps).unwrap();
        Self { site, clock, ledger, server, workers, _dir: dir }
    }

    async fn happens(&self, id: &str) {
        let account = Account { customer: "acme".parse().unwrap(), environment: Environment::Live };
        let data = serde_json::to_value(&account).unwrap();
        let kind = "naru.message.delivered".to_owned();
        let event = Event::about(id, 1, kind, self.clock.now(), data);
        for published in self.site.topic.publish(vec![event]).await {
            published.unwrap();
        }
    }

    fn calls(&self) -> usize {
        self.server.requests.lock().unwrap().len()
    }

    /// Moves the clock, and lets whoever sleeps by another look again.
    fn pass(&self, span: Duration) {
        self.clock.advance(span);
        self.site.suspend(false);
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..1_000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}: {} calls, {:?}", self.calls(), self.state().await);
    }

    /// Waits until so many calls have been made and the last is written.
    async fn called(&self, count: usize) {
        self.until(&format!("{count} calls"), async || {
            let state = self.state().await;
            self.calls() == count && state.is_some_and(|state| state.last_at == Some(self.clock.now()))
        })
        .await;
    }

    async fn state(&self) -> Option<CallbackState> {
        self.ledger.states(&["acme/main".parse().unwrap()]).await.unwrap().pop()
    }

    async fn webhook(&self) -> Webhook {
        match self.site.catalog.get(Kind::Webhook, "acme/main").await.unwrap() {
            Some(Entry::Webhook(webhook)) => webhook,
            other => panic!("{other:?}"),
        }
    }
}

fn webhook(url: &str, now: naru_shared::domain::Timestamp) -> Webhook {
    Webhook {
        name: "main".parse().unwrap(),
        customer: "acme".parse().unwrap(),
        environment: Environment::Live,
        url: url.to_owned(),
        kinds: Vec::new(),
        generation: 1,
        older_until: None,
        state: WebhookState::Enabled,
        why: None,
        since: now,
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        created_at: now,
        version: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_comes_again_after_ever_longer_pauses_until_three_days_are_over() {
    let days = Days::begin(REFUSED).await;
    days.happens("msg_a").await;
    days.called(1).await;
    let pauses = [Duration::from_secs(5), 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR];
    for (number, pause) in pauses.into_iter().enumerate() {
        days.pass(pause - Duration::from_millis(1));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(days.calls(), number + 1, "nobody calls before {pause:?} are over");
        // A pause is longer by a tenth at the most.
        days.pass(pause / 10 + Duration::from_millis(2));
        days.called(number + 2).await;
    }
    for _ in 0..6 {
        days.pass(11 * HOUR);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let state = days.state().await.unwrap();
    assert_eq!((state.waiting, state.given_up), (0, 1), "{state:?}");
    assert!((10..=12).contains(&days.calls()), "{} calls in three days", days.calls());
    let ids: std::collections::HashSet<String> =
        days.server.requests.lock().unwrap().iter().map(|request| id(request)).collect();
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), ["msg_a.1"], "every attempt has the same id");
    assert!(days.webhook().await.is_enabled(), "three days are borne");
    days.workers.drain(Duration::from_secs(5)).await;
}

fn id(request: &str) -> String {
    let line = request.lines().find_map(|line| line.strip_prefix("webhook-id: "));
    line.unwrap_or_else(|| panic!("{request}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_days_of_nothing_but_failures_a_webhook_is_switched_off_with_an_event() {
    let days = Days::begin(REFUSED).await;
    days.happens("msg_a").await;
    days.called(1).await;
    days.server.answer(TAKEN);
    days.pass(6 * Duration::from_secs(1));
    days.called(2).await;
    assert_eq!(days.state().await.unwrap().failing_since, None, "it was taken");
    days.server.answer(REFUSED);
    days.pass(6 * DAY);
    days.happens("msg_b").await;
    days.called(3).await;
    assert!(days.webhook().await.is_enabled(), "the failures before were followed by a success");
    days.pass(5 * DAY - Duration::from_secs(1));
    days.called(4).await;
    days.happens("msg_c").await;
    days.called(5).await;
    assert!(days.webhook().await.is_enabled(), "a second is left of five days");
    days.pass(2 * HOUR);
    days.happens("msg_d").await;
    days.until("it is switched off", async || !days.webhook().await.is_enabled()).await;
    assert_eq!(days.webhook().await.why, Some(WhyDisabled::Failing));
    days.until("what waited is given up", async || days.state().await.unwrap().waiting == 0).await;
    days.until("an event tells of it", async || {
        let name = WATCH.parse().unwrap();
        let received = days.site.topic.receive(&name, 10, Duration::from_millis(10)).await.unwrap();
        received.iter().any(|delivery| {
            let Event { kind, data, .. } = &delivery.event;
            kind == "naru.webhook.disabled" && data["why"] == "failing" && data["customer"] == "acme"
        })
    })
    .await;
    days.workers.drain(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_asks_for_time_has_it() {
    let days = Days::begin("HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n").await;
    days.happens("msg_a").await;
    days.called(1).await;
    days.pass(Duration::from_secs(119));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(days.calls(), 1);
    days.pass(Duration::from_secs(2));
    days.called(2).await;
    days.workers.drain(Duration::from_secs(5)).await;
}
