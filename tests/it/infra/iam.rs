//! Each process lives with its printed policy and nothing else, on an emulator that enforces policies; and none of its statements
//! can be spared: without it a call of that process is denied.

mod operator;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    aws_proxy::Call,
    deployment::{Carries, Deployment, Shape},
    engines::Flavour,
    gateway::Setup,
    tools::tool,
    witness::SUBSCRIPTION,
};
use serde_json::{Value, json};

use crate::stage::{beside_others, within};

/// What a process that was denied held comes back after the visibility time of 60 s.
const PATIENCE: Duration = Duration::from_secs(100);

/// No long poll takes longer.
const LONG_POLL: Duration = Duration::from_secs(21);

/// A deployment whose processes are users of their own, each with its policy.
struct Guarded {
    site: Deployment,
    keys: BTreeMap<&'static str, [(&'static str, String); 2]>,
    journal: PathBuf,
    sent: u32,
    urls: RefCell<BTreeMap<String, String>>,
}

const PROCESSES: [&str; 4] = ["ingress", "workers", "infra", "operator"];

impl Guarded {
    fn start() -> Self {
        let carries = Carries::Aws { flavour: Flavour::MinistackWithPolicies, counted: true };
        let setup = Setup { subscription: Some(SUBSCRIPTION.to_owned()), ..Setup::default() };
        let shape = Shape { setup, ingress: 1, workers: 1, carries, ..Shape::default() };
        let site = Deployment::prepare(&shape).unwrap();
        let journal = site.home().join("journal");
        let mut guarded = Self { site, keys: BTreeMap::new(), journal, sent: 0, urls: RefCell::default() };
        for process in PROCESSES {
            guarded.aws(&["iam", "create-user", "--user-name", process]);
            let made = guarded.aws(&["iam", "create-access-key", "--user-name", process]);
            let key = |name: &str| made["AccessKey"][name].as_str().unwrap().to_owned();
            let pair = [
                ("AWS_ACCESS_KEY_ID", key("AccessKeyId")),
                ("AWS_SECRET_ACCESS_KEY", key("SecretAccessKey")),
            ];
            guarded.keys.insert(process, pair);
            guarded.allow(process, &guarded.policy(process));
        }
        guarded
    }

