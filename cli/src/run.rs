//! From what was typed to the part that does it.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, error::ErrorKind};
use naru_shared::telemetry;

use crate::{
    args::{Cli, Command, Global},
    config::{self, Config, ConfigError, KeysText},
    decorations::Decorations,
    desk::Desk,
    exit::{self, Exit},
    output::Output,
    service, up, verbs,
};

/// Does what the command line says and tells how it ended. `decorate` is for tests: it wraps what `up` opens.
#[must_use]
pub fn main(decorate: Decorations) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // What is written holds messages and secrets: for the owner only.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    service::install_tls();
    let json = cli.global.json;
    match dispatch(cli, decorate) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ended(&format!("{error:#}"), exit::of(&error), json),
    }
}

/// Tells what could not be read of the command line, or what was asked of the program itself.
fn usage(error: &clap::Error) -> ExitCode {
    let typed = env::args_os().skip(1).take_while(|word| word != "--");
    if !error.use_stderr() || !typed.into_iter().any(|word| word == "--json") {
        // Nobody listens: the exit code must say it all.
        drop(error.print());
        return if error.use_stderr() { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS };
    }
    let text = error.render().to_string();
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing: see naru --help",
        _ => text
            .trim()
            .trim_start_matches("error: ")
            .split("\n\nFor more information")
            .next()
            .unwrap_or_default(),
    };
    ended(message, Exit::Usage, true)
}

/// Tells how a command ended that did not end well.
fn ended(message: &str, code: Exit, json: bool) -> ExitCode {
    // Standard error is closed: the exit code must say it all.
    drop(tell(message, code, json));
    ExitCode::from(code as u8)
}

fn tell(message: &str, code: Exit, json: bool) -> io::Result<()> {
    let mut err = io::stderr().lock();
    if json {
        let body = serde_json::json!({ "error": { "code": code.as_str(), "message": message } });
        writeln!(err, "{body}")
    } else {
        writeln!(err, "naru: {message}")
    }
}

/// The configuration in force: defaults, file, environment, options. `others` are variables of whoever decorates.
///
/// # Errors
/// If anything in it is not known or not right.
fn configure(global: &Global, others: &[&str]) -> anyhow::Result<Config> {
    // What is not UTF-8 shows marks instead: it is not left out unsaid.
    let text = |word: OsString| word.to_string_lossy().into_owned();
    let variables = env::vars_os().map(|(name, value)| (text(name), text(value)));
    let mut config = config::load(global.config.as_deref(), variables, others)?;
    if let Some(data) = &global.data {
        config.data.clone_from(data);
    }
    if let Some(filter) = ["NARU_LOG", "RUST_LOG"].iter().find_map(|name| env::var(name).ok()) {
        config.log.filter = filter;
    }
    telemetry::check_filter(&config.log.filter)
        .map_err(|error| ConfigError::Wrong { place: "log.filter".to_owned(), what: error.to_string() })?;
    config.keys.text = env::var("NARU_KEYS").ok().map(KeysText::new);
    Ok(config)
}

fn dispatch(cli: Cli, decorate: Decorations) -> anyhow::Result<()> {
    let mut config = configure(&cli.global, decorate.variables)?;
    config.release = decorate.release;
    let file = cli.global.config;
    let out = Output { json: cli.global.json };
    match cli.command {
        Command::Up(args) => service::run(&up::whole(config, file, args), decorate),
        Command::Ingress(args) => service::run(&up::ingress(config, file, args), decorate),
        Command::Workers(args) => service::run(&up::workers(config, file, args), decorate),
        Command::Health { ready } => wait(verbs::health::run(config.operator.listen, ready, out)),
        Command::Keys(verb) => verbs::keys::run(&verb, out),
        Command::Config(verb) => verbs::config::run(&verb, &config, out),
        Command::Slack(verb) => wait(verbs::slack::run(&verb, &config, out)),
        Command::Migrate { reader, wait: seconds } => {
            wait(verbs::migrate::run(&config, &reader, Duration::from_secs(seconds), out))
        }
        Command::Check => wait(verbs::check::run(config, out)),
        Command::Backup { dir } => verbs::backup::backup(&Desk::open(config, out)?, &dir),
        Command::Restore { dir, replace } => wait(verbs::backup::restore(config, out, dir, replace)),
        command => {
            let desk = Desk::open(config, out)?;
            wait(at_desk(command, desk))
        }
    }
}

async fn at_desk(command: Command, desk: Desk) -> anyhow::Result<()> {
    let done = act(command, &desk).await;
    // Whatever came of the command: what it did is anchored.
    desk.anchor().await?;
    done
}

async fn act(command: Command, desk: &Desk) -> anyhow::Result<()> {
    match command {
        Command::Customer(verb) => verbs::customer::run(verb, desk).await,
        Command::Credential(verb) => verbs::credential::run(verb, desk).await,
        Command::Route(verb) => verbs::route::run(verb, desk).await,
        Command::Rate(verb) => verbs::rate::run(verb, desk).await,
        Command::Quota(verb) => verbs::quota::run(verb, desk).await,
        Command::Sender(verb) => verbs::sender::run(verb, desk).await,
        Command::OptOut(verb) => verbs::opt_out::run(verb, desk).await,
        Command::Quiet(verb) => verbs::quiet::run(verb, desk).await,
        Command::Message(verb) => verbs::message::run(verb, desk).await,
        Command::Uncertain(verb) => verbs::uncertain::run(verb, desk).await,
        Command::Stop(args) => verbs::stop::run(args, desk).await,
        Command::Dead(verb) => verbs::dead::run(verb, desk).await,
        Command::Erase(args) => verbs::erase::run(args, desk).await,
        Command::Quarantine(verb) => verbs::quarantine::run(verb, desk).await,
        Command::Subscription(verb) => verbs::subscription::run(verb, desk).await,
        Command::Infra(verb) => verbs::infra::run(verb, desk).await,
        Command::Webhook(verb) => verbs::webhook::run(verb, desk).await,
        Command::Usage(args) => verbs::usage::run(&args, desk).await,
        Command::Audit(verb) => verbs::audit::run(verb, desk).await,
        Command::Alarm(verb) => verbs::alarm::run(verb, desk).await,
        Command::Status(args) => verbs::status::run(&args, desk).await,
        _ => Ok(()),
    }
}

/// Runs a command to its end on a small runtime.
fn wait(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command)
}
