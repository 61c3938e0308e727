//! Posts to Slack from outside: a receiver of our own stands where Slack's incoming webhook leads.

mod sns;

use std::{
    thread,
    time::{Duration, Instant},
};

use naru_shared::{
    domain::{Event, SubscriptionName, Timestamp},
    topic::{SqliteTopic, Topic},
};
use naru_tests::{
    customer::Customer,
    deployment::{Deployment, Shape},
    gateway::{Gateway, Setup},
    receiver::hook::{Manner, Target},
};
use serde_json::{Value, json};

use crate::stage::{alone, beside_few, within};

/// Messages in one call.
const BATCH: usize = 100;

const VISIBILITY: Duration = Duration::from_secs(60);

fn setup(target: &Target, more: &str) -> Setup {
    let config = format!(
        "[slack]\nurl = {:?}\nwindow_ms = 1000\nper_minute = 60\nallow_networks = [\"127.0.0.0/8\"]\n{more}",
        target.url()
    );
    Setup { config, ..Setup::default() }
}

/// Waits until every process knows that somebody listens.
fn opened(verb: impl Fn(&[&str]) -> anyhow::Result<String>) {
    within(Duration::from_secs(20), "the subscription is made", || {
        let listed = verb(&["subscription", "list"]).unwrap();
        listed.lines().any(|line| line.contains("slack") && line.contains("open")).then_some(())
    });
    // So many failures raise an alarm, and Slack would tell of that too.
    verb(&["alarm", "remove", "failing"]).unwrap();
    thread::sleep(Duration::from_millis(1_500));
}

/// Sends messages that fail at once.
fn fail(customer: &mut Customer, count: usize) {
    let message = json!({ "channel": "sms", "recipient": "+821012345690", "body": "hello" });
    for begin in (0..count).step_by(BATCH) {
        let reply = customer.batch(&vec![message.clone(); BATCH.min(count - begin)]).unwrap();
        assert!(reply.status < 300, "{}", reply.json());
    }
}

/// Texts of the sections of a post, and the number in its header, which is that behind every `×` together.
fn read(post: &Value) -> (Vec<String>, u64) {
    let blocks = post["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50, "{post}");
    let head = blocks[0]["text"]["text"].as_str().unwrap();
    assert!(head.chars().count() <= 150 && blocks[0]["text"]["type"] == "plain_text", "{post}");
    let total: u64 = head.rsplit(' ').next().unwrap().parse().unwrap();
    let texts: Vec<String> =
        blocks[1..].iter().filter_map(|block| block["text"]["text"].as_str().map(str::to_owned)).collect();
    assert!(texts.iter().all(|text| text.chars().count() <= 3_000), "{post}");
    let count = |text: &String| {
        let after = text.split('\u{d7}').nth(1)?;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    assert_eq!(texts.iter().filter_map(count).sum::<u64>(), total, "{post}");
    (texts, total)
}

fn sum(target: &Target) -> u64 {
    target.posted().iter().map(|posted| read(&posted.event()).1).sum()
}

/// Ends the gateway and looks what its topic still holds for Slack, beside what the end itself told: how far the record of acts has come.
fn left(gateway: &mut Gateway) -> usize {
    gateway.drain().unwrap();
    let path = gateway.home().join("data/topic.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let topic = SqliteTopic::open(&path, VISIBILITY).unwrap();
        let name = "slack".parse().unwrap();
        let held = topic.receive(&name, 1_000, Duration::ZERO).await.unwrap();
        assert_eq!(held.len() as u64, topic.depth(&name).await.unwrap());
        held.iter().filter(|held| held.event.kind != "naru.audit.anchored").count()
    })
}

#[test]
fn ten_thousand_failures_are_few_posts_whose_counts_are_exactly_ten_thousand() {
    const FAILURES: usize = 10_000;
    let _alone = alone();
    let target = Target::start(Manner::status(200)).unwrap();
    let mut gateway = Gateway::spawn(&setup(&target, "")).unwrap();
    opened(|arguments| gateway.verb(arguments));
    let begun = Instant::now();
    fail(&mut gateway.customer(0), FAILURES);
    within(Duration::from_secs(120), "all are told of", || {
        (sum(&target) >= u64::try_from(FAILURES).unwrap()).then_some(())
    });
    thread::sleep(Duration::from_secs(3));
    let seconds = begun.elapsed().as_secs();
    let posted = target.posted();
    eprintln!("{FAILURES} failures: {} posts in {seconds} s", posted.len());
    assert_eq!(sum(&target), u64::try_from(FAILURES).unwrap());
    assert!(posted.len() <= usize::try_from(seconds + 1).unwrap(), "{} in {seconds} s", posted.len());
    for pair in posted.windows(2) {
        assert!(pair[1].at - pair[0].at > Duration::from_millis(800), "faster than one a second");
    }
    let agent = posted[0].header("user-agent").unwrap();
    assert!(agent.starts_with("naru/") && agent.ends_with("(slack)"), "{agent}");
    assert_eq!(left(&mut gateway), 0);
}

#[test]
fn what_others_wrote_can_neither_mention_nor_link_and_the_url_is_never_shown() {
    let _alone = alone();
    let target = Target::start(Manner::status(200)).unwrap();
    let mut gateway = Gateway::prepare(&setup(&target, "title = \"<!here> & co\"\n")).unwrap();
    let evil = "<!channel> <@U012AB3CD> <http://evil.example|ok> https://evil.example @here `*b*_i_\n\u{202e}\u{200b}&lt;";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let topic = SqliteTopic::open(&gateway.home().join("data/topic.db"), VISIBILITY).unwrap();
        let name: SubscriptionName = "slack".parse().unwrap();
        topic.subscribe(&name).await.unwrap();
        let data = json!({ "route": evil, "customer": evil, "code": evil, "detail": evil });
        let now = Timestamp::from_millis(1_800_000_000_000);
        let event = Event::about(evil, 1, "naru.message.failed".to_owned(), now, data);
        for result in topic.publish(vec![event.clone(), event]).await {
            result.unwrap();
        }
    });
    gateway.start(&[]).unwrap();
    let post = within(Duration::from_secs(20), "it is posted", || target.posted().first().cloned());
    let post = post.event();
    let (texts, total) = read(&post);
    assert_eq!(total, 1, "one id is one event");
    for text in texts.iter().map(String::as_str).chain([post["text"].as_str().unwrap()]) {
        assert!(!text.contains(['<', '>', '@', '\u{202e}', '\u{200b}']), "{text}");
        assert!(!text.contains("://"), "{text}");
    }
    assert!(
        texts[0].contains("`&lt;!channel&gt; &lt;\u{ff20}U012AB3CD&gt; &lt;http[:]//evil.example|ok&gt;"),
        "{texts:?}"
    );
    // Marks stand in code spans alone: outside of them there is nothing but ours.
    let outside: String = texts[0].split('`').step_by(2).collect();
    assert!(
        outside.contains("*warning*") && outside.matches('*').count() == 2 && !outside.contains('_'),
        "{outside}"
    );

    let test: Value = serde_json::from_str(&gateway.verb(&["slack", "test", "--json"]).unwrap()).unwrap();
    assert_eq!((test["posted"].as_bool(), test["status"].as_u64()), (Some(true), Some(200)), "{test}");
    let shown = gateway.verb(&["config", "show"]).unwrap();
    assert!(shown.contains("(secret)") && !shown.contains(&target.url()), "{shown}");
    target.behave(Manner::status(404));
    let error = format!("{:#}", gateway.verb(&["slack", "test"]).unwrap_err());
    assert!(error.contains("HTTP 404") && !error.contains(&target.url()), "{error}");
    assert!(!gateway.log_tail().contains(&target.url()));
    target.behave(Manner::status(200));
    assert_eq!(left(&mut gateway), 0);
}

