//! Answers of SNS in which one entry failed, is missing, or is called by a wrong name: each concerns its own event.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use naru_shared::{
    aws::Aws,
    domain::{Event, SubscriptionName, Timestamp},
    doorbell::NoDoorbell,
    topic::{SnsSettings, SnsTopic, Topic},
};
use naru_tests::{
    aws_proxy::{AwsProxy, Call, Harm, Service},
    deployment::{Carries, Deployment, Shape},
    engines::{AwsEmulator, Flavour, fresh_namespace},
    wire::Wire,
};
use serde_json::{Value, json};

use super::{Boto, TOPIC};
use crate::stage::{accept, beside_others, message, within};

/// Three requests: ten, ten and five.
const EVENTS: usize = 25;
const REQUESTS: usize = 3;

fn events(numbers: impl Iterator<Item = usize>) -> Vec<Event> {
    let at = Timestamp::from_millis(1_800_000_000_000);
    let event =
        |number: usize| Event::about(&format!("msg_{number}"), 1, "naru.test".to_owned(), at, json!({}));
    numbers.map(event).collect()
}

/// Everything that lies there, by what it is about, and how often.
async fn drain(topic: &SnsTopic, name: &SubscriptionName) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut seen = BTreeMap::new();
    loop {
        let got = topic.receive(name, 10, Duration::from_secs(2)).await?;
        if got.is_empty() {
            return Ok(seen);
        }
        for delivery in &got {
            *seen.entry(delivery.event.subject.clone()).or_default() += 1;
        }
        for result in topic.ack(name, got.into_iter().map(|delivery| delivery.receipt).collect()).await {
            result?;
        }
    }
}

fn about(numbers: impl Iterator<Item = usize>) -> BTreeMap<String, usize> {
    numbers.map(|number| (format!("msg_{number}"), 1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_entry_that_failed_or_is_not_named_is_told_of_its_own_event_and_of_no_other()
-> anyhow::Result<()> {
    let emulator = tokio::task::spawn_blocking(AwsEmulator::shared).await??;
    let proxy = tokio::task::spawn_blocking(|| AwsProxy::start(emulator.port())).await??;
    let name: SubscriptionName = "partner".parse()?;
    for (word, harm, is_kept) in [
        ("partial", Harm { partial: 1_000, ..Harm::default() }, false),
        ("misreported", Harm { misreported: 1_000, ..Harm::default() }, true),
        ("omitted", Harm { omitted: 1_000, ..Harm::default() }, true),
        ("renamed", Harm { renamed: 1_000, ..Harm::default() }, true),
    ] {
        let settings = SnsSettings {
            region: emulator.settings().region,
            endpoint: Some(proxy.endpoint()),
            namespace: fresh_namespace()?,
            create: true,
            ..SnsSettings::default()
        };
        let aws = Arc::new(Aws::with_key(settings.aws(), "test", "test"));
        let topic = SnsTopic::new(aws, &settings, Arc::new(NoDoorbell));
        topic.subscribe(&name).await?;
        proxy.harm(harm);
        let results = topic.publish(events(0..EVENTS)).await;
        proxy.harm(Harm::default());
        assert_eq!(proxy.harmed()[word], REQUESTS as u64, "one entry of each request");
        let failed: BTreeSet<usize> = (0..EVENTS).filter(|number| results[*number].is_err()).collect();
        assert_eq!((results.len(), failed.len()), (EVENTS, REQUESTS), "{word}: {results:?}");
        for batch in [0..10, 10..20, 20..EVENTS] {
            assert_eq!(failed.range(batch).count(), 1, "{word}: one of each request: {failed:?}");
        }
        let there = (0..EVENTS).filter(|number| is_kept || !failed.contains(number));
        assert_eq!(drain(&topic, &name).await?, about(there), "{word}: exactly those that SNS kept");
        // What is published again is what failed, and nothing else.
        for result in topic.publish(events(failed.iter().copied())).await {
            result?;
        }
        assert_eq!(drain(&topic, &name).await?, about(failed.into_iter()), "{word}");
    }
    Ok(())
}

/// The sum of a counter with this label.
fn counted(text: &str, name: &str, label: &str) -> u64 {
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn what_sns_refused_is_published_again_by_the_relay_and_nothing_else_is() {
    const MESSAGES: usize = 24;
    // A claim on what was refused lasts for 30 s.
    const PATIENCE: Duration = Duration::from_secs(90);
    let _beside = beside_others();
    let carries = Carries::Aws { flavour: Flavour::Ministack, counted: true };
    let mut site =
        Deployment::prepare(&Shape { ingress: 1, workers: 1, carries, ..Shape::default() }).unwrap();
    site.verb(&["subscription", "add", "partner", "--outside"]).unwrap();
    let mut boto = Boto::start(&site.carrier.cloud().unwrap().emulator.endpoint());
    boto.ask(&json!({ "do": "subscribe", "queue": "partner", "topic": TOPIC, "raw": true, "policy": {} }));
    site.ingress[0].start(&[]).unwrap();
    let mut customer = site.customer_at(0, 0);
    let accepted: BTreeSet<String> = (0..MESSAGES)
        .map(|number| accept(&mut customer, &message("sms", &format!("r{number}")), None))
        .collect();
    let calls = site.carrier.cloud().unwrap().calls().unwrap();
    calls.harm(Harm { partial: 1_000, ..Harm::default() });
    site.workers[0].launch(&[]).unwrap();
    within(PATIENCE, "the relay tells of events that were not taken", || {
        let log = site.workers[0].log();
        let line = log.lines().find(|line| line.contains("were not taken by the topic"))?;
        assert!(line.contains("InternalError: injected"), "and why: {line}");
        Some(())
    });
    let calls = site.carrier.cloud().unwrap().calls().unwrap();
    calls.harm(Harm::default());
    let publish =
        Call { service: Service::Sns, action: "PublishBatch".to_owned(), resource: TOPIC.to_owned() };
    let asked = calls.calls()[&publish];
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    within(PATIENCE, "every message is heard of", || {
        for heard in boto.receive("partner", 3) {
            let event: Value = serde_json::from_str(heard["body"].as_str().unwrap()).unwrap();
            *times.entry(event["subject"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        accepted.iter().all(|id| times.contains_key(id)).then_some(())
    });
    assert!(times.values().all(|times| *times == 1), "what was taken is not published again: {times:?}");
    assert!(
        site.carrier.cloud().unwrap().calls().unwrap().calls()[&publish] > asked,
        "again, in another request"
    );
    let reply =
        Wire::new(site.workers[0].operator(), Duration::from_secs(5)).call("GET", "/metrics", &[], b"");
    let metrics = String::from_utf8(reply.unwrap().body).unwrap();
    let entries = |word: &str| counted(&metrics, "naru_sns_entries_total", &format!("result=\"{word}\""));
    assert!(entries("refused") >= 1, "{metrics}");
    assert_eq!(entries("taken"), times.len() as u64, "{metrics}");
    assert_eq!((entries("untold"), entries("failed")), (0, 0), "{metrics}");
    assert!(counted(&metrics, "naru_sns_billed_total", "") >= counted(&metrics, "naru_sns_calls_total", ""));
}
