//! Which process makes which calls. What a call is named by IAM differs from the call's own name where AWS says so: a batch
//! needs the permission of one, `HeadObject` that of reading.

use super::{Policy, Statement};
use crate::aws::{AwsAccount, AwsNames};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Process {
    /// The HTTP front.
    Ingress,
    /// The workers.
    Workers,
    /// `naru infra plan` and `apply`, and `naru check`.
    Infra,
    /// A person at `naru status` and `naru quarantine`.
    Operator,
}

/// Queues of a port in an account.
#[derive(Debug, Clone)]
pub struct Queues {
    /// Whose.
    pub account: AwsAccount,
    /// What they are called.
    pub names: AwsNames,
    /// Whether processes make what is missing.
    pub create: bool,
}

/// Objects in a bucket.
#[derive(Debug, Clone)]
pub struct Objects {
    /// Whose.
    pub account: AwsAccount,
    /// The bucket.
    pub bucket: String,
    /// What their keys begin with.
    pub keys: String,
    /// Whether processes make the bucket.
    pub create: bool,
}

/// Which ports are on AWS.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    /// The queue.
    pub packs: Option<Queues>,
    /// The topic.
    pub events: Option<Queues>,
    /// The blobs.
    pub blobs: Option<Objects>,
}

/// What this process must be allowed.
#[must_use]
pub fn policy(process: Process, uses: &Uses) -> Policy {
    let mut all = Vec::new();
    if let Some(packs) = &uses.packs {
        all.extend(of_packs(process, packs));
    }
    if let Some(events) = &uses.events {
        all.extend(of_events(process, events));
    }
    if let Some(blobs) = &uses.blobs {
        all.extend(of_blobs(process, blobs));
    }
    let lists = lists(process, uses);
    if !lists.is_empty() {
        all.push(Statement::allow("NaruList", lists, vec!["*".to_owned()]));
    }
    Policy::of(all)
}

/// What AWS allows of all or of nothing.
fn lists(process: Process, uses: &Uses) -> Vec<&'static str> {
    let mut actions = Vec::new();
    if process == Process::Infra {
        if uses.packs.is_some() || uses.events.is_some() {
            actions.push("sqs:ListQueues");
        }
        if uses.events.is_some() {
            actions.extend([
                "sns:ListTopics",
                "sns:GetSubscriptionAttributes",
                "sns:SetSubscriptionAttributes",
            ]);
        }
    }
    if process == Process::Workers && uses.events.as_ref().is_some_and(|events| events.create) {
        actions.push("sns:Unsubscribe");
    }
    actions
}

/// The queues of a kind, with those that belong to them where `of` ends so.
fn queues(at: &Queues, kind: &str, ends: &[&str]) -> Vec<String> {
    let prefix = at.names.prefix();
    ends.iter().map(|end| at.account.queue(&format!("{prefix}-{kind}-*{end}"))).collect()
}

const LANES: [&str; 2] = ["-express", "-bulk"];
const DEAD: &str = AwsNames::DEAD;
const QUARANTINE: &str = AwsNames::QUARANTINE;

const FIND: &str = "sqs:GetQueueUrl";
const COUNT: &str = "sqs:GetQueueAttributes";
const HOLD: [&str; 3] = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"];
const RECEIVE: [&str; 5] = [FIND, COUNT, HOLD[0], HOLD[1], HOLD[2]];
const LOOK_AFTER: [&str; 3] = [COUNT, "sqs:CreateQueue", "sqs:SetQueueAttributes"];

