//! Attachments in a bucket, seen by a client that is not ours.

use std::process::Command;

use naru_shared::blobs::{Sha256Sum, expiry_days};
use naru_tests::{
    engines::{AwsEmulator, Flavour, REGION},
    gateway::{Gateway, Setup},
    tools::tool,
};
use serde_json::json;

use super::{PATIENCE, carrying, catcher::Catcher, output, png, refused, report, setup, upload};
use crate::stage::{accept, beside_others, until};

/// Prints the SHA-256 of an object's content and what it says it is; then does as it is told.
const LOOK: &str = "
import sys, hashlib, boto3
from botocore.config import Config
s3 = boto3.client('s3', config=Config(s3={'addressing_style': 'path'}))
act, bucket, key = sys.argv[1:4]
if act == 'rule':
    days = int(key)
    rule = {'ID': 'naru', 'Status': 'Enabled', 'Filter': {'Prefix': 'naru-main/'}, 'Expiration': {'Days': days}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={'Rules': [rule]})
    sys.exit()
found = s3.get_object(Bucket=bucket, Key=key)
content = found['Body'].read()
print(hashlib.sha256(content).hexdigest(), found['Metadata']['naru-sha256'], found['ContentType'])
if act == 'damage':
    other = bytearray(content)
    other[-1] ^= 1
    s3.put_object(Bucket=bucket, Key=key, Body=bytes(other), ContentType=found['ContentType'], Metadata=found['Metadata'])
if act == 'remove':
    s3.delete_object(Bucket=bucket, Key=key)
";

const BUCKET: &str = "naru-attachments";

fn python(emulator: &AwsEmulator, arguments: &[&str]) -> String {
    let mut command: Command = tool("pip/bin/python").unwrap();
    output(command.args(["-c", LOOK]).args(arguments).envs(emulator.environment()))
}

fn over(emulator: &AwsEmulator, catcher: &Catcher) -> Setup {
    let config = format!(
        "[blobs]\nkind = \"s3\"\nbucket = \"{BUCKET}\"\ncreate = true\nregion = \"{REGION}\"\nendpoint = \"{}\"\n\
         connect_timeout_ms = 500\ncall_timeout_ms = 2000\n",
        emulator.endpoint()
    );
    Setup { config, ..setup(catcher) }
}

/// The key of an attachment of the first live customer.
fn key(gateway: &Gateway, id: &str) -> String {
    // A user is `ID:PW:API_KEY`; who it is of is told by the catalog.
    let customers = gateway.verb(&["customer", "list", "--json"]).unwrap();
    let customers: serde_json::Value = serde_json::from_str(&customers).unwrap();
    let first = customers.as_array().map_or(&customers["customers"][0], |all| &all[0]);
    let name = first["id"].as_str().or(first["name"].as_str()).or(first["customer"].as_str());
    format!("naru-main/attachments/live/{}/{id}", name.unwrap_or_else(|| panic!("{customers}")))
}

#[test]
fn boto3_reads_what_was_uploaded_and_what_it_damages_is_not_sent() {
    let _beside = beside_others();
    let (emulator, catcher) = (AwsEmulator::start(Flavour::Ministack).unwrap(), Catcher::start());
    let gateway = Gateway::spawn(&over(&emulator, &catcher)).unwrap();
    let mut customer = gateway.customer(0);
    let (sound, damaged, removed) = (png("sound"), png("damaged"), png("removed"));
    let id = upload(&gateway, 0, "image/png", &sound);
    let told = python(&emulator, &["look", BUCKET, &key(&gateway, &id)]);
    let digest = Sha256Sum::of(&sound).to_string();
    assert_eq!(told.split_whitespace().collect::<Vec<_>>(), [&digest, &digest, "image/png"]);
    let message = accept(&mut customer, &carrying(&[&id]), None);
    until(&mut customer, &message, &["delivered"], PATIENCE);
    assert!(catcher.of(&message).parts()[1].1 == sound);
    for (act, content) in [("damage", &damaged), ("remove", &removed)] {
        let id = upload(&gateway, 0, "image/png", content);
        python(&emulator, &[act, BUCKET, &key(&gateway, &id)]);
        let message = accept(&mut customer, &carrying(&[&id]), None);
        let report = report(&mut customer, &message);
        assert_eq!(
            (&report["status"], &report["code"]),
            (&json!("failed"), &json!("attachment-lost")),
            "{act}"
        );
    }
    assert_eq!(catcher.all().len(), 1, "only what is sound was sent");
    // A rule that would remove what messages may still name is found.
    let (days, _) = expiry_days();
    python(&emulator, &["rule", BUCKET, &days.to_string()]);
    let run = |days: u32| {
        python(&emulator, &["rule", BUCKET, &days.to_string()]);
        gateway.verb(&["check"])
    };
    run(days).unwrap();
    assert!(run(days - 1).unwrap_err().to_string().contains("unsafe"));
}

#[test]
fn while_the_bucket_is_away_uploads_are_refused_and_what_was_accepted_waits_for_it() {
    let _beside = beside_others();
    let (emulator, catcher) = (AwsEmulator::start(Flavour::Ministack).unwrap(), Catcher::start());
    let arguments = ["--workers", "0"].map(str::to_owned).to_vec();
    let mut gateway = Gateway::spawn(&Setup { arguments, ..over(&emulator, &catcher) }).unwrap();
    let content = png("waits");
    let id = upload(&gateway, 0, "image/png", &content);
    let message = accept(&mut gateway.customer(0), &carrying(&[&id]), None);
    gateway.drain().unwrap();
    emulator.freeze().unwrap();
    gateway.argue(&[]);
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    let (status, code, _) = refused(&mut customer, &carrying(&[&id]));
    assert_eq!((status, code.as_str()), (503, "attachments-unavailable"));
    let user = gateway.users.live[0].clone();
    let reply = super::post(&gateway, &user, "/v1.0", &["Content-Type: image/png"], &content);
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("attachments-unavailable")));
    assert!(reply.header("retry-after").is_some());
    until(&mut customer, &message, &["retrying"], PATIENCE);
    assert!(catcher.all().is_empty());
    emulator.thaw().unwrap();
    until(&mut customer, &message, &["delivered"], PATIENCE * 2);
    assert!(catcher.of(&message).parts()[1].1 == content);
}
