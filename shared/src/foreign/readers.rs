//! The readers of this crate.

use std::{sync::LazyLock, time::Duration};

use super::Reader;
use crate::{
    blobs::Sha256Sum,
    domain::{
        Account, Content, Envelope, EnvelopeKeys, Environment, FORMATS, Fingerprint, Lane, Message,
        MessageId, Notice, NoticePack, Opened, PackEncoder, PackHead, RouteName, Simulation, Timestamp,
        Units,
    },
    keys::Secret,
    notices::Shape,
    queue::claim_check_again,
};

/// All of them.
pub const READERS: &[Reader] = &[
    Reader { name: "envelope", samples: envelopes, read: envelope },
    Reader { name: "envelope_content", samples: contents, read: content },
    Reader { name: "claim_check", samples: checks, read: check },
    Reader { name: "notice_json", samples: notices, read: |bytes| notice(bytes, false) },
    Reader { name: "notice_form", samples: forms, read: |bytes| notice(bytes, true) },
    Reader { name: "simulation", samples: simulations, read: simulation },
    Reader { name: "message_id", samples: || texts(&["msg_01kf3m2qz8fx5v6w7y8r9t0abc"]), read: message_id },
    Reader { name: "timestamp", samples: times, read: timestamp },
];

/// Samples that are texts.
pub(super) fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

/// What every envelope here is signed with.
static KEYS: LazyLock<EnvelopeKeys> = LazyLock::new(|| EnvelopeKeys::new(("k", &Secret::random()), &[]));

/// A good envelope of each version, and one of a provider's reports.
static GOOD: LazyLock<Vec<Envelope>> = LazyLock::new(|| {
    let account = Account { customer: name("acme"), environment: Environment::Live };
    let route: RouteName = name("carrier-a");
    let fragments: Vec<Vec<u8>> = ["Hello", "안녕하세요 \"naru\"\n"].map(fragment).to_vec();
    let fragments: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
    let sealed = FORMATS.iter().filter_map(|format| {
        let encoder = PackEncoder::new(KEYS.clone(), format.version).ok()?;
        Some(encoder.seal(PackHead { account: &account, route: &route, lane: Lane::Bulk }, &fragments))
    });
    let told = Notice {
        backend_id: Some("p-1".into()),
        ..serde_json::from_str(r#"{"said":"delivered"}"#).expect("a report")
    };
    let told =
        KEYS.seal_notices(&NoticePack { route: route.clone(), notices: vec![told] }).expect("it is JSON");
    sealed.chain([told]).collect()
});

fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("a name")
}

fn fragment(body: &str) -> Vec<u8> {
    let content: Content = serde_json::from_value(serde_json::json!({
        "channel": "sms", "recipient": "+821012345678", "sender": "0215441234", "body": body, "reference": "order-7",
    }))
    .expect("a message");
    let message = Message {
        id: MessageId::from_bytes([7; 16]),
        key: Some(name("k")),
        fingerprint: Fingerprint::of(&content, Lane::Bulk),
        units: Units::ONE,
        accepted_at: Timestamp::from_millis(1),
        traceparent: None,
        again: None,
        content,
    };
    PackEncoder::fragment(&message).expect("it is JSON")
}

fn envelopes() -> Vec<Vec<u8>> {
    GOOD.iter().map(|envelope| envelope.0.to_vec()).collect()
}

/// Nothing opens but what was sealed.
fn envelope(bytes: &[u8]) -> bool {
    let opens = KEYS.open_any(&Envelope(bytes.to_vec().into())).is_ok();
    assert!(!opens || GOOD.iter().any(|good| good.0 == bytes), "what nobody sealed was opened");
    opens
}

/// The version on a line, and the body.
fn contents() -> Vec<Vec<u8>> {
    let split = |sealed: &Vec<u8>| {
        let head = sealed.iter().position(|byte| *byte == b'\n').unwrap_or_default();
        let version = sealed.iter().position(|byte| *byte == b'.').unwrap_or_default();
        [&sealed[..version], &sealed[head..]].concat()
    };
    envelopes().iter().map(split).collect()
}