fn of_packs(process: Process, at: &Queues) -> Vec<Statement> {
    let of = |ends: &[&str]| queues(at, "packs", ends);
    let lanes_and = |end| [LANES[0], LANES[1], end];
    let mut all = match process {
        Process::Ingress => vec![
            Statement::allow("NaruPublishPacks", vec!["sqs:SendMessage"], of(&LANES)),
            Statement::allow("NaruCountPacks", vec![FIND, COUNT], of(&[""])),
        ],
        Process::Workers => vec![
            Statement::allow("NaruReceivePacks", RECEIVE.to_vec(), of(&lanes_and(DEAD))),
            Statement::allow("NaruSetPacksAside", vec![FIND, COUNT, "sqs:SendMessage"], of(&[QUARANTINE])),
        ],
        Process::Infra => {
            vec![Statement::allow("NaruLookAfterPacks", LOOK_AFTER.to_vec(), of(&[""]))]
        }
        Process::Operator => vec![
            Statement::allow("NaruCountPacks", vec![FIND, COUNT], of(&[""])),
            Statement::allow("NaruLookAtPacksSetAside", HOLD.to_vec(), of(&[QUARANTINE])),
            Statement::allow("NaruPutPacksBack", vec!["sqs:SendMessage"], of(&LANES)),
        ],
    };
    if at.create && matches!(process, Process::Ingress | Process::Workers) {
        all.push(Statement::allow("NaruMakePacks", vec![COUNT, "sqs:CreateQueue"], of(&[""])));
    }
    all
}

fn of_events(process: Process, at: &Queues) -> Vec<Statement> {
    let of = |ends: &[&str]| queues(at, "copies", ends);
    let topic = vec![at.account.topic(&at.names.events())];
    match process {
        Process::Ingress | Process::Operator => Vec::new(),
        Process::Workers => {
            let mut all = vec![
                Statement::allow(
                    "NaruPublishEvents",
                    vec!["sns:Publish", "sns:ListSubscriptionsByTopic"],
                    topic.clone(),
                ),
                // Subscriptions have no end in common, so no pattern tells a queue of theirs from the two beside it.
                Statement::allow("NaruReceiveCopies", RECEIVE.to_vec(), of(&[""])),
                Statement::allow("NaruSetCopiesAside", vec!["sqs:SendMessage"], of(&[QUARANTINE])),
            ];
            if at.create {
                all.push(Statement::allow("NaruMakeTopic", vec!["sns:CreateTopic", "sns:Subscribe"], topic));
                all.push(Statement::allow(
                    "NaruMakeCopies",
                    vec!["sqs:CreateQueue", "sqs:DeleteQueue"],
                    of(&[""]),
                ));
            }
            all
        }
        Process::Infra => vec![
            Statement::allow(
                "NaruLookAfterTopic",
                vec!["sns:CreateTopic", "sns:ListSubscriptionsByTopic", "sns:Subscribe"],
                topic,
            ),
            Statement::allow("NaruLookAfterCopies", LOOK_AFTER.to_vec(), of(&[""])),
        ],
    }
}

fn of_blobs(process: Process, at: &Objects) -> Vec<Statement> {
    let bucket = vec![at.account.bucket(&at.bucket)];
    let objects = vec![at.account.bucket(&format!("{}/{}*", at.bucket, at.keys))];
    if process == Process::Infra {
        let actions = vec![
            "s3:ListBucket",
            "s3:CreateBucket",
            "s3:GetLifecycleConfiguration",
            "s3:PutLifecycleConfiguration",
            "s3:GetBucketPublicAccessBlock",
            "s3:PutBucketPublicAccessBlock",
            "s3:GetEncryptionConfiguration",
            "s3:PutEncryptionConfiguration",
        ];
        return vec![Statement::allow("NaruLookAfterBucket", actions, bucket)];
    }
    // Without the permission to list, what is not there cannot be told from what is not allowed.
    let mut of_bucket = vec!["s3:ListBucket"];
    if at.create && process != Process::Operator {
        of_bucket.push("s3:CreateBucket");
    }
    // Workers read what ingress wrote, and so does a person: claim checks.
    let on_objects = match process {
        Process::Ingress => vec!["s3:PutObject", "s3:GetObject"],
        Process::Workers | Process::Infra | Process::Operator => vec!["s3:GetObject"],
    };
    vec![
        Statement::allow("NaruBlobs", on_objects, objects),
        Statement::allow("NaruBucket", of_bucket, bucket),
    ]
}
