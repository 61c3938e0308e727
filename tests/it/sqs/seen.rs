//! What others see of the queues: programs that are not ours, SQS that moves away what came too often, and other workers when
//! one stops.

use std::{sync::Arc, time::Duration};

use naru_shared::{aws::sqs::Rhythm, doorbell::NoDoorbell, queue::Queue};
use naru_tests::{
    engines::{AwsEmulator, sqs_settings},
    tools::tool,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    VISIBILITY, distinct, drain, express, one, open, publish, publish_one, settings, shared, text, with_bell,
};

use crate::stage::beside_others;

/// The command line of AWS.
fn aws(emulator: &AwsEmulator, arguments: &[&str]) -> anyhow::Result<Value> {
    let mut command = tool("pip/bin/aws")?;
    command.envs(emulator.environment()).args(arguments);
    command.args(["--output", "json", "--endpoint-url", &emulator.endpoint()]);
    let output = command.output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn url(emulator: &AwsEmulator, queue: &str) -> anyhow::Result<String> {
    let said = aws(emulator, &["sqs", "get-queue-url", "--queue-name", queue])?;
    Ok(said["QueueUrl"].as_str().unwrap_or_default().to_owned())
}

fn first_of(emulator: &AwsEmulator, queue: &str) -> anyhow::Result<Value> {
    let url = url(emulator, queue)?;
    let asked = ["sqs", "receive-message", "--queue-url", &url, "--visibility-timeout", "0"];
    let all = ["--message-attribute-names", "All", "--attribute-names", "All", "--wait-time-seconds", "2"];
    Ok(aws(emulator, &[&asked[..], &all[..]].concat())?["Messages"][0].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_of_aws_sees_whose_a_pack_is_and_why_one_was_set_aside() -> anyhow::Result<()> {
    let _beside = beside_others();
    let emulator = shared().await?;
    let settings = settings(emulator)?;
    let (queue, at) = (open(&settings), express()?);
    let base = format!("naru-{}-packs-r-express", settings.namespace);
    publish_one(&*queue, &at, "1.key.mac\ntext").await?;
    tokio::task::block_in_place(|| {
        let message = first_of(emulator, &base)?;
        let attribute = |name: &str| message["MessageAttributes"][name]["StringValue"].clone();
        let told = ["naru-customer", "naru-route", "naru-lane", "naru-version"].map(attribute);
        assert_eq!(told, ["acme", "r", "express", "1"].map(Value::from), "{message}");
        assert_eq!(message["Attributes"]["MessageGroupId"], "acme");
        let about = url(emulator, &base)?;
        let asked = ["sqs", "get-queue-attributes", "--queue-url", &about, "--attribute-names", "All"];
        let attributes = aws(emulator, &asked)?["Attributes"].clone();
        assert_eq!(attributes["MessageRetentionPeriod"], "1209600");
        let redrive: Value = serde_json::from_str(attributes["RedrivePolicy"].as_str().unwrap())?;
        assert_eq!(redrive["maxReceiveCount"], 1_000);
        assert!(redrive["deadLetterTargetArn"].as_str().unwrap().ends_with(&format!("{base}-dead")));
        anyhow::Ok(())
    })?;
    let receipt = one(&*queue, &at).await?.receipt;
    queue.quarantine(&at, receipt, "not an envelope:\nforged").await?;
    tokio::task::block_in_place(|| {
        let kept = first_of(emulator, &format!("{base}-quarantine"))?;
        let attribute = |name: &str| kept["MessageAttributes"][name]["StringValue"].clone();
        assert_eq!(attribute("naru-reason"), "not an envelope: forged", "{kept}");
        assert_eq!(attribute("naru-customer"), "acme");
        assert_eq!(kept["Body"], data_encoding::BASE64.encode(b"1.key.mac\ntext"));
        anyhow::Ok(())
    })?;
    assert_eq!((queue.depth(&at).await?.packs, queue.depth(&at).await?.quarantined), (0, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_program_puts_there_is_given_out_to_be_set_aside() -> anyhow::Result<()> {
    let _beside = beside_others();
    let emulator = shared().await?;
    let settings = settings(emulator)?;
    let (queue, at) = (open(&settings), express()?);
    assert_eq!(queue.depth(&at).await?.packs, 0);
    tokio::task::block_in_place(|| {
        let url = url(emulator, &format!("naru-{}-packs-r-express", settings.namespace))?;
        aws(emulator, &["sqs", "send-message", "--queue-url", &url, "--message-body", "not base64!"])
    })?;
    assert_eq!(text(&one(&*queue, &at).await?), "not base64!");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sqs_moved_away_is_received_as_one_that_came_often() -> anyhow::Result<()> {
    let _beside = beside_others();
    let emulator = shared().await?;
    let settings = sqs_settings(&emulator.settings(), Duration::from_secs(1))?;
    let rhythm = Rhythm { poll: Duration::from_secs(1), rest: Duration::from_secs(2), ..Rhythm::default() };
    let (queue, at) = (with_bell(&settings, Arc::new(NoDoorbell), rhythm), express()?);
    publish_one(&*queue, &at, "often").await?;
    tokio::task::block_in_place(|| {
        let base = format!("naru-{}-packs-r-express", settings.namespace);
        let (url, dead) = (url(emulator, &base)?, url(emulator, &format!("{base}-dead"))?);
        let asked = ["sqs", "get-queue-attributes", "--queue-url", &dead, "--attribute-names", "QueueArn"];
        let arn = aws(emulator, &asked)?["Attributes"]["QueueArn"].as_str().unwrap().to_owned();
        let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 1 }).to_string();
        let policy = serde_json::json!({ "RedrivePolicy": policy }).to_string();
        aws(emulator, &["sqs", "set-queue-attributes", "--queue-url", &url, "--attributes", &policy])
    })?;
    let began = Instant::now();
    loop {
        let got = one(&*queue, &at).await?;
        assert_eq!(text(&got), "often");
        if got.deliveries >= 100 {
            queue.ack(&at, vec![got.receipt]).await.into_iter().collect::<Result<(), _>>()?;
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(15), "{got:?}");
    }
    assert_eq!(queue.depth(&at).await?.packs, 0);
    Ok(())
}

#[tokio::test]
async fn whoever_stops_receiving_gives_back_what_it_had_received_ahead() -> anyhow::Result<()> {
    let _beside = beside_others();
    let emulator = shared().await?;
    let settings = settings(emulator)?;
    let (leaving, staying, at) = (open(&settings), open(&settings), express()?);
    let texts = (0..30).map(|number| number.to_string());
    assert!(publish(&*staying, &at, texts).await?.iter().all(Result::is_ok));
    let mut mine = Vec::new();
    for _ in 0..3 {
        mine.push(one(&*leaving, &at).await?);
    }
    sleep(Duration::from_millis(300)).await;
    leaving.leave(&at).await;
    let began = Instant::now();
    let others = drain(&*staying, &at, Duration::from_secs(2)).await?;
    assert_eq!(distinct(&others).len(), 27, "all but those in hand");
    assert!(began.elapsed() < VISIBILITY / 4, "after {:?}", began.elapsed());
    for delivery in mine {
        leaving.release(&at, delivery.receipt, Duration::ZERO).await?;
    }
    assert_eq!(drain(&*staying, &at, Duration::from_secs(2)).await?.len(), 3);
    Ok(())
}
