//! The handles of this crate's metrics, looked up once.

use std::{array, sync::OnceLock, time::Duration};

use actix_web::http::StatusCode;
use metrics::{Counter, Histogram};
use naru_shared::{domain::Environment, gate::GateError, metrics as names};

use crate::problem::Code;

/// The calls there are, as metrics name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// One message.
    Message,
    /// Many messages.
    Batch,
    /// How a message stands.
    Status,
    /// Take a message back.
    Cancel,
    /// Unread reports.
    Reports,
    /// Reports that were read.
    Acknowledge,
    /// Limits and their use.
    Quota,
    /// A file that messages may name.
    Attachment,
    /// A token for a Basic credential.
    Token,
    /// What a provider tells.
    Callback,
    /// What a refusal means.
    Problem,
    /// The contract.
    Contract,
    /// A page to read and try it.
    Docs,
    /// No path of ours.
    Unknown,
}

const CALLS: usize = Call::ALL.len();

impl Call {
    /// Every call.
    pub const ALL: [Self; 14] = [
        Self::Message,
        Self::Batch,
        Self::Status,
        Self::Cancel,
        Self::Reports,
        Self::Acknowledge,
        Self::Quota,
        Self::Attachment,
        Self::Token,
        Self::Callback,
        Self::Problem,
        Self::Contract,
        Self::Docs,
        Self::Unknown,
    ];

    /// Whether it can make messages, or what they name.
    pub const fn accepts(self) -> bool {
        matches!(self, Self::Message | Self::Batch | Self::Attachment)
    }

    /// Whether its body is a file.
    pub const fn uploads(self) -> bool {
        matches!(self, Self::Attachment)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Batch => "batch",
            Self::Status => "status",
            Self::Cancel => "cancel",
            Self::Reports => "reports",
            Self::Acknowledge => "acknowledge",
            Self::Quota => "quota",
            Self::Attachment => "attachment",
            Self::Token => "token",
            Self::Callback => "callback",
            Self::Problem => "problem",
            Self::Contract => "contract",
            Self::Docs => "docs",
            Self::Unknown => "unknown",
        }
    }
}

/// Statuses from 200 to 599, each looked up when it is first answered.
type ByStatus = [OnceLock<Counter>; 400];

/// A counter for each problem code, likewise.
type ByCode = Vec<OnceLock<Counter>>;

/// Every metric that this crate writes.
pub struct Meters {
    done: [Box<ByStatus>; CALLS],
    refusals: [ByCode; CALLS],
    seconds: [Histogram; CALLS],
    refused: Vec<Counter>,
    in_doubt: Counter,
    live: Counter,
    sandbox: Counter,
    malformed: Counter,
    large_heads: Counter,
    slow_heads: Counter,
    gate_errors: Counter,
    /// Reads that the ledger did not answer.
    pub ledger_errors: Counter,
}

impl Meters {
    /// Looks every handle up.
    pub fn new() -> Self {
        let accepted =
            |environment: Environment| names::ACCEPTED.of(&[("environment", environment.as_str())]);
        let malformed = |status: &str| names::HTTP_MALFORMED.of(&[("status", status)]);
        let errors = |port: &str| names::ENGINE_ERRORS.of(&[("port", port)]);
        Self {
            done: array::from_fn(|_| Box::new(array::from_fn(|_| OnceLock::new()))),
            refusals: array::from_fn(|_| Code::ALL.iter().map(|_| OnceLock::new()).collect()),
            seconds: Call::ALL.map(|call| names::HTTP_SECONDS.of(&[("call", call.as_str())])),
            refused: Code::ALL.iter().map(|code| names::REFUSED.of(&[("code", code.as_str())])).collect(),
            in_doubt: names::IN_DOUBT.of(&[]),
            live: accepted(Environment::Live),
            sandbox: accepted(Environment::Sandbox),
            malformed: malformed("400"),
            large_heads: malformed("431"),
            slow_heads: malformed("408"),
            gate_errors: errors("gate"),
            ledger_errors: errors("ledger"),
        }
    }

    /// Counts an answer; `refused` says why, if the whole call was.
    pub fn answered(&self, call: Call, status: StatusCode, refused: Option<Code>, took: Duration) {
        let cell = match refused {
            Some(code) => self.refusals[call as usize].get(code as usize),
            None => self.done[call as usize].get(usize::from(status.as_u16()).wrapping_sub(200)),
        };
        let code = refused.map_or("none", Code::as_str);
        let labels = [("call", call.as_str()), ("status", status.as_str()), ("code", code)];
        if let Some(cell) = cell {
            cell.get_or_init(|| names::HTTP_REQUESTS.of(&labels)).increment(1);
        }
        self.seconds[call as usize].record(took.as_secs_f64());
    }

    /// Counts messages that were refused, or of which it is not known whether they were.
    pub fn refused(&self, code: Code, messages: u64) {
        if code == Code::AcceptUnknown {
            self.in_doubt.increment(messages);
        } else if let Some(counter) = self.refused.get(code as usize) {
            counter.increment(messages);
        }
    }

    /// Counts what the HTTP library refused, or ended, before it was a call.
    pub fn malformed(&self, status: u16) {
        match status {
            408 => self.slow_heads.increment(1),
            431 => self.large_heads.increment(1),
            _ => self.malformed.increment(1),
        }
    }

    /// Counts accepted messages.
    pub fn accepted(&self, environment: Environment, messages: u64) {
        match environment {
            Environment::Live => self.live.increment(messages),
            Environment::Sandbox => self.sandbox.increment(messages),
        }
    }

    /// Counts a question that the gate did not answer. An engine that is away tells so itself, once; not every call does.
    pub fn gate_failed(&self, error: &GateError) {
        self.gate_errors.increment(1);
        tracing::debug!(error = %error.0, "the gate did not answer; the call goes on without it");
    }
}
