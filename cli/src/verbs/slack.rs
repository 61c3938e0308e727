//! `naru slack`: operators' posts.

use clap::Subcommand;
use naru_workers::{Slack, test_slack, told_by_slack};
use serde::Serialize;

use crate::{config::Config, exit::Failure, output::Output};

/// What can be done about Slack.
#[derive(Debug, Subcommand)]
pub enum SlackVerb {
    /// Post a message that says it is a test, now, through the same guard, and tell what was answered
    Test,
}

/// What came of it.
#[derive(Serialize)]
struct Told {
    posted: bool,
    status: Option<u16>,
    answer: String,
    milliseconds: u128,
}

/// Does it. The URL is not shown: whoever knows it may post.
///
/// # Errors
/// If there is no section `[slack]`, it cannot be used, or the message was not taken.
pub async fn run(verb: &SlackVerb, config: &Config, out: Output) -> anyhow::Result<()> {
    let SlackVerb::Test = verb;
    let Some(Slack { config, visibility }) = config.slack() else {
        let why = "there is no section [slack]: give slack.url, the URL of an incoming webhook";
        return Err(Failure::Refused(why.to_owned()).into());
    };
    config.check(visibility).map_err(|error| Failure::Refused(error.to_string()))?;
    let answered = test_slack(&config).await?;
    let told = Told {
        posted: answered.is_taken(),
        status: answered.status,
        answer: told_by_slack(&answered),
        milliseconds: answered.took.as_millis(),
    };
    let lines = [("answer", told.answer.clone()), ("after", format!("{} ms", told.milliseconds))];
    out.one(&told, &lines)?;
    if told.posted {
        return Ok(());
    }
    Err(Failure::Refused(format!("Slack did not take it: {}", told.answer)).into())
}
