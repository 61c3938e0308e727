//! docs/redis.md, seen by `redis-cli`.

use std::process::Command;

use super::tables::{table, words};

/// What redis-cli prints for a command: one line for each part of the answer.
fn cli(port: u16, command: &[&str]) -> Vec<String> {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(command).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    // An answer to a key holds bytes.
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.starts_with("ERR"), "{command:?}: {text}");
    text.lines().map(str::to_owned).collect()
}

/// A key as the document writes it, type and how long it is kept.
struct Row {
    parts: Vec<String>,
    kind: String,
    kept: String,
    seen: u32,
}

impl Row {
    fn fits(&self, key: &str) -> bool {
        let parts: Vec<&str> = key.splitn(self.parts.len(), ':').collect();
        let stands_for = |word: &str, part: &str| {
            let (open, close) = (part.starts_with('{'), part.ends_with('}'));
            let bare = part.trim_matches(['{', '}']);
            let (word, tagged) = (word.trim_matches(['{', '}']), word.starts_with('{'));
            let free = word.chars().all(|c| c.is_ascii_uppercase());
            (open, close) == (tagged, tagged)
                && if free { !bare.is_empty() && bare != "registry" && bare != "gate" } else { word == bare }
        };
        parts.len() == self.parts.len()
            && self.parts.iter().zip(parts).all(|(word, part)| stands_for(word, part))
    }
}

/// The longest that something is kept, in milliseconds; `None`: for ever.
fn longest(kept: &str) -> Option<i64> {
    if kept == "for ever" {
        return None;
    }
    let told = kept.rsplit(": ").next().unwrap();
    let (number, unit) = told.split_once(' ').unwrap();
    let (number, unit) = if number == "an" { (365 * 24, "hours") } else { (number.parse().unwrap(), unit) };
    let unit = match unit {
        "seconds" => 1_000,
        "hours" => 3_600_000,
        "days" => 86_400_000,
        _ => panic!("{kept}"),
    };
    Some(number * unit)
}

/// Each key that is there is one that the document names, with its type and its time; and each that it names is there.
pub(super) fn keys(port: u16, document: &str) {
    let mut rows: Vec<Row> = table(document, &["key", "type", "what", "kept"])
        .into_iter()
        .map(|row| Row {
            parts: words(&row[0]).remove(0).split(':').map(str::to_owned).collect(),
            kind: row[1].clone(),
            kept: row[3].clone(),
            seen: 0,
        })
        .collect();
    for key in cli(port, &["--scan"]) {
        let fitting: Vec<&mut Row> = rows.iter_mut().filter(|row| row.fits(&key)).collect();
        assert_eq!(fitting.len(), 1, "{key} is one of the documented keys");
        for row in fitting {
            // One that is kept for moments may be gone already.
            let kind = cli(port, &["TYPE", &key]).remove(0);
            let left: i64 = cli(port, &["PTTL", &key]).remove(0).parse().unwrap();
            if left == -2 {
                continue;
            }
            assert_eq!(kind, row.kind, "{key}");
            match longest(&row.kept) {
                None => assert_eq!(left, -1, "{key} is kept for ever"),
                Some(longest) => assert!((1..=longest).contains(&left), "{key} is kept for {left} ms"),
            }
            row.seen += 1;
        }
    }
    let unseen: Vec<String> =
        rows.iter().filter(|row| row.seen == 0).map(|row| row.parts.join(":")).collect();
    assert!(unseen.is_empty(), "documented and not there: {unseen:?}");
    values(port);
}

/// What is said of values, where a person would look.
fn values(port: u16) {
    let ask = |command: &[&str]| cli(port, command).concat();
    let epoch = ask(&["GET", "naru:{registry}:epoch"]);
    let head = ask(&["GET", "naru:{registry}:head"]);
    let documents = ask(&["ZCARD", "naru:{registry}:changes"]);
    let newest = cli(port, &["ZREVRANGE", "naru:{registry}:changes", "0", "0", "WITHSCORES"]).remove(1);
    assert_eq!(head, format!("{epoch}:{newest}:{documents}"), "EPOCH:VERSION:DOCUMENTS");
    let documents = cli(port, &["HGETALL", "naru:{acme}:registry"]);
    let pairs: Vec<_> = documents.chunks(2).collect();
    assert!(pairs.len() >= 4, "customer, credentials, assignment, quota: {documents:?}");
    for pair in pairs {
        let (version, json) = pair[1].split_once(':').unwrap();
        assert!(
            version.parse::<u64>().is_ok() && serde_json::from_str::<serde_json::Value>(json).is_ok(),
            "{pair:?}"
        );
    }
    let rates = cli(port, &["HKEYS", "naru:{acme}:rates:live"]);
    assert!(
        rates.iter().any(|field| field == "b:burst")
            && rates.iter().all(|f| f.starts_with("b:") || f.starts_with("p:")),
        "{rates:?}"
    );
    assert!(ask(&["GET", "naru:{acme}:key:live:key-1"]).starts_with('A'), "the first answer");
    let waiting = ask(&["GET", "naru:{gate}:waiting"]);
    assert!(serde_json::from_str::<serde_json::Value>(&waiting).is_ok(), "{waiting}");
}
