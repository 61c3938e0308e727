//! What is printed about rights needs no credentials, and a right that is missing is named.

use std::process::Command;

use naru_tests::engines::{Flavour, REGION};
use serde_json::Value;

use super::{Cloud, Said};

use crate::stage::beside_others;

/// Of nobody's.
const ACCOUNT: &str = "210987654321";

impl Cloud {
    /// A verb as the user with this key, or as nobody.
    fn naru_as(&self, key: Option<(&str, &str)>, arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--config").arg(self.home.path().join("naru.toml"));
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        // No file of this machine's, and no service that hands out credentials.
        command.env("HOME", self.home.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        if let Some((id, secret)) = key {
            command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code().unwrap(), out: text(&output.stdout), errors: text(&output.stderr) }
    }

    /// A user who may do what `naru infra` needs, as far as `may` lets through.
    fn user(&self, name: &str, may: impl Fn(&str) -> bool) -> (String, String) {
        self.aws(&["iam", "create-user", "--user-name", name]);
        let made = self.aws(&["iam", "create-access-key", "--user-name", name]);
        let mut policy: Value = serde_json::from_str(&self.well(&["infra", "iam", "infra"])).unwrap();
        for statement in policy["Statement"].as_array_mut().unwrap() {
            statement["Action"].as_array_mut().unwrap().retain(|action| may(action.as_str().unwrap()));
        }
        let policy = policy.to_string();
        let put =
            ["iam", "put-user-policy", "--user-name", name, "--policy-name", "naru", "--policy-document"];
        self.aws(&[&put[..], &[&policy]].concat());
        let key = |field: &str| made["AccessKey"][field].as_str().unwrap().to_owned();
        (key("AccessKeyId"), key("SecretAccessKey"))
    }
}

#[test]
fn policies_for_an_account_are_printed_without_credentials_and_without_asking_anybody() {
    let _beside = beside_others();
    let cloud = Cloud::start(Flavour::Ministack);
    drop(cloud.proxy.take_calls());
    let said = cloud.naru_as(None, &["infra", "iam", "workers", "--account", ACCOUNT]);
    assert_eq!(said.code, 0, "{}", said.errors);
    assert!(cloud.proxy.take_calls().is_empty(), "nobody is asked");
    let policy: Value = serde_json::from_str(&said.out).unwrap();
    let resources: Vec<&str> = policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|statement| statement["Resource"].as_array().unwrap())
        .map(|resource| resource.as_str().unwrap())
        .collect();
    let place = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:naru-main-packs-*-express");
    assert!(resources.contains(&place.as_str()), "{resources:?}");
    let of_queues = |name: &&&str| name.contains(":sqs:") || name.contains(":sns:");
    assert!(resources.iter().filter(of_queues).all(|name| name.contains(ACCOUNT)), "{resources:?}");
    // Without the number it is the account of the credentials.
    let own: Value = serde_json::from_str(&cloud.well(&["infra", "iam", "workers"])).unwrap();
    assert!(own.to_string().contains(":000000000000:") && !own.to_string().contains(ACCOUNT), "{own}");
    for bad in ["12345", "main", "21098765432x"] {
        let said = cloud.naru_as(None, &["infra", "iam", "workers", "--account", bad]);
        assert!(said.code != 0 && said.errors.contains("digits"), "{}", said.errors);
    }
}

#[test]
fn a_bucket_that_may_not_be_looked_at_is_told_with_the_permission_that_is_missing() {
    let _beside = beside_others();
    let cloud = Cloud::start(Flavour::MinistackWithPolicies);
    cloud.well(&["infra", "apply"]);
    let (id, secret) = cloud.user("whole", |_| true);
    let said = cloud.naru_as(Some((&id, &secret)), &["infra", "plan"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.errors);
    let (id, secret) = cloud.user("without", |action| action != "s3:ListBucket");
    for verb in [["infra", "plan"], ["infra", "apply"]] {
        let said = cloud.naru_as(Some((&id, &secret)), &verb);
        assert!(said.code != 0, "{}", said.out);
        let told = said.errors;
        assert!(told.contains("bucket naru-blobs") && told.contains("permission s3:ListBucket"), "{told}");
        for raw in ["unhandled", "Unhandled", "ServiceError", "SdkBody", "headers"] {
            assert!(!told.contains(raw), "{told}");
        }
    }
    let told = cloud.naru_as(Some((&id, &secret)), &["check", "--json"]);
    let told = told.out + &told.errors;
    assert!(told.contains("permission s3:ListBucket") && !told.contains("nhandled"), "{told}");
}
