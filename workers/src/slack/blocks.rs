//! The message: blocks of Slack's Block Kit, within its documented bounds (50 blocks, 3,000 characters of text in a section, 150 in a
//! header). What others wrote comes escaped from [`super::hand`]; everything else is ours.

use serde_json::{Value, json};

use super::{
    escape::code,
    hand::{Alike, Group, Hand},
    rules::Severity,
};

/// Groups that a message tells of by themselves; the rest is summed up.
const SHOWN: usize = 20;

/// With more groups, or more events, than these a message is a digest: a line for each group.
const CALM_GROUPS: usize = 10;
const CALM_EVENTS: usize = 200;

/// The longest title, in characters.
const TITLE: usize = 40;

/// The message that tells of everything in hand. `bare`: nothing but sums, for a Slack that refused the rest.
pub(super) fn message(hand: &Hand, title: &str, bare: bool) -> Value {
    let severity = hand.severity().as_str();
    let digest = hand.groups().len() > CALM_GROUPS || hand.count() > CALM_EVENTS;
    let what = if digest { "digest" } else { "events" };
    let head = format!("{}: {severity}, {what}: {}", plain(title), hand.count());
    let mut blocks = vec![header(&head)];
    if bare {
        blocks.push(section("Slack refused the details: `naru status` and the log tell more."));
        blocks.extend(sums(hand));
    } else {
        if digest {
            blocks.extend(sums(hand));
        }
        blocks.extend(details(hand, digest));
    }
    blocks.push(context(&format!("naru {}: counted once each by their ids", env!("CARGO_PKG_VERSION"))));
    whole(&head, blocks)
}

/// A message that only shows that messages arrive.
pub(super) fn test(title: &str) -> Value {
    let head = format!("{}: test", plain(title));
    let said = "This is a test. Events of messages, routes and envelopes are posted here, by the rules of the configuration.";
    let made = format!("naru {}: `naru slack test`", env!("CARGO_PKG_VERSION"));
    whole(&head, vec![header(&head), section(said), context(&made)])
}

fn whole(head: &str, blocks: Vec<Value>) -> Value {
    // The text is what notifications show; it is Slack's markup too.
    let text = head.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": text, "blocks": blocks, "unfurl_links": false, "unfurl_media": false })
}

/// The operator's title: plain, short, in one line.
fn plain(title: &str) -> String {
    title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TITLE).collect()
}

fn header(text: &str) -> Value {
    json!({ "type": "header", "text": { "type": "plain_text", "text": text, "emoji": false } })
}

/// `verbatim`: Slack makes no links and no mentions of what only looks like them.
fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": text, "verbatim": true }] })
}

/// How many of each severity.
fn sums(hand: &Hand) -> Option<Value> {
    let groups = hand.groups();
    let line = |severity: Severity| {
        let shown =
            groups.iter().filter(|(alike, _)| alike.severity == severity).map(|(_, group)| group.count);
        let count = shown.sum::<u64>() + hand.others().get(&severity).copied().unwrap_or(0);
        (count > 0).then(|| format!("*{}* in all: {count}", severity.as_str()))
    };
    let lines: Vec<String> =
        [Severity::Critical, Severity::Warning, Severity::Info].into_iter().filter_map(line).collect();
    (!lines.is_empty()).then(|| section(&lines.join("\n")))
}

/// A section for each group that is shown, and one for the rest.
fn details(hand: &Hand, digest: bool) -> Vec<Value> {
    let groups = hand.groups();
    let shown = groups.iter().take(SHOWN);
    let mut blocks: Vec<Value> = shown
        .map(|(alike, group)| section(&if digest { line(alike, group) } else { lines(alike, group) }))
        .collect();
    let rest: u64 = groups.iter().skip(SHOWN).map(|(_, group)| group.count).sum();
    let others = rest + hand.others().values().sum::<u64>();
    if others > 0 {
        blocks.push(section(&format!("*others* \u{d7}{others}")));
    }
    blocks
}

fn line(alike: &Alike, group: &Group) -> String {
    let mut text = format!("*{}* \u{d7}{} {}", alike.severity.as_str(), group.count, alike.kind);
    for (name, word) in [("route", &alike.route), ("customer", &alike.customer), ("code", &alike.code)] {
        if let Some(word) = word {
            text.push_str(&format!(" \u{b7} {name} {word}"));
        }
    }
    text
}

fn lines(alike: &Alike, group: &Group) -> String {
    let mut text = line(alike, group);
    if let Some(detail) = &group.detail {
        text.push_str(&format!("\n{detail}"));
    }
    let when = if group.first == group.last {
        format!("at {}", group.first)
    } else {
        format!("from {} to {}", group.first, group.last)
    };
    text.push_str(&format!("\n{when}\nsuch as {}", group.samples.join(", ")));
    text
}

/// What Slack answered, for a log line or a terminal: one line, nothing hidden in it.
pub(super) fn answer(body: &[u8]) -> String {
    let text = code(&String::from_utf8_lossy(body), 200);
    text.trim_matches('`').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use naru_shared::{domain::Event, queue::Receipt};

    use super::{
        super::hand::{EVENTS, tests::failed},
        *,
    };

    /// Numbers behind every `×`.
    fn counted(message: &Value) -> u64 {
        let blocks = message["blocks"].as_array().unwrap();
        let texts = blocks.iter().filter_map(|block| block["text"]["text"].as_str());
        let count = |text: &str| {
            let after = text.split('\u{d7}').nth(1)?;
            after.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        texts.filter_map(count).sum()
    }

    fn assert_within_bounds(message: &Value) {
        let blocks = message["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50, "{}", blocks.len());
        for block in blocks {
            let text = block["text"]["text"].as_str().unwrap_or_default();
            let most = if block["type"] == "header" { 150 } else { 3_000 };
            assert!(text.chars().count() <= most, "{}", text.len());
        }
    }

    #[test]
    fn a_message_is_within_slack_s_bounds_and_its_counts_are_those_of_the_hand() {
        let mut random = fastrand::Rng::with_seed(3);
        for events in [1, 9, 10, 199, 200, 201, EVENTS] {
            for routes in [1, 11, 120, 2_000] {
                let mut hand = Hand::default();
                for number in 0..events {
                    let long = "<&>\u{202e}`".repeat(400);
                    let mut event: Event = failed(
                        &format!("msg_{number}{long}"),
                        &format!("r{}{long}", random.usize(..routes)),
                        &long,
                        &long,
                    );
                    event.data["detail"] = json!(long);
                    let (id, receipt) = (u64::try_from(number).unwrap(), Receipt("r".into()));
                    hand.add(&event, Severity::Warning, id, receipt, Instant::now());
                }
                let told = message(&hand, &"T".repeat(500), false);
                assert_within_bounds(&told);
                assert_eq!(counted(&told), u64::try_from(events).unwrap(), "{events} {routes}");
                let bare = message(&hand, "<!channel>", true);
                assert_within_bounds(&bare);
                assert!(!bare.to_string().contains("msg_") && !bare["text"].as_str().unwrap().contains('<'));
                let head = bare["blocks"][0]["text"]["text"].as_str().unwrap();
                assert!(head.ends_with(&format!(": {events}")), "{head}");
            }
        }
    }
}
