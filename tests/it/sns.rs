//! SQS and SNS as others see them: boto3 reads what a pack is without opening it, and subscribes to what it wants to hear of.

mod endpoint;
mod partial;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::Duration,
};

use naru_tests::{
    deployment::{Carries, Deployment, Shape},
    engines::{Flavour, REGION},
    gateway::Setup,
    tools::tool,
};
use serde_json::{Value, json};

use crate::stage::{accept, beside_others, message, until};

/// A program of boto3 (`sns.py`).
pub(crate) struct Boto {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Boto {
    pub(crate) fn start(endpoint: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/sns.py");
        let mut command = tool("pip/bin/python").unwrap();
        command.arg(script).args([endpoint, REGION]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    pub(crate) fn ask(&mut self, order: &Value) -> Value {
        writeln!(self.input, "{order}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{order}: {error}"))
    }

    pub(crate) fn receive(&mut self, queue: &str, seconds: u32) -> Vec<Value> {
        let found = self.ask(&json!({ "do": "receive", "queue": queue, "seconds": seconds }));
        found.as_array().unwrap().clone()
    }
}

impl Drop for Boto {
    fn drop(&mut self) {
        // It ends with its input; if it is gone already there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) const TOPIC: &str = "naru-main-events";

#[test]
fn others_see_what_packs_are_and_hear_of_what_they_asked_for() {
    let _beside = beside_others();
    let carries = Carries::Aws { flavour: Flavour::Ministack, counted: false };
    let setup = Setup { customers: 2, ..Setup::default() };
    let mut site =
        Deployment::prepare(&Shape { setup, ingress: 1, workers: 1, carries, ..Shape::default() }).unwrap();
    site.verb(&["subscription", "add", "partner", "--outside"]).unwrap();
    site.verb(&["infra", "apply"]).unwrap();
    let mut boto = Boto::start(&site.carrier.cloud().unwrap().emulator.endpoint());
    for (queue, raw, policy) in [
        ("delivered-of-c0", true, json!({ "customer": ["c0"], "state": ["delivered"] })),
        ("failed", false, json!({ "kind": ["naru.message.failed"] })),
        ("suspended", true, json!({ "kind": ["naru.customer.changed"], "customer": ["c1"] })),
    ] {
        boto.ask(&json!({ "do": "subscribe", "queue": queue, "topic": TOPIC, "raw": raw, "policy": policy }));
    }
    site.ingress[0].start(&[]).unwrap();
    let (mut first, mut second) = (site.customer_at(0, 0), site.customer_at(0, 1));
    let delivered = accept(&mut first, &message("sms", "one"), None);
    a_pack_tells_what_it_is(&mut boto);
    site.workers[0].start(&[]).unwrap();
    let of_another = accept(&mut second, &message("sms", "two"), None);
    let mut failing = message("sms", "three");
    failing["recipient"] = json!("+821012345690");
    let failed = accept(&mut first, &failing, None);
    let patience = Duration::from_secs(30);
    until(&mut first, &delivered, &["delivered"], patience);
    until(&mut second, &of_another, &["delivered"], patience);
    until(&mut first, &failed, &["failed"], patience);
    let heard = boto.receive("delivered-of-c0", 5);
    assert_eq!(heard.len(), 1, "only what matches: {heard:?}");
    let event: Value = serde_json::from_str(heard[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!((&event["id"], &event["specversion"]), (&json!(format!("{delivered}.1")), &json!("1.0")));
    let attributes = &heard[0]["attributes"];
    for (name, value) in [
        ("customer", "c0"),
        ("environment", "live"),
        ("route", "demo"),
        ("channel", "sms"),
        ("state", "delivered"),
        ("kind", "naru.message.delivered"),
    ] {
        assert_eq!(attributes[name], value, "{attributes}");
    }
    let heard = boto.receive("failed", 5);
    assert_eq!(heard.len(), 1, "{heard:?}");
    let wrapped: Value = serde_json::from_str(heard[0]["body"].as_str().unwrap()).unwrap();
    let event: Value = serde_json::from_str(wrapped["Message"].as_str().unwrap()).unwrap();
    assert_eq!((&event["id"], &event["data"]["customer"]), (&json!(format!("{failed}.1")), &json!("c0")));
    assert_eq!(wrapped["MessageAttributes"]["state"]["Value"], "failed", "{wrapped}");
    for customer in ["c0", "c1"] {
        site.verb(&["customer", "suspend", customer]).unwrap();
    }
    let heard = boto.receive("suspended", 10);
    assert_eq!(heard.len(), 1, "an operator's act, of the customer who was asked for: {heard:?}");
    let event: Value = serde_json::from_str(heard[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&event["type"], &event["subject"]),
        (&json!("naru.customer.changed"), &json!("catalog/customer/c1"))
    );
    assert_eq!(event["data"]["document"]["suspended"], true, "{event}");
    assert_eq!(event["data"]["actor"]["kind"], "operator", "{event}");
}

fn a_pack_tells_what_it_is(boto: &mut Boto) {
    let packs = boto.receive("naru-main-packs-demo-express", 1);
    assert_eq!(packs.len(), 1, "{packs:?}");
    let attributes = &packs[0]["attributes"];
    for (name, value) in
        [("naru-customer", "c0"), ("naru-route", "demo"), ("naru-lane", "express"), ("naru-version", "1")]
    {
        assert_eq!(attributes[name], value, "{attributes}");
    }
    assert_eq!(packs[0]["system"]["MessageGroupId"], "c0", "{}", packs[0]["system"]);
}
