//! What can be typed.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::Parser;
use naru_tests::receiver::answer::First;

use super::door::Door;

/// Any free port of the loopback interface.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[derive(Parser)]
#[command(about = "The processes of a proof or benchmark that are not Naru")]
pub enum Command {
    /// Calls a server and prints how it answered.
    Load(Load),
    /// The bare actix-web handler.
    Bare {
        /// Where to listen.
        #[arg(long, default_value_t = LOOPBACK)]
        listen: SocketAddr,
        /// Threads.
        #[arg(long, default_value_t = 2)]
        workers: usize,
    },
    /// The lean receiver of an HTTP route.
    Receiver {
        /// Where to listen.
        #[arg(long, default_value_t = LOOPBACK)]
        listen: SocketAddr,
    },
    /// The receiver that writes down every request and misbehaves by rule.
    JournalingReceiver {
        /// Where to listen.
        #[arg(long, default_value_t = LOOPBACK)]
        listen: SocketAddr,
        /// Where to write.
        #[arg(long)]
        journal: PathBuf,
        /// Misbehaves as drawn from this seed; without it, never.
        #[arg(long)]
        seed: Option<u64>,
        /// What the first attempt of every message comes to.
        #[arg(long, conflicts_with = "seed")]
        first: Option<First>,
        /// Answers every message after so many milliseconds.
        #[arg(long, conflicts_with_all = ["seed", "first"])]
        slow_ms: Option<u64>,
    },
    /// Every process is replaced by another release under load, in full size unless told otherwise.
    Rollout {
        /// Every draw follows from it; without it, from the clock.
        #[arg(long)]
        seed: Option<u64>,
        /// Once, under a small load.
        #[arg(long)]
        small: bool,
    },
    /// Carriers take rows from tables and report them while workers are killed, in full size unless told otherwise.
    Carriers {
        /// Every draw of the agents follows from it; without it, from the clock.
        #[arg(long)]
        seed: Option<u64>,
        /// A small run.
        #[arg(long)]
        small: bool,
        /// So many messages.
        #[arg(long)]
        rows: Option<usize>,
    },
    /// One customer floods a slow backend, beside others who send little: on each queue engine, how long theirs wait.
    Turns {
        /// Which engine: sqlite, rabbitmq or sqs; without it, each.
        #[arg(long)]
        engine: Option<String>,
        /// A small run.
        #[arg(long)]
        small: bool,
    },
    /// The front door.
    #[command(flatten)]
    Door(Door),
    /// An operator stops messages in the middle of a stream, in full size unless told otherwise.
    Stop {
        /// A small run.
        #[arg(long)]
        small: bool,
        /// Over PostgreSQL, RabbitMQ and Redis.
        #[arg(long)]
        wide: bool,
        /// Over PostgreSQL, AWS's emulator and Redis.
        #[arg(long)]
        aws: bool,
    },
    /// The durability run, in full size unless told otherwise.
    Durability {
        /// Every draw follows from it; without it, from the clock.
        #[arg(long)]
        seed: Option<u64>,
        /// A tenth of the full size.
        #[arg(long)]
        small: bool,
        /// Several processes behind a balancer, over engines that they share.
        #[arg(long)]
        wide: bool,
        /// With SQS, SNS and S3 in place of RabbitMQ.
        #[arg(long, requires = "wide")]
        aws: bool,
    },
    /// A process at rest, and what it costs.
    Idle {
        /// Several processes behind a balancer instead, and what they ask of the engines that they share.
        #[arg(long)]
        wide: bool,
        /// With SQS, SNS and S3 in place of RabbitMQ, whose calls are counted.
        #[arg(long, requires = "wide")]
        aws: bool,
        /// How long it is watched.
        #[arg(long, default_value_t = 600.0)]
        seconds: f64,
        /// Also tell what was asked, and how often.
        #[arg(long)]
        details: bool,
    },
    /// What months on AWS cost, from counted calls.
    Cost {
        /// How long each rate is kept up.
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,
        /// Also tell what was asked, and how often.
        #[arg(long)]
        details: bool,
    },
    /// The benchmark.
    Bench {
        /// Also write the table to this file.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Seconds of each short stage.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// Seconds of the end-to-end stage.
        #[arg(long, default_value_t = 60.0)]
        long_seconds: f64,
        /// Only these stages, by letter (`bc`).
        #[arg(long, default_value = "")]
        only: String,
        /// Over PostgreSQL, RabbitMQ and Redis.
        #[arg(long)]
        wide: bool,
        /// With SQS, SNS and S3 in place of RabbitMQ.
        #[arg(long, requires = "wide")]
        aws: bool,
        /// Finished messages in the ledger when it is measured again; 0: it is not.
        #[arg(long, default_value_t = 1_000_000, requires = "wide")]
        finished: u64,
        /// The highest rate that is tried end to end over the engines.
        #[arg(long, default_value_t = 12_000.0, requires = "wide")]
        rate: f64,
    },
    /// Engines for a developer, until the end of standard input or a signal.
    Engines {
        /// Also two ingress behind haproxy and two workers on them.
        #[arg(long)]
        naru: bool,
        /// An emulator of AWS in place of RabbitMQ.
        #[arg(long)]
        aws: bool,
    },
    /// A million messages waiting, a hundred thousand customers.
    Scale,
    /// Raw SQLite inserts of the bytes of a message.
    RawSqlite {
        /// Where to make the file.
        #[arg(long)]
        dir: PathBuf,
        /// Rows in a transaction.
        #[arg(long, default_value_t = 500)]
        rows: usize,
        /// Seconds.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Raw RabbitMQ: confirms of the bytes of a message.
    RawRabbitmq {
        /// The broker.
        #[arg(long)]
        url: String,
        /// Published and not yet confirmed.
        #[arg(long, default_value_t = 1_000)]
        in_flight: usize,
        /// Seconds.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Raw SQS: what an emulator takes and hands out by itself.
    RawSqs {
        /// The emulator.
        #[arg(long)]
        endpoint: String,
        /// Bytes of a message.
        #[arg(long, default_value_t = 1_000)]
        bytes: usize,
        /// Seconds, of each.
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Raw PostgreSQL: inserts of the rows of messages.
    RawUnnest(Rows),
    /// The ledger's intake in PostgreSQL by itself.
    WideIntake(Rows),
    /// The cost of a sync on this disk.
    Fsync {
        /// Where to make the file.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(clap::Args)]
pub struct Rows {
    /// The database.
    #[arg(long)]
    pub url: String,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    pub connections: u32,
    /// Rows in a transaction.
    #[arg(long, default_value_t = 512)]
    pub rows: u64,
    /// Seconds.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
}

#[derive(clap::Args)]
pub struct Load {
    /// The server.
    #[arg(long)]
    pub target: SocketAddr,
    /// `ID:PW:API_KEY`, or a file of them, one a line, used in turn.
    #[arg(long)]
    pub credential: Option<String>,
    /// As `--credential`, many, from a file with one on each line.
    #[arg(long)]
    pub credentials: Option<PathBuf>,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Calls a second; without it, as many as the server answers.
    #[arg(long)]
    pub rate: Option<f64>,
    /// The messages' channel.
    #[arg(long, default_value = "sms")]
    pub channel: String,
    /// Asks for this path instead of sending messages.
    #[arg(long, conflicts_with = "batch")]
    pub get: Option<String>,
    /// Messages in a call: more than one goes to the batch call.
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// Seconds before measuring.
    #[arg(long, default_value_t = 2.0)]
    pub warm_up: f64,
    /// Seconds measured.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// End after this many calls.
    #[arg(long)]
    pub limit: Option<u64>,
}
