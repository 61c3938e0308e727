//! Packs that are too large for their queue, over SQS and S3: a client that is not ours sees the check on the queue and the pack in the bucket.

use std::time::Duration;

use data_encoding::BASE64;
use naru_tests::{
    customer::Customer,
    deployment::{BUCKET, Carries, Deployment, Shape},
    engines::Flavour,
    tools::tool,
};
use serde_json::{Value, json};

use super::output;
use crate::{
    sns::Boto,
    stage::{accept, beside_others, message, until, within},
};

const PATIENCE: Duration = Duration::from_secs(60);

const PACKS: &str = "naru-main-packs-demo-express";

/// What the queues are said to take. A pack of the batch below is longer, a check is not.
const MESSAGE_BYTES: usize = 65_536;

/// Prints each pack in the bucket: its key, the SHA-256 of what lies there, the digest that it says, and its length. Or removes one.
const LOOK: &str = "
import sys, hashlib, boto3
from botocore.config import Config
s3 = boto3.client('s3', config=Config(s3={'addressing_style': 'path'}))
bucket, act = sys.argv[1:3]
if act == 'remove':
    s3.delete_object(Bucket=bucket, Key=sys.argv[3])
    sys.exit()
for one in s3.list_objects_v2(Bucket=bucket, Prefix='naru-main/packs/').get('Contents', []):
    found = s3.get_object(Bucket=bucket, Key=one['Key'])
    content = found['Body'].read()
    print(one['Key'], hashlib.sha256(content).hexdigest(), found['Metadata']['naru-sha256'], len(content))
";

/// A pack in the bucket.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    key: String,
    digest: String,
    bytes: usize,
}

fn python(site: &Deployment, arguments: &[&str]) -> String {
    let emulator = &site.carrier.cloud().unwrap().emulator;
    let mut command = tool("pip/bin/python").unwrap();
    output(command.args(["-c", LOOK, BUCKET]).args(arguments).envs(emulator.environment()))
}

/// Every pack in the bucket, each of which is what its name says.
fn kept(site: &Deployment) -> Vec<Kept> {
    let told = python(site, &["list"]);
    let read = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (key, digest) = (words[0].to_owned(), words[1].to_owned());
        assert_eq!(digest, words[2], "the digest that it says");
        assert_eq!(key, format!("naru-main/packs/{}/{digest}", &digest[..2]), "the name that it has");
        Kept { key, digest, bytes: words[3].parse().unwrap() }
    };
    told.lines().map(read).collect()
}

/// A batch of one customer that becomes one pack, larger than the queue takes; the ids.
fn large_batch(customer: &mut Customer, word: &str) -> Vec<String> {
    let large = |number: usize| {
        let mut one = message("sms", &format!("{word}{number}"));
        let text: String = (0..8_000).map(|_| fastrand::alphanumeric()).collect();
        one["data"] = json!({ "text": text });
        one
    };
    let reply = customer.batch(&(0..20).map(large).collect::<Vec<_>>()).unwrap();
    assert!(reply.status < 300, "{}", reply.json());
    let told = reply.json();
    let ids = told["results"].as_array().or(told["messages"].as_array()).or(told.as_array());
    let ids = ids.unwrap_or_else(|| panic!("{told}"));
    ids.iter().map(|one| one["id"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned()).collect()
}

/// The checks that lie on a queue, as they were sealed in there.
fn checks(boto: &mut Boto, queue: &str) -> Vec<(String, Value)> {
    let read = |message: &Value| {
        let body = BASE64.decode(message["body"].as_str().unwrap().as_bytes()).unwrap();
        (String::from_utf8(body).unwrap(), message["attributes"].clone())
    };
    boto.receive(queue, 1).iter().map(read).collect()
}

#[test]
fn a_pack_too_large_for_its_queue_lies_in_the_bucket_and_is_delivered_and_one_that_is_gone_is_set_aside() {
    let _beside = beside_others();
    let carries = Carries::Aws { flavour: Flavour::Ministack, counted: false };
    let shape = Shape { ingress: 1, workers: 1, carries, ..Shape::default() };
    let mut site = Deployment::prepare(&shape).unwrap();
    let bound = [("NARU_QUEUE__MESSAGE_BYTES", MESSAGE_BYTES.to_string())];
    site.ingress[0].start(&bound).unwrap();
    let mut boto = Boto::start(&site.carrier.cloud().unwrap().emulator.endpoint());
    let mut customer = site.customer_at(0, 0);

    let ids = large_batch(&mut customer, "first");
    let packs = kept(&site);
    assert!(
        !packs.is_empty() && packs.iter().all(|pack| pack.bytes > MESSAGE_BYTES / 4 * 3 - 2_048),
        "{packs:?}"
    );
    let on_queue = checks(&mut boto, PACKS);
    assert_eq!(on_queue.len(), packs.len(), "{on_queue:?}");
    for (check, attributes) in &on_queue {
        let of = |pack: &Kept| format!("claim.1.{}.{}\n", pack.digest, pack.bytes);
        assert!(packs.iter().any(|pack| of(pack) == *check), "{check} {packs:?}");
        assert_eq!((&attributes["naru-customer"], &attributes["naru-route"]), (&json!("c0"), &json!("demo")));
    }
    site.workers[0].start(&[]).unwrap();
    for id in &ids {
        until(&mut customer, id, &["delivered"], PATIENCE);
    }
    assert_eq!(kept(&site), packs, "what was acknowledged may be delivered once more, so its blob stays");

    site.workers[0].drain().unwrap();
    let lost = large_batch(&mut customer, "second");
    let gone: Vec<Kept> = kept(&site).into_iter().filter(|pack| !packs.contains(pack)).collect();
    assert!(!gone.is_empty());
    for pack in &gone {
        python(&site, &["remove", &pack.key]);
    }
    let after = accept(&mut customer, &message("sms", "after"), None);
    site.workers[0].start(&[]).unwrap();
    until(&mut customer, &after, &["delivered"], PATIENCE);
    let aside = within(PATIENCE, "it is set aside", || {
        let found = boto.receive(&format!("{PACKS}-quarantine"), 1);
        (found.len() >= gone.len()).then_some(found)
    });
    for message in &aside {
        assert_eq!(
            message["attributes"]["naru-reason"], "its claim check names a blob that is gone",
            "{message}"
        );
    }
    let log = site.workers[0].log();
    assert!(log.contains("a pack is set aside") && log.contains("names a blob that is gone"), "{log}");
    for id in &lost {
        // It was accepted, and stays so until somebody puts back what is gone, or its time ends.
        let view = customer.get(&format!("/messages/{id}")).unwrap().json();
        assert_eq!(view["status"], "queued", "{view}");
    }
}
