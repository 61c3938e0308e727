//! A person at `naru status` and `naru quarantine`, with the policy that is printed for one.

use std::process::Command;

use data_encoding::BASE64;

use super::{Guarded, names, without_each};
use crate::stage::within;

const LANE: &str = "naru-main-packs-demo-express";

/// On AWS it says whether an object is gone or forbidden; the emulator says so in any case.
const TELLS_GONE_FROM_FORBIDDEN: &str = "NaruBucket";

/// While no worker runs: what a front wrote, as it lies there, and nothing on the lane any more.
fn a_pack_of_ours(guarded: &Guarded) -> String {
    let mut customer = guarded.site.customer_at(0, 0);
    let message = serde_json::json!({ "channel": "sms", "recipient": "+821012345600", "body": "hello" });
    assert_eq!(customer.send(&message, None).unwrap().status, 202);
    let url = guarded.queue(LANE);
    within(super::PATIENCE, "a pack lies there", || {
        let asked = ["sqs", "receive-message", "--queue-url", &url, "--wait-time-seconds", "1"];
        let found = guarded.aws(&asked)["Messages"][0].clone();
        let handle = found["ReceiptHandle"].as_str()?;
        guarded.aws(&["sqs", "delete-message", "--queue-url", &url, "--receipt-handle", handle]);
        Some(found["Body"].as_str().unwrap().to_owned())
    })
}

/// Looks at everything, puts back what is ours and removes what is not.
fn at_the_desk(guarded: &Guarded, pack: &str) {
    let url = guarded.queue(&format!("{LANE}-quarantine"));
    guarded.aws(&["sqs", "purge-queue", "--queue-url", &url]);
    let check = BASE64.encode(format!("claim.1.{}.5\n", "ab".repeat(32)).as_bytes());
    for body in [pack, &check] {
        guarded.aws(&["sqs", "send-message", "--queue-url", &url, "--message-body", body]);
    }
    let calls = guarded.site.carrier.cloud().unwrap().calls().unwrap();
    for verb in [&["status"][..], &["quarantine", "redrive", "--all", "--route", "demo"]] {
        let mut command = Command::new(guarded.site.program());
        command.arg("--config").arg(guarded.site.config()).args(verb);
        command.envs(guarded.keys["operator"].iter().map(|(name, value)| (*name, value)));
        // The operator's file leads past the proxy.
        for port in ["QUEUE", "TOPIC", "BLOBS"] {
            command.env(format!("NARU_{port}__ENDPOINT"), calls.endpoint());
        }
        // What it says is of no interest: the check stays in any case. What it was denied is.
        command.output().unwrap();
    }
}

pub(super) fn needs_all(guarded: &mut Guarded) -> Vec<String> {
    let whole = guarded.policy("operator");
    guarded.site.workers[0].drain().unwrap();
    let pack = a_pack_of_ours(guarded);
    drop(guarded.denied());
    at_the_desk(guarded, &pack);
    assert!(guarded.denied().is_empty(), "{}", names(&guarded.denied()));
    let mut told = Vec::new();
    for (without, sid) in without_each(&whole) {
        if sid == TELLS_GONE_FROM_FORBIDDEN {
            continue;
        }
        guarded.allow("operator", &without);
        drop(guarded.denied());
        at_the_desk(guarded, &pack);
        let denied = guarded.denied();
        assert!(!denied.is_empty(), "operator does not need {sid}");
        told.push(format!("operator without {sid}: {}", names(&denied)));
    }
    guarded.allow("operator", &whole);
    told
}
