//! `naru infra` makes what a deployment needs on AWS, once, and tells what became different.

mod iam;
mod rights;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use naru_tests::{
    aws_proxy::{AwsProxy, Call},
    engines::{AwsEmulator, Flavour, Postgres, REGION, Redis},
    gateway::Programs,
    tools::tool,
};
use serde_json::{Value, json};

use crate::stage::beside_others;

/// An account of its own, and a configuration with queue, topic and blobs there.
struct Cloud {
    emulator: AwsEmulator,
    _engines: (Postgres, Redis),
    proxy: AwsProxy,
    home: tempfile::TempDir,
    program: PathBuf,
}

/// What a verb said, and with which exit code.
struct Said {
    code: i32,
    out: String,
    errors: String,
}

impl Cloud {
    fn start(flavour: Flavour) -> Self {
        let emulator = AwsEmulator::start(flavour).unwrap();
        let proxy = AwsProxy::start(emulator.port()).unwrap();
        let home = tempfile::tempdir().unwrap();
        let place = format!("region = {REGION:?}\nendpoint = {:?}\n", proxy.endpoint());
        let (postgres, redis) = (Postgres::start().unwrap(), Redis::start().unwrap());
        let (database, memory) = (postgres.database().unwrap(), redis.url());
        let text = format!(
            "[keys]\nfile = {:?}\n[catalog]\nkind = \"postgres\"\nurl = {database:?}\n\
             [ledger]\nkind = \"postgres\"\nurl = {database:?}\n\
             [registry]\nkind = \"redis\"\nurl = {memory:?}\n[gate]\nkind = \"redis\"\nurl = {memory:?}\n[queue]\nkind = \"sqs\"\n{place}[topic]\nkind = \"sns\"\n{place}\
             [blobs]\nkind = \"s3\"\nbucket = \"naru-blobs\"\n{place}",
            home.path().join("keys.toml").display().to_string()
        );
        fs::write(home.path().join("naru.toml"), text).unwrap();
        let cloud = Self {
            emulator,
            _engines: (postgres, redis),
            proxy,
            home,
            program: Programs::find().unwrap().gateway,
        };
        cloud.well(&["keys", "make", &cloud.home.path().join("keys.toml").display().to_string()]);
        cloud.well(&["migrate"]);
        cloud.well(&["customer", "add", "acme"]);
        cloud.well(&["route", "add", "carrier-a", "simulator", "--assign", "acme"]);
        cloud.well(&["subscription", "add", "archive"]);
        cloud
    }

    fn naru(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--config").arg(self.home.path().join("naru.toml"));
        let output = command.envs(self.emulator.environment()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code().unwrap(), out: text(&output.stdout), errors: text(&output.stderr) }
    }

    fn well(&self, arguments: &[&str]) -> String {
        let said = self.naru(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.errors);
        said.out
    }

