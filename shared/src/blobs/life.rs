//! How long blobs are kept.
//!
//! A blob that an unfinished message names must be there. Who names it is not counted: no counter survives every crash, and a
//! wrong one loses what was paid for. Time does it. A blob may be named for [`NAMEABLE`] after it was put; a message that
//! names it is tried for the last time before `send_at` and `ttl` are over; and a pack may lie on the queue for as long as the
//! queue keeps it. [`LIFE`] is longer than all of these together.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// How long after it was put a blob may be named by a new message; to put it again begins anew.
pub const NAMEABLE: Duration = days(7);

/// The furthest ahead that a message may be sent.
pub const LARGEST_SEND_AT: Duration = days(30);

/// The longest that attempts at a message may begin.
pub const LARGEST_TTL: Duration = days(30);

/// The longest that a queue keeps a pack that nobody takes.
pub const QUEUE_RETENTION: Duration = days(14);

/// For clocks that differ, an attempt that has begun, and what is looked at again.
const MARGIN: Duration = days(1);

/// How long a blob is kept at the least after it was put.
pub const LIFE: Duration = days(7 + 30 + 30 + 14 + 1);

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY.as_secs())
}

/// The days after which a store may remove a blob by a rule of its own, and why so many: for a bucket's lifecycle.
#[must_use]
pub fn expiry_days() -> (u32, String) {
    let whole = |span: Duration| span.as_secs().div_ceil(DAY.as_secs());
    let reason = format!(
        "named for {} days after it was put, sent {} days after that, tried for {} days, {} days on the queue, {} to spare",
        whole(NAMEABLE),
        whole(LARGEST_SEND_AT),
        whole(LARGEST_TTL),
        whole(QUEUE_RETENTION),
        whole(MARGIN),
    );
    (u32::try_from(whole(LIFE)).unwrap_or(u32::MAX), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Content, Fingerprint, Lane, Message, MessageId, Timestamp, Units};

    #[test]
    fn a_blob_outlives_the_last_attempt_of_the_last_message_that_may_name_it() {
        let put = Timestamp::from_millis(1_763_802_000_000);
        let accepted_at = put.plus(NAMEABLE);
        let content = Content {
            channel: "mms".parse().unwrap(),
            recipient: "+821012345678".into(),
            sender: None,
            subject: None,
            body: String::new(),
            attachments: vec!["att".into()],
            data: serde_json::Map::new(),
            reference: None,
            send_at: Some(accepted_at.plus(LARGEST_SEND_AT)),
            ttl: u32::try_from(LARGEST_TTL.as_secs()).ok(),
            simulate: None,
        };
        let message = Message {
            id: MessageId::from_bytes([7; 16]),
            key: None,
            fingerprint: Fingerprint::of(&content, Lane::Bulk),
            units: Units::ONE,
            accepted_at,
            traceparent: None,
            again: None,
            content,
        };
        let last = message.expires_at(Lane::Bulk).plus(QUEUE_RETENTION);
        let gone = put.plus(LIFE);
        assert_eq!(gone.since(last), MARGIN, "exactly the margin is left");
    }

    #[test]
    fn the_rule_of_a_bucket_is_as_long() {
        let (days, reason) = expiry_days();
        assert_eq!(u64::from(days) * DAY.as_secs(), LIFE.as_secs());
        let told: u32 = reason.split([' ', ',']).filter_map(|word| word.parse::<u32>().ok()).sum();
        assert_eq!(told, days, "{reason}");
    }
}
