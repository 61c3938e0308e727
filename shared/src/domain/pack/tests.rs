use super::*;
use crate::domain::{Content, Environment, Fingerprint, MessageId, Timestamp, Units, WRITTEN};

fn message(body: &str) -> Message {
    let content = Content {
        channel: "sms".parse().unwrap(),
        recipient: "+821012345678".into(),
        sender: Some("0215441234".into()),
        subject: None,
        body: body.into(),
        attachments: Vec::new(),
        data: serde_json::Map::new(),
        reference: None,
        send_at: Some(Timestamp::from_millis(12_345)),
        ttl: None,
        simulate: None,
    };
    Message {
        id: MessageId::from_bytes([7; 16]),
        key: Some("k".parse().unwrap()),
        fingerprint: Fingerprint::of(&content, Lane::Bulk),
        units: Units::ONE,
        accepted_at: Timestamp::from_millis(1),
        traceparent: None,
        again: None,
        content,
    }
}

fn sealed(keys: &EnvelopeKeys, messages: &[Message]) -> (Pack, Envelope) {
    sealed_as(WRITTEN, keys, messages)
}

fn sealed_as(version: u32, keys: &EnvelopeKeys, messages: &[Message]) -> (Pack, Envelope) {
    let account = Account { customer: "acme".parse().unwrap(), environment: Environment::Live };
    let route: RouteName = "carrier-a".parse().unwrap();
    let fragments: Vec<Vec<u8>> = messages.iter().map(|m| PackEncoder::fragment(m).unwrap()).collect();
    let fragments: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
    let encoder = PackEncoder::new(keys.clone(), version).unwrap();
    let head = PackHead { account: &account, route: &route, lane: Lane::Bulk };
    let envelope = encoder.seal(head, &fragments);
    (Pack { account, route, lane: Lane::Bulk, messages: messages.to_vec() }, envelope)
}

#[test]
fn what_was_sealed_opens_to_the_same_pack() {
    let keys = EnvelopeKeys::new(("a", &Secret::random()), &[]);
    let (pack, envelope) = sealed(&keys, &[message("one \"quoted\"\n"), message("둘")]);
    assert_eq!(keys.open(&envelope).unwrap(), pack);
}

#[test]
fn a_second_key_verifies_while_both_are_valid() {
    let (old, new) = (Secret::random(), Secret::random());
    let (_, envelope) = sealed(&EnvelopeKeys::new(("old", &old), &[]), &[message("x")]);
    assert!(EnvelopeKeys::new(("new", &new), &[("old", &old)]).open(&envelope).is_ok());
    assert!(matches!(
        EnvelopeKeys::new(("new", &new), &[]).open(&envelope),
        Err(EnvelopeError::Unverified(_))
    ));
}

#[test]
fn every_changed_byte_is_noticed() {
    let keys = EnvelopeKeys::new(("a", &Secret::random()), &[]);
    let (_, envelope) = sealed(&keys, &[message("x")]);
    for index in 0..envelope.0.len() {
        let mut bytes = envelope.0.to_vec();
        bytes[index] ^= 1;
        let changed = Envelope(bytes.into());
        assert!(keys.open(&changed).is_err(), "byte {index}");
    }
    for length in 0..envelope.0.len() {
        assert!(keys.open(&Envelope(envelope.0.slice(..length))).is_err(), "cut at {length}");
    }
    for before in ["0", "+", "00"] {
        let more = [before.as_bytes(), &envelope.0].concat();
        assert!(matches!(keys.open(&Envelope(more.into())), Err(EnvelopeError::Forged(_))), "{before}");
    }
}

#[test]
fn a_newer_version_is_told_from_a_forged_one() {
    let keys = EnvelopeKeys::new(("a", &Secret::random()), &[]);
    let newer = Envelope(Bytes::from_static(b"2.whatever\nbinary"));
    assert!(matches!(keys.open(&newer), Err(EnvelopeError::Newer { version: 2, newest: 1 })));
    let none = Envelope(Bytes::from_static(b"0.whatever\nbinary"));
    assert!(matches!(keys.open(&none), Err(EnvelopeError::Unverified(_))));
}

/// Another way to write a pack: backwards.
const NEXT: &[EnvelopeFormat] = &[
    FORMATS[0],
    EnvelopeFormat {
        version: 2,
        write: |out, head, fragments| {
            let begin = out.len();
            (FORMATS[0].write)(out, head, fragments);
            out[begin..].reverse();
        },
        read: |content| (FORMATS[0].read)(&content.iter().rev().copied().collect::<Vec<_>>()),
    },
];

#[test]
fn a_release_reads_all_its_versions_and_writes_the_one_it_is_told_to() {
    let now = EnvelopeKeys::new(("a", &Secret::random()), &[]);
    let next = now.clone().knowing(NEXT);
    let messages = [message("one"), message("two")];
    for version in [1, 2] {
        let (pack, envelope) = sealed_as(version, &next, &messages);
        assert!(envelope.0.starts_with(format!("{version}.").as_bytes()));
        assert_eq!(next.open(&envelope).unwrap(), pack);
    }
    let (pack, older) = sealed_as(1, &next, &messages);
    assert_eq!(
        now.open(&older).unwrap(),
        pack,
        "the release before reads what the next one writes unless told"
    );
    let (_, newer) = sealed_as(2, &next, &messages);
    assert!(matches!(now.open(&newer), Err(EnvelopeError::Newer { version: 2, newest: 1 })));
    let refused = PackEncoder::new(now, 2).err().map(|error| error.to_string());
    assert_eq!(
        refused.as_deref(),
        Some("envelopes of version 2 cannot be written: this program knows 1 to 1")
    );
}

/// The MAC covers the version: a pack is not read as another version than it was written in.
#[test]
fn an_envelope_cannot_be_passed_off_as_another_version() {
    let next = EnvelopeKeys::new(("a", &Secret::random()), &[]).knowing(NEXT);
    let (_, envelope) = sealed_as(2, &next, &[message("x")]);
    let mut bytes = envelope.0.to_vec();
    bytes[0] = b'1';
    assert!(matches!(next.open(&Envelope(bytes.into())), Err(EnvelopeError::Forged("MAC"))));
}

#[test]
fn what_is_written_unless_told_is_in_the_table_and_versions_are_in_order() {
    let versions: Vec<u32> = FORMATS.iter().map(|format| format.version).collect();
    assert!(versions.contains(&WRITTEN) && versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

#[test]
fn what_a_provider_told_travels_sealed_and_is_newer_than_a_release_that_knows_no_notices() {
    use crate::domain::{Notice, Said};
    let keys = EnvelopeKeys::new(("a", &Secret::random()), &[]);
    let notice = Notice {
        backend_id: Some("SM1".into()),
        message: Some(MessageId::from_bytes([7; 16])),
        time: 2,
        said: Said::Delivered,
        detail: "reported".into(),
    };
    let pack = NoticePack { route: "carrier-a".parse().unwrap(), notices: vec![notice] };
    let envelope = keys.seal_notices(&pack).unwrap();
    assert!(envelope.0.starts_with(b"1001.a.") && NOTICES > FORMATS.iter().map(|f| f.version).max().unwrap());
    assert_eq!(keys.open_any(&envelope).unwrap(), Opened::Notices(pack));
    assert!(matches!(keys.open(&envelope), Err(EnvelopeError::Malformed(_))), "and is no pack of messages");
    for index in 0..envelope.0.len() {
        let mut bytes = envelope.0.to_vec();
        bytes[index] ^= 1;
        assert!(keys.open_any(&Envelope(bytes.into())).is_err(), "byte {index}");
    }
}