    fn aws(&self, arguments: &[&str]) -> Value {
        let mut command = tool("pip/bin/aws").unwrap();
        command.envs(self.emulator.environment()).args(arguments);
        let output =
            command.args(["--output", "json", "--endpoint-url", &self.emulator.endpoint()]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn queue_url(&self, name: &str) -> String {
        self.aws(&["sqs", "get-queue-url", "--queue-name", name])["QueueUrl"].as_str().unwrap().to_owned()
    }

    /// Calls since the last time that change anything.
    fn changes(&self) -> BTreeMap<Call, u64> {
        let reads = ["Get", "List", "Head"];
        let changes = |call: &Call| !reads.iter().any(|word| call.action.starts_with(word));
        self.proxy.take_calls().into_iter().filter(|(call, _)| changes(call)).collect()
    }
}

const PACKS: &str = "naru-main-packs-carrier-a-express";
const COPIES: &str = "naru-main-copies-archive";

#[test]
fn whoever_adds_the_first_webhook_is_told_what_its_subscription_needs() {
    let _beside = beside_others();
    let cloud = Cloud::start(Flavour::Ministack);
    cloud.well(&["infra", "apply"]);
    let added = cloud.well(&["webhook", "add", "acme", "main", "https://acme.example/naru"]);
    assert!(added.contains("secret") && added.contains("run `naru infra apply`"), "{added}");
    let planned = cloud.naru(&["infra", "plan"]);
    assert!(planned.out.contains("missing  queue naru-main-copies-webhooks"), "{}", planned.out);
    cloud.well(&["infra", "apply"]);
    for name in ["archive-dead", "archive-quarantine"] {
        let refused = cloud.naru(&["subscription", "add", name]);
        assert_eq!(refused.code, 2, "{name}: {}", refused.out);
        assert!(refused.errors.contains("must not end in"), "{}", refused.errors);
    }
    assert_eq!(cloud.well(&["infra", "apply"]).trim(), "nothing was changed");
}

#[test]
fn what_is_missing_is_made_once_and_a_second_apply_changes_nothing() {
    let _beside = beside_others();
    let cloud = Cloud::start(Flavour::Ministack);
    let planned = cloud.naru(&["infra", "plan"]);
    assert_eq!(planned.code, 1, "{}{}", planned.out, planned.errors);
    for line in [
        format!("missing  queue {PACKS}-dead"),
        format!("missing  queue {PACKS}-quarantine"),
        format!("missing  queue {PACKS}"),
        "missing  queue naru-main-packs-carrier-a-bulk".to_owned(),
        "missing  queue naru-main-packs-sandbox-express".to_owned(),
        format!("missing  queue {COPIES}"),
        "missing  topic naru-main-events".to_owned(),
        format!("missing  subscription {COPIES}"),
        "missing  bucket naru-blobs".to_owned(),
    ] {
        assert!(planned.out.lines().any(|said| said == line), "no `{line}` in {}", planned.out);
    }
    assert_eq!(cloud.changes().values().sum::<u64>(), 0, "a plan changes nothing");
    let checked = cloud.naru(&["check"]);
    assert!(checked.code != 0 && (checked.out + &checked.errors).contains("run `naru infra apply`"));
    let made = cloud.well(&["infra", "apply"]);
    assert!(
        made.contains(&format!("made queue {PACKS}")) && made.contains("made bucket naru-blobs"),
        "{made}"
    );
    assert!(cloud.changes().values().sum::<u64>() > 10);
    assert_eq!(cloud.well(&["infra", "plan"]).trim(), "everything is as it shall be");
    assert_eq!(cloud.well(&["infra", "apply"]).trim(), "nothing was changed");
    let changed = cloud.changes();
    assert!(changed.is_empty(), "the second time nothing is asked for that changes anything: {changed:?}");
    assert_eq!(cloud.well(&["infra", "plan", "--json"]).trim(), "[]");
    let subscribed = cloud.aws(&["sns", "list-subscriptions"]);
    assert_eq!(subscribed["Subscriptions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_route_that_is_added_later_and_what_is_not_ours_are_told() {
    let _beside = beside_others();
    let cloud = Cloud::start(Flavour::Ministack);
    cloud.well(&["infra", "apply"]);
    let added = cloud.naru(&["route", "add", "carrier-b", "simulator"]);
    assert!((added.out + &added.errors).contains("naru infra apply"), "whoever adds a route is told");
    cloud.aws(&["sqs", "create-queue", "--queue-name", "naru-main-packs-gone-express"]);
    cloud.aws(&["sqs", "create-queue", "--queue-name", "naru-other-packs-gone-express"]);
    let planned = cloud.naru(&["infra", "plan"]);
    assert!(planned.out.contains("missing  queue naru-main-packs-carrier-b-bulk"), "{}", planned.out);
    assert!(planned.out.contains("strange  queue naru-main-packs-gone-express"), "{}", planned.out);
    assert!(!planned.out.contains("naru-other"), "another deployment is nobody's business: {}", planned.out);
    cloud.well(&["infra", "apply"]);
    cloud.queue_url("naru-main-packs-gone-express");
    let left = cloud.naru(&["infra", "plan"]);
    assert_eq!(left.code, 0, "what is strange is no work to do: {}", left.out);
}

#[test]
fn what_drifted_is_told_attribute_by_attribute_and_mended() {
    let _beside = beside_others();
    let cloud = Cloud::start(Flavour::Ministack);
    cloud.well(&["infra", "apply"]);
    let (packs, copies) = (cloud.queue_url(PACKS), cloud.queue_url(COPIES));
    let set = |url: &str, attributes: Value| {
        let attributes = attributes.to_string();
        cloud.aws(&["sqs", "set-queue-attributes", "--queue-url", url, "--attributes", &attributes]);
    };
    set(
        &packs,
        json!({ "MessageRetentionPeriod": "345600", "DelaySeconds": "60", "MaximumMessageSize": "262144", "RedrivePolicy": "" }),
    );
    set(&copies, json!({ "Policy": "" }));
    let subscription =
        cloud.aws(&["sns", "list-subscriptions"])["Subscriptions"][0]["SubscriptionArn"].clone();
    cloud.aws(&[
        "sns",
        "set-subscription-attributes",
        "--subscription-arn",
        subscription.as_str().unwrap(),
        "--attribute-name",
        "RawMessageDelivery",
        "--attribute-value",
        "false",
    ]);
    cloud.aws(&["s3api", "delete-bucket-lifecycle", "--bucket", "naru-blobs"]);
    let planned = cloud.naru(&["infra", "plan"]);
    assert_eq!(planned.code, 1);
    for drift in [
        format!("drifted  queue {PACKS}: MessageRetentionPeriod is 345600, shall be 1209600"),
        format!("drifted  queue {PACKS}: DelaySeconds is 60, shall be 0"),
        format!("drifted  queue {PACKS}: MaximumMessageSize is 262144, shall be 1048576"),
        format!("drifted  queue {PACKS}: RedrivePolicy is nothing, shall be"),
        format!("drifted  queue {COPIES}: Policy is nothing, shall be"),
        format!("drifted  subscription {COPIES}: RawMessageDelivery is false, shall be true"),
        "drifted  bucket naru-blobs: Expiry is nothing, shall be".to_owned(),
    ] {
        assert!(planned.out.contains(&drift), "no `{drift}` in {}", planned.out);
    }
    cloud.aws(&["sns", "unsubscribe", "--subscription-arn", subscription.as_str().unwrap()]);
    let planned = cloud.naru(&["infra", "plan"]);
    assert!(planned.out.contains(&format!("missing  subscription {COPIES}")), "{}", planned.out);
    cloud.well(&["infra", "apply"]);
    assert_eq!(cloud.well(&["infra", "plan"]).trim(), "everything is as it shall be");
}

/// A store that speaks only a part of S3's language: what it does not know of is told, and is no work to do.
#[test]
fn what_a_store_does_not_speak_of_is_told_and_does_not_stop_the_rest() {
    let _beside = beside_others();
    let cloud = Cloud::start(Flavour::Fauxqs);
    cloud.well(&["infra", "apply"]);
    let planned = cloud.well(&["infra", "plan"]);
    assert!(
        planned.contains("unspoken bucket naru-blobs: it knows nothing of PublicAccessBlock"),
        "{planned}"
    );
    assert!(!planned.contains("missing") && !planned.contains("drifted"), "{planned}");
}