#[test]
fn slack_may_ask_to_wait_and_go_away_and_the_process_may_die_and_no_event_is_lost() {
    let _alone = alone();
    let target = Target::start(Manner::Status(429, "Retry-After: 4\r\n".to_owned())).unwrap();
    let mut setup = setup(&target, "");
    // What is in the hands of nobody comes again soon.
    setup.config.push_str("[topic]\nkind = \"sqlite\"\nvisibility_ms = 6000\n");
    let mut gateway = Gateway::spawn(&setup).unwrap();
    opened(|arguments| gateway.verb(arguments));
    fail(&mut gateway.customer(0), 300);
    within(Duration::from_secs(20), "the first is refused", || (target.posted().len() == 1).then_some(()));
    target.behave(Manner::status(503));
    within(Duration::from_secs(20), "the second is refused", || (target.posted().len() == 2).then_some(()));
    let refused = target.posted();
    let apart = refused[1].at - refused[0].at;
    assert!(apart > Duration::from_millis(3_900), "Retry-After was not obeyed: {apart:?}");
    within(Duration::from_secs(40), "the fourth is refused", || (target.posted().len() == 4).then_some(()));
    target.behave(Manner::status(200));
    let refused = target.posted().len();
    let taken =
        |from: usize| -> u64 { target.posted()[from..].iter().map(|posted| read(&posted.event()).1).sum() };
    within(Duration::from_secs(60), "all are told of", || (taken(refused) >= 300).then_some(()));
    thread::sleep(Duration::from_secs(8));
    assert_eq!(taken(refused), 300, "none is told of twice");

    let before = target.posted().len();
    for _ in 0..3 {
        fail(&mut gateway.customer(0), 200);
        thread::sleep(Duration::from_millis(700));
        gateway.kill().unwrap();
        gateway.start(&[]).unwrap();
    }
    within(Duration::from_secs(90), "all are told of again", || (taken(before) >= 600).then_some(()));
    eprintln!("killed three times: 600 failures told of as {}", taken(before));
    thread::sleep(Duration::from_secs(3));
    assert_eq!(left(&mut gateway), 0);
}

#[test]
fn workers_on_rabbitmq_share_the_events_and_the_death_of_one_loses_none() {
    let _beside = beside_few();
    let target = Target::start(Manner::status(200)).unwrap();
    let mut site = Deployment::spawn(&Shape { setup: setup(&target, ""), ..Shape::default() }).unwrap();
    opened(|arguments| site.verb(arguments));
    fail(&mut site.customer(0), 1_000);
    within(Duration::from_secs(60), "all are told of", || (sum(&target) >= 1_000).then_some(()));
    thread::sleep(Duration::from_secs(3));
    assert_eq!(sum(&target), 1_000, "none is told of twice");
    fail(&mut site.customer(0), 1_000);
    site.workers[0].kill().unwrap();
    within(Duration::from_secs(120), "all are told of again", || (sum(&target) >= 2_000).then_some(()));
    site.workers[0].start(&[]).unwrap();
}
