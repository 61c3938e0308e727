//! What can be typed.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use naru_shared::telemetry::LogFormat;

use crate::verbs::{
    alarm::AlarmVerb, audit::AuditVerb, config::ConfigVerb, credential::CredentialVerb,
    customer::CustomerVerb, dead::DeadVerb, erase::EraseArgs, infra::InfraVerb, keys::KeysVerb,
    message::MessageVerb, opt_out::OptOutVerb, quarantine::QuarantineVerb, quiet::QuietVerb,
    quota::QuotaVerb, rate::RateVerb, route::RouteVerb, sender::SenderVerb, slack::SlackVerb,
    status::StatusArgs, stop::StopArgs, subscription::SubscriptionVerb, uncertain::UncertainVerb,
    usage::UsageArgs, webhook::WebhookVerb,
};

/// A message-relay gateway: what it answers 202 is never lost, never charged twice, and hardly ever sent twice.
#[derive(Debug, Parser)]
#[command(name = "naru", version, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed or refused, 2 called wrongly, 3 not found, 4 conflict, 5 try again"
)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Configuration file (TOML)
    #[arg(long, global = true, env = "NARU_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory [default: ./naru-data]
    #[arg(long, global = true, env = "NARU_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process
    Up(UpArgs),
    /// Run the HTTP front as a process of its own
    Ingress(IngressArgs),
    /// Run the workers as a process of their own
    Workers(ServiceArgs),
    /// Ask the process with this configuration how it is, as a container's health check does
    Health {
        /// Whether it is ready, not only alive
        #[arg(long)]
        ready: bool,
    },
    /// The deployment's secrets
    #[command(subcommand)]
    Keys(KeysVerb),
    /// What waits, where, and why
    Status(StatusArgs),
    /// What customers sent in a month, by channel and hour
    Usage(UsageArgs),
    /// Rules of alarms
    #[command(subcommand)]
    Alarm(AlarmVerb),
    /// Whether it would be safe to start
    Check,
    /// Customers
    #[command(subcommand)]
    Customer(CustomerVerb),
    /// Ways to authenticate
    #[command(subcommand)]
    Credential(CredentialVerb),
    /// Where messages go
    #[command(subcommand)]
    Route(RouteVerb),
    /// How fast a customer may call
    #[command(subcommand)]
    Rate(RateVerb),
    /// How many units a customer may send
    #[command(subcommand)]
    Quota(QuotaVerb),
    /// In whose name a customer may send
    #[command(subcommand)]
    Sender(SenderVerb),
    /// Recipients who want no messages
    #[command(subcommand)]
    OptOut(OptOutVerb),
    /// Hours in which a customer's messages wait
    #[command(subcommand)]
    Quiet(QuietVerb),
    /// What became of a message
    #[command(subcommand)]
    Message(MessageVerb),
    /// Messages of which it cannot be known whether they were sent
    #[command(subcommand)]
    Uncertain(UncertainVerb),
    /// Stop messages that must not go out, and decide about them
    Stop(StopArgs),
    /// Messages that failed or expired, and how they are sent again
    #[command(subcommand)]
    Dead(DeadVerb),
    /// Remove what is known of a recipient
    Erase(EraseArgs),
    /// Packs that could not be opened
    #[command(subcommand)]
    Quarantine(QuarantineVerb),
    /// What was done by whom, and what was denied
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Who listens to events
    #[command(subcommand)]
    Subscription(SubscriptionVerb),
    /// What is needed on AWS: queues, topic, policies
    #[command(subcommand)]
    Infra(InfraVerb),
    /// Customers' own URLs, which get the events of their messages
    #[command(subcommand)]
    Webhook(WebhookVerb),
    /// Operators' posts to Slack
    #[command(subcommand)]
    Slack(SlackVerb),
    /// The configuration in force
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Make the tables in PostgreSQL, or bring them up to date
    Migrate {
        /// The role that ingress reads as; made without a password if it is not there
        #[arg(long, default_value = "naru_ingress", value_name = "ROLE")]
        reader: String,
        /// How long to wait for whoever else changes or uses the tables, in seconds
        #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
        wait: u64,
    },
    /// Copy everything, as of one moment, while it runs
    Backup {
        /// A directory that does not exist yet
        dir: PathBuf,
    },
    /// Put a copy in place; what may have been sent since then waits for a person
    Restore {
        /// The copy
        dir: PathBuf,
        /// Replace what is in the data directory
        #[arg(long)]
        replace: bool,
    },
}

/// Options of every service.
#[derive(Debug, Clone, Default, Args)]
pub struct ServiceArgs {
    /// Where the operator asks for health, readiness and metrics [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub operator_listen: Option<SocketAddr>,
    /// Log lines: auto, text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Options of a service that customers call.
#[derive(Debug, Clone, Default, Args)]
pub struct IngressArgs {
    /// Where customers call [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Those of every service.
    #[command(flatten)]
    pub service: ServiceArgs,
}

/// Options of `up`.
#[derive(Debug, Clone, Default, Args)]
pub struct UpArgs {
    /// Those of the HTTP front.
    #[command(flatten)]
    pub ingress: IngressArgs,
    /// 0: only accept; what is accepted waits on the queue
    #[arg(long, value_name = "0|1", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub workers: u8,
    /// Make no demo customer on the first start
    #[arg(long)]
    pub no_demo: bool,
}