    /// As the account's owner, past the proxy.
    fn aws(&self, arguments: &[&str]) -> Value {
        let emulator = &self.site.carrier.cloud().unwrap().emulator;
        let mut command = tool("pip/bin/aws").unwrap();
        command.envs(emulator.environment()).args(arguments);
        let output =
            command.args(["--output", "json", "--endpoint-url", &emulator.endpoint()]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// What `naru infra iam` prints.
    fn policy(&self, process: &str) -> Value {
        serde_json::from_str(&self.site.verb(&["infra", "iam", process]).unwrap()).unwrap()
    }

    fn allow(&self, process: &str, policy: &Value) {
        let document = as_the_emulator_names_it(policy).to_string();
        let put =
            ["iam", "put-user-policy", "--user-name", process, "--policy-name", "naru", "--policy-document"];
        self.aws(&[&put[..], &[&document]].concat());
    }

    /// Where a queue is; a program is begun for each question, so none is asked twice.
    fn queue(&self, name: &str) -> String {
        let mut urls = self.urls.borrow_mut();
        let look = || {
            let said = self.aws(&["sqs", "get-queue-url", "--queue-name", name]);
            said["QueueUrl"].as_str().unwrap().to_owned()
        };
        urls.entry(name.to_owned()).or_insert_with(look).clone()
    }

    /// Calls that were denied since the last time.
    fn denied(&self) -> BTreeMap<Call, u64> {
        self.site.carrier.cloud().unwrap().calls().unwrap().take_denied()
    }

    /// A service begins anew, as its user, and knows nothing of where anything is.
    fn restart(&mut self, process: &str) {
        let [id, secret] = self.keys[process].clone();
        let journal = ("NARU_SUBSCRIBER".to_owned(), format!("{SUBSCRIPTION}={}", self.journal.display()));
        let (member, more) = match process {
            "ingress" => (&mut self.site.ingress[0], Vec::new()),
            _ => (&mut self.site.workers[0], vec![journal]),
        };
        if member.pid().is_ok() {
            member.drain().unwrap();
        }
        let more = more.iter().map(|(name, value)| (name.as_str(), value.clone()));
        member.launch(&[id, secret].into_iter().chain(more).collect::<Vec<_>>()).unwrap();
    }

    /// A message with a file, and something unreadable on each kind of queue.
    fn ask_everything(&mut self) -> Result<String, String> {
        self.sent += 1;
        for queue in ["naru-main-packs-demo-bulk".to_owned(), format!("naru-main-copies-{SUBSCRIPTION}")] {
            let url = self.queue(&queue);
            self.aws(&["sqs", "send-message", "--queue-url", &url, "--message-body", "unreadable"]);
        }
        let mut customer = self.site.customer_at(0, 0);
        let file = format!("\u{1}{}", self.sent);
        let file = [b"\x89PNG\r\n\x1a\n", file.as_bytes()].concat();
        let attached = customer.attach("image/png", &file).map_err(|error| error.to_string())?.json();
        let attachments: Vec<Value> = attached.get("id").cloned().into_iter().collect();
        let message = json!({
            "channel": "mms", "recipient": "+821012345678", "body": "hello", "attachments": attachments,
            "reference": self.sent.to_string(),
        });
        let said = customer.send(&message, None).map_err(|error| error.to_string())?.json();
        let id = said["id"].as_str().filter(|_| !attachments.is_empty());
        id.map(str::to_owned).ok_or_else(|| format!("{attached} {said}"))
    }

    fn heard_of(&self, id: &str) -> bool {
        fs::read_to_string(&self.journal).is_ok_and(|text| text.contains(id))
    }
}

/// On AWS the permission for one message is that for a batch, which has no name of its own; the emulator gives it one.
fn as_the_emulator_names_it(policy: &Value) -> Value {
    let mut policy = policy.clone();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        let actions = statement["Action"].as_array_mut().unwrap();
        let of_one = ["sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sns:Publish"];
        let batches = of_one.iter().filter(|one| actions.iter().any(|action| action == *one));
        let batches: Vec<Value> = batches.map(|one| format!("{one}Batch").into()).collect();
        actions.extend(batches);
    }
    policy
}

#[test]
fn each_process_can_do_its_work_with_its_policy_and_no_statement_can_be_spared() {
    let _beside = beside_others();
    let mut guarded = Guarded::start();
    everything_works(&mut guarded);
    let mut told = Vec::new();
    for process in ["ingress", "workers"] {
        let whole = guarded.policy(process);
        for (without, sid) in without_each(&whole) {
            guarded.allow(process, &without);
            drop(guarded.denied());
            // The other one lives with all that it needs.
            guarded.restart(process);
            let began = Instant::now();
            let denied = loop {
                // Some of it fails now, which is the point. Whether they are ready is a question of its own.
                let ready = [guarded.site.ingress[0].is_ready(), guarded.site.workers[0].is_ready()];
                if ready[0] {
                    drop(guarded.ask_everything());
                }
                thread::sleep(Duration::from_millis(500));
                let denied = guarded.denied();
                if !denied.is_empty() {
                    break denied;
                }
                assert!(began.elapsed() < PATIENCE, "{process} does not need {sid}");
            };
            told.push(format!("{process} without {sid}: {}", names(&denied)));
            guarded.allow(process, &whole);
        }
    }
    told.extend(infra_needs_all(&guarded));
    told.extend(operator::needs_all(&mut guarded));
    println!("{}", told.join("\n"));
    everything_works(&mut guarded);
}

/// Under the whole policies nothing is denied, and everything arrives.
fn everything_works(guarded: &mut Guarded) {
    drop(guarded.denied());
    guarded.restart("ingress");
    guarded.restart("workers");
    within(PATIENCE, "ingress is ready", || guarded.site.ingress[0].is_ready().then_some(()));
    within(PATIENCE, "the workers are ready", || guarded.site.workers[0].is_ready().then_some(()));
    if guarded.sent > 0 {
        // The emulator still answers long polls of a worker that is gone, and what it hands to them comes back in a minute.
        thread::sleep(LONG_POLL);
    }
    let id = guarded
        .ask_everything()
        .unwrap_or_else(|said| panic!("{said}; denied: {}", names(&guarded.denied())));
    within(PATIENCE, "its event is heard of", || guarded.heard_of(&id).then_some(()));
    for queue in [
        "naru-main-packs-demo-bulk-quarantine".to_owned(),
        format!("naru-main-copies-{SUBSCRIPTION}-quarantine"),
    ] {
        let url = guarded.queue(&queue);
        within(PATIENCE, "what is unreadable is set aside", || {
            let asked = ["sqs", "get-queue-attributes", "--queue-url", &url, "--attribute-names", "All"];
            let count = guarded.aws(&asked)["Attributes"]["ApproximateNumberOfMessages"].clone();
            (count != "0").then_some(())
        });
    }
    let denied = guarded.denied();
    assert!(denied.is_empty(), "denied under the printed policies: {}", names(&denied));
}

/// Policies without one statement each, and which.
fn without_each(whole: &Value) -> Vec<(Value, String)> {
    let statements = whole["Statement"].as_array().unwrap();
    (0..statements.len())
        .map(|index| {
            let mut without = whole.clone();
            without["Statement"].as_array_mut().unwrap().remove(index);
            (without, statements[index]["Sid"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// `naru infra`, the same: what is there already is looked at, and something of each kind is to be mended.
fn infra_needs_all(guarded: &Guarded) -> Vec<String> {
    let whole = guarded.policy("infra");
    let calls = guarded.site.carrier.cloud().unwrap().calls().unwrap();
    let run = || {
        for queue in ["naru-main-packs-demo-bulk".to_owned(), format!("naru-main-copies-{SUBSCRIPTION}")] {
            let url = guarded.queue(&queue);
            let attributes = json!({ "MessageRetentionPeriod": "345600" }).to_string();
            guarded.aws(&["sqs", "set-queue-attributes", "--queue-url", &url, "--attributes", &attributes]);
        }
        let mut command = std::process::Command::new(guarded.site.program());
        command.args(["infra", "apply", "--config"]).arg(guarded.site.config());
        command.envs(guarded.keys["infra"].iter().map(|(name, value)| (*name, value)));
        // The operator's file leads past the proxy.
        for port in ["QUEUE", "TOPIC", "BLOBS"] {
            command.env(format!("NARU_{port}__ENDPOINT"), calls.endpoint());
        }
        command.output().unwrap()
    };
    drop(guarded.denied());
    let output = run();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(guarded.denied().is_empty());
    let mut told = Vec::new();
    for (without, sid) in without_each(&whole) {
        guarded.allow("infra", &without);
        // Several calls are under way at once: those denied after the last run had ended are not this one's.
        drop(guarded.denied());
        let output = run();
        let denied = guarded.denied();
        assert!(!output.status.success() && !denied.is_empty(), "infra does not need {sid}");
        told.push(format!("infra without {sid}: {}", names(&denied)));
    }
    guarded.allow("infra", &whole);
    told
}

fn names(calls: &BTreeMap<Call, u64>) -> String {
    let named = calls.keys().map(|call| format!("{:?} {} {}", call.service, call.action, call.resource));
    named.collect::<Vec<_>>().join(", ")
}