/// Under a good signature: what is opened is written and opened again as the same.
fn content(bytes: &[u8]) -> bool {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let version = parts.next().and_then(text).and_then(|version| version.parse::<u32>().ok());
    let (Some(version), Some(body)) = (version, parts.next()) else { return false };
    let sealed = KEYS.sealed(version, |out| out.extend_from_slice(body));
    match KEYS.open_any(&sealed) {
        Ok(Opened::Pack(pack)) => {
            let fragments: Vec<Vec<u8>> = pack
                .messages
                .iter()
                .map(|message| PackEncoder::fragment(message).expect("it is JSON"))
                .collect();
            let fragments: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
            let head = PackHead { account: &pack.account, route: &pack.route, lane: pack.lane };
            let encoder = PackEncoder::new(KEYS.clone(), version).expect("it was read");
            let again = KEYS.open(&encoder.seal(head, &fragments)).expect("what is written is read");
            assert_eq!(again, pack);
            true
        }
        Ok(Opened::Notices(pack)) => {
            let again = KEYS
                .open_any(&KEYS.seal_notices(&pack).expect("it is JSON"))
                .expect("what is written is read");
            assert_eq!(again, Opened::Notices(pack));
            true
        }
        Err(_) => false,
    }
}

fn checks() -> Vec<Vec<u8>> {
    texts(&[&format!("claim.1.{}.300000\n", Sha256Sum::of(b"a large pack"))])
}

/// What stands for a large envelope is written, and read again as the same.
fn check(bytes: &[u8]) -> bool {
    let Some(written) = claim_check_again(bytes) else { return false };
    assert_eq!(claim_check_again(&written), Some(written.clone()));
    true
}

fn notices() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"id":"msg_01kf3m2qz8fx5v6w7y8r9t0abc","status":"delivered","time":"2026-11-22T09:00:00Z"}"#,
        r#"[{"id":"msg_01kf3m2qz8fx5v6w7y8r9t0abc","status":"failed","code":"30003","detail":"no route"},{"id":"b","status":"sent"}]"#,
        "[]",
    ])
}

fn forms() -> Vec<Vec<u8>> {
    texts(&[
        "id=msg_01kf3m2qz8fx5v6w7y8r9t0abc&status=delivered",
        "id=msg_01kf3m2qz8fx5v6w7y8r9t0abc&status=failed&code=30003&detail=no+route",
    ])
}

/// Every report that is told is about something; an empty list tells nothing, which is nothing wrong.
fn notice(bytes: &[u8], form: bool) -> bool {
    let Ok(read) = Shape::default().read(bytes, form) else { return false };
    let told = read.notices.len() + read.waiting;
    assert!(told > 0 || read.unread == 0, "{read:?}");
    assert!(told + read.unread <= crate::domain::PACK_NOTICES, "{read:?}");
    assert!(
        read.notices.iter().all(|notice| notice.message.is_some() || notice.backend_id.is_some()),
        "{read:?}"
    );
    true
}

fn simulations() -> Vec<Vec<u8>> {
    texts(&[
        "delivered;report=5;twice",
        "failed;code=\"30003\";delay=2",
        "rate-limited;retry-after=60",
        "not-taken;times=3",
    ])
}

/// Nothing waits longer, or is told more often, than is documented.
fn simulation(bytes: &[u8]) -> bool {
    let Some(read) = text(bytes).and_then(|text| text.parse::<Simulation>().ok()) else { return false };
    let hour = Duration::from_secs(3_600);
    assert!(read.delay <= Duration::from_secs(10) && read.report_in() <= Some(hour), "{read:?}");
    assert!((1..=5).contains(&read.times) && (1..=3_600).contains(&read.retry_after), "{read:?}");
    let code = read.code.as_deref().unwrap_or("none");
    assert!(
        (1..=32).contains(&code.len()) && code.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{read:?}"
    );
    true
}

/// An id is written in one way only.
fn message_id(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let Ok(id) = text.parse::<MessageId>() else { return false };
    assert_eq!(id.to_string(), text);
    true
}

fn times() -> Vec<Vec<u8>> {
    texts(&["2026-11-22T09:00:00.123Z", "2026-11-22T18:00:00+09:00"])
}

/// What is read is written as RFC 3339, and read again as the same; and nothing is read that leaves a part of it to be guessed.
fn timestamp(bytes: &[u8]) -> bool {
    let Some(time) = text(bytes).and_then(|text| text.parse::<Timestamp>().ok()) else { return false };
    let colons = bytes.iter().filter(|byte| **byte == b':').count();
    assert!(
        colons == 2 + usize::from(!bytes.ends_with(b"Z") && !bytes.ends_with(b"z")),
        "{}",
        bytes.escape_ascii()
    );
    assert!(!bytes.iter().any(|byte| b" [],".contains(byte)), "{}", bytes.escape_ascii());
    assert_eq!(time.to_string().parse::<Timestamp>().expect("what is written is read"), time);
    true
}
