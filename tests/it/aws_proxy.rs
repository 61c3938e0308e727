//! The proxy before an emulator counts what a client that is not ours asks, and does the harm that it is told to do.

use naru_tests::{
    aws_proxy::{AwsProxy, Call, Harm, Service},
    engines::{AwsEmulator, REGION},
    tools::tool,
};
use serde_json::{Value, json};

use crate::stage::beside_others;

/// One call of the AWS command line through the proxy.
fn aws(emulator: &AwsEmulator, proxy: &AwsProxy, arguments: &[&str]) -> Result<Value, String> {
    let mut command = tool("pip/bin/aws").unwrap();
    command.envs(emulator.environment()).env("AWS_MAX_ATTEMPTS", "1");
    // For queues the variable alone is not enough.
    command.args(arguments).args(["--output", "json", "--endpoint-url", &proxy.endpoint()]);
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn calls_are_counted_and_batches_fail_in_part() {
    let _beside = beside_others();
    let emulator = AwsEmulator::shared().unwrap();
    let proxy = AwsProxy::start(emulator.port()).unwrap();
    let run = |arguments: &[&str]| aws(emulator, &proxy, arguments);
    let name = format!("proxied-{}", fastrand::u32(..));
    let made = run(&["sqs", "create-queue", "--queue-name", &name]).unwrap();
    let url = made["QueueUrl"].as_str().unwrap();
    let entries = json!([{ "Id": "a", "MessageBody": "1" }, { "Id": "b", "MessageBody": "2" }]).to_string();
    let send = ["sqs", "send-message-batch", "--queue-url", url, "--entries", &entries];
    let depth = || {
        let asked = ["sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "All"];
        run(&asked).unwrap()["Attributes"]["ApproximateNumberOfMessages"].as_str().unwrap().to_owned()
    };
    for (harm, sent) in [
        (Harm { partial: 1_000, ..Harm::default() }, "1"),
        (Harm { misreported: 1_000, ..Harm::default() }, "3"),
    ] {
        proxy.harm(harm);
        let answer = run(&send).unwrap();
        assert_eq!(answer["Failed"].as_array().unwrap().len(), 1, "{answer}");
        assert_eq!(answer["Successful"].as_array().unwrap().len(), 1, "{answer}");
        proxy.harm(Harm::default());
        assert_eq!(depth(), sent);
    }
    proxy.harm(Harm { denied: 1_000, ..Harm::default() });
    run(&send).unwrap_err();
    proxy.harm(Harm { refused: 1_000, ..Harm::default() });
    run(&send).unwrap_err();
    proxy.harm(Harm::default());
    assert_eq!(depth(), "5", "what was denied was passed on, what was refused was not");
    let call =
        |action: &str| Call { service: Service::Sqs, action: action.to_owned(), resource: name.clone() };
    let calls = proxy.take_calls();
    assert_eq!((calls[&call("SendMessageBatch")], calls[&call("GetQueueAttributes")]), (4, 3));
    let harmed = proxy.harmed();
    assert!(
        ["partial", "misreported", "denied", "refused"].iter().all(|word| harmed[word] == 1),
        "{harmed:?}"
    );
}

#[test]
fn topics_and_objects_go_through_as_they_are() {
    let _beside = beside_others();
    let emulator = AwsEmulator::shared().unwrap();
    let proxy = AwsProxy::start(emulator.port()).unwrap();
    let run = |arguments: &[&str]| aws(emulator, &proxy, arguments);
    let name = format!("proxied-{}", fastrand::u32(..));
    let topic = run(&["sns", "create-topic", "--name", &name]).unwrap()["TopicArn"].clone();
    let entries = json!([{ "Id": "a", "Message": "1" }, { "Id": "b", "Message": "2" }]).to_string();
    let publish = [
        "sns",
        "publish-batch",
        "--topic-arn",
        topic.as_str().unwrap(),
        "--publish-batch-request-entries",
        &entries,
    ];
    proxy.harm(Harm { partial: 1_000, ..Harm::default() });
    let answer = run(&publish).unwrap();
    assert_eq!(answer["Failed"][0]["Code"], "InternalError", "{answer}");
    assert_eq!(answer["Successful"].as_array().unwrap().len(), 1, "{answer}");
    let place = format!("LocationConstraint={REGION}");
    run(&["s3api", "create-bucket", "--bucket", &name, "--create-bucket-configuration", &place]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 3 << 20]).unwrap();
    let path = file.path().to_str().unwrap();
    run(&["s3api", "put-object", "--bucket", &name, "--key", "k/1", "--body", path]).unwrap();
    let head = run(&["s3api", "head-object", "--bucket", &name, "--key", "k/1"]).unwrap();
    assert_eq!(head["ContentLength"], 3 << 20);
    let back = tempfile::NamedTempFile::new().unwrap();
    run(&["s3api", "get-object", "--bucket", &name, "--key", "k/1", back.path().to_str().unwrap()]).unwrap();
    assert_eq!(std::fs::read(back.path()).unwrap(), vec![7; 3 << 20]);
    let called: Vec<String> = proxy.calls().into_keys().map(|call| call.action).collect();
    for action in ["CreateTopic", "PublishBatch", "PutBucket", "PutObject", "HeadObject", "GetObject"] {
        assert!(called.iter().any(|known| known == action), "{action}: {called:?}");
    }
}
