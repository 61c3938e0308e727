//! Every call: what it is for, what it takes, and what it may be answered with.

use super::codes::{ACCEPT, ANY, ATTACHMENT, CALLBACK, CALLER, JSON, LIST, MESSAGE, READ};
use crate::{meters::Call, problem::Code};

/// Who makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// A customer, with a credential.
    Customer,
    /// The provider of a route, proved as the route says.
    Provider,
    /// Anybody.
    Anybody,
}

/// What a call sends.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// JSON of this schema.
    Json(&'static str),
    /// JSON of this schema, or nothing.
    Maybe(&'static str),
    /// A file.
    File,
    /// JSON or a form, as a route says.
    Told,
}

/// An answer that is no problem.
#[derive(Debug, Clone, Copy)]
pub struct Good {
    /// Its status.
    pub status: u16,
    /// What it means.
    pub what: &'static str,
    /// Its media type and, of JSON, the schema.
    pub content: Option<(&'static str, &'static str)>,
    /// Headers that only this answer has.
    pub headers: &'static [&'static str],
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Its name for programs.
    pub id: &'static str,
    /// In lower case.
    pub method: &'static str,
    /// Below the base of a version for customers, else whole.
    pub path: &'static str,
    /// Under which heading it stands.
    pub tag: &'static str,
    /// A line.
    pub summary: &'static str,
    /// A paragraph.
    pub description: &'static str,
    /// Who calls.
    pub callers: Callers,
    /// Names of parameters.
    pub parameters: &'static [&'static str],
    /// What it sends.
    pub body: Option<Body>,
    /// What it is answered with when it is not refused.
    pub good: &'static [Good],
    codes: &'static [&'static [Code]],
}

const HTML: (&str, &str) = ("text/html", "");

const fn json(status: u16, what: &'static str, schema: &'static str) -> Good {
    Good { status, what, content: Some(("application/json", schema)), headers: &[] }
}

impl Operation {
    /// Every code that it may be answered with.
    pub fn codes(self) -> impl Iterator<Item = Code> {
        let caller = if self.callers == Callers::Customer { CALLER } else { &[] };
        ANY.iter().chain(caller).copied().chain(self.own_codes())
    }

    /// Those that not every call may be answered with.
    pub fn own_codes(self) -> impl Iterator<Item = Code> {
        self.codes.iter().flat_map(|codes| codes.iter().copied())
    }

    /// As it is called on live.
    pub fn whole_path(self) -> String {
        let base = if self.callers == Callers::Customer { "/v1.0" } else { "" };
        format!("{base}{}", self.path)
    }
}

/// One call's entry; `None` for what is no call.
pub const fn of(call: Call) -> Option<Operation> {
    Some(match call {
        Call::Message => SEND,
        Call::Batch => SEND_BATCH,
        Call::Status => STATUS,
        Call::Cancel => CANCEL,
        Call::Reports => REPORTS,
        Call::Acknowledge => ACKNOWLEDGE,
        Call::Quota => QUOTA,
        Call::Attachment => UPLOAD,
        Call::Token => TOKEN,
        Call::Callback => TELL,
        Call::Problem => EXPLAIN,
        Call::Contract => CONTRACT,
        Call::Docs => DOCS,
        Call::Unknown => return None,
    })
}

/// What the others are made from.
const BASE: Operation = Operation {
    id: "",
    method: "get",
    path: "",
    tag: "messages",
    summary: "",
    description: "",
    callers: Callers::Customer,
    parameters: &[],
    body: None,
    good: &[],
    codes: &[],
};

const SEND: Operation = Operation {
    id: "sendMessage",
    method: "post",
    path: "/messages",
    summary: "Send one message",
    description: "`202` leaves once the message is on disk: it will be sent, or its report will say why not. `units` is what it costs if it \
        is delivered. With the same `Idempotency-Key` and content it is the same message for 30 days.",
    parameters: &["IdempotencyKey", "Traceparent", "DryRun", "Simulate"],
    body: Some(Body::Json("Message")),
    good: &[
        Good { headers: &["Location"], ..json(202, "It will be sent.", "Accepted") },
        json(200, "With `dry_run`: it would be accepted.", "Rehearsed"),
    ],
    codes: &[JSON, ACCEPT, MESSAGE, &[Code::InvalidParameter]],
    ..BASE
};

const SEND_BATCH: Operation = Operation {
    id: "sendBatch",
    method: "post",
    path: "/messages/batch",
    summary: "Send 1 to 1,000 messages, each on its own",
    description: "The status is `202` if at least one was accepted; else `503` if any is unknown; else, if all were refused for one passing \
        reason, its status; else `422`. Decide by the code of each item. A batch that is refused whole is answered with a problem.",
    parameters: &["Traceparent", "DryRun", "Simulate"],
    body: Some(Body::Json("Batch")),
    good: &[
        json(200, "With `dry_run`: at least one would be accepted.", "BatchResult"),
        json(202, "At least one was accepted.", "BatchResult"),
        json(422, "All were refused.", "BatchResult"),
        json(429, "All were refused for one passing reason.", "BatchResult"),
        json(503, "None was accepted, and of some it is not known.", "BatchResult"),
    ],
    codes: &[JSON, ACCEPT, LIST, &[Code::QuotaExceeded, Code::InvalidParameter]],
    ..BASE
};

const STATUS: Operation = Operation {
    id: "getMessage",
    path: "/messages/{id}",
    summary: "How a message stands",
    description: "The last known state. A message that no worker has seen has only `id` and `status`.",
    parameters: &["MessageId", "SimulateRefusal"],
    good: &[json(200, "How it stands.", "MessageView|Unseen")],
    codes: &[READ, &[Code::NotFound]],
    ..BASE
};

const CANCEL: Operation = Operation {
    id: "cancelMessage",
    method: "delete",
    path: "/messages/{id}",
    summary: "Take a message back",
    description: "Cancels a message that was certainly not sent; its units are given back. To cancel twice does no harm.",
    parameters: &["MessageId", "SimulateRefusal"],
    good: &[json(200, "It is cancelled.", "MessageView|Unseen")],
    codes: &[READ, &[Code::NotFound, Code::NotCancellable]],
    ..BASE
};

const REPORTS: Operation = Operation {
    id: "readReports",
    path: "/reports",
    tag: "reports",
    summary: "Read reports that were not acknowledged",
    description: "The oldest first. What was handed out is not handed out again for `lease_seconds`; what is not acknowledged by then comes \
        again. A later truth about a message is a new `revision`: keep the highest.",
    parameters: &["Limit", "Wait", "SimulateRefusal"],
    good: &[json(200, "Reports; none, if none came in time.", "Reports")],
    codes: &[READ, &[Code::InvalidParameter]],
    ..BASE
};

const ACKNOWLEDGE: Operation = Operation {
    id: "acknowledgeReports",
    method: "post",
    path: "/reports/ack",
    tag: "reports",
    summary: "Say that reports were read",
    description: "What is unknown or read already is passed over. To acknowledge twice does no harm.",
    parameters: &["SimulateRefusal"],
    body: Some(Body::Json("Acknowledgement")),
    good: &[json(200, "They are read.", "Acknowledged")],
    codes: &[READ, JSON, LIST],
    ..BASE
};

const QUOTA: Operation = Operation {
    id: "readQuota",
    path: "/quota",
    tag: "limits",
    summary: "Quotas and their use, rates",
    description: "A quota is money: units reserved or captured in the period, exact. A rate is protection: in any time *t* at most \
        `limit`/`window_seconds`·*t* + `burst` messages are let in. The sandbox has no quotas.",
    parameters: &["SimulateRefusal"],
    good: &[json(200, "Quotas and rates.", "Quotas")],
    codes: &[READ],
    ..BASE
};

const UPLOAD: Operation = Operation {
    id: "uploadAttachment",
    method: "post",
    path: "/attachments",
    summary: "Upload a file that messages may name",
    description: "The body is the file itself, at most 10 MiB, and must begin as a file of its kind begins. The same file has the same id \
        each time. An upload counts as one message against the rates.",
    parameters: &["ContentDigest", "SimulateRefusal"],
    body: Some(Body::File),
    good: &[json(201, "It is kept.", "Attachment")],
    codes: &[ACCEPT, ATTACHMENT],
    ..BASE
};

const TOKEN: Operation = Operation {
    id: "makeToken",
    method: "post",
    path: "/tokens",
    tag: "limits",
    summary: "A short-lived token for a Basic credential",
    description: "So that the credential's secrets travel seldom: the token proves the same credential until it ends, and with it what \
        the credential may do. A token counts as one message against the rates.",
    parameters: &["SimulateRefusal"],
    body: Some(Body::Maybe("TokenRequest")),
    good: &[Good { headers: &["Cache-Control"], ..json(200, "It was made; it is kept nowhere.", "Token") }],
    codes: &[JSON, &[Code::BasicNeeded, Code::InvalidMessage, Code::UnknownField]],
    ..BASE
};

const TELL: Operation = Operation {
    id: "tellReports",
    method: "post",
    path: "/callbacks/v1.0/{route}",
    tag: "providers",
    summary: "A provider tells what became of messages",
    description: "Proved and read as the route says; here is the plain form. Answered `200` once the queue has what was told; after a `503` \
        or `429` it is made again. What is told twice makes no second report.",
    callers: Callers::Provider,
    parameters: &["Route"],
    body: Some(Body::Told),
    good: &[json(200, "It was taken.", "Taken")],
    codes: &[CALLBACK],
};

const EXPLAIN: Operation = Operation {
    id: "explainProblem",
    path: "/problems/{code}",
    tag: "about",
    summary: "What a refusal means and what to do",
    description: "A page for people about one code; the `type` of a problem leads there.",
    callers: Callers::Anybody,
    parameters: &["Code"],
    good: &[Good { status: 200, what: "The page.", content: Some(HTML), headers: &[] }],
    codes: &[&[Code::NotFound]],
    ..BASE
};

const CONTRACT: Operation = Operation {
    id: "readContract",
    path: "/openapi.json",
    tag: "about",
    summary: "This document",
    description: "It is the same until the gateway is replaced by another release; its tag tells.",
    callers: Callers::Anybody,
    parameters: &["IfNoneMatch"],
    good: &[
        Good { headers: &["ETag", "Cache-Control"], ..json(200, "OpenAPI 3.1.", "Anything") },
        Good { status: 304, what: "It is the one that is known already.", content: None, headers: &["ETag"] },
    ],
    ..BASE
};

const DOCS: Operation = Operation {
    id: "readDocs",
    path: "/docs",
    tag: "about",
    summary: "A page to read and try this",
    description: "All that it loads comes from this gateway, below `/docs/`. The operator may have switched it off.",
    callers: Callers::Anybody,
    parameters: &["IfNoneMatch"],
    good: &[
        Good { status: 200, what: "The page.", content: Some(HTML), headers: &["ETag", "Cache-Control"] },
        Good { status: 304, what: "It is the one that is known already.", content: None, headers: &["ETag"] },
    ],
    codes: &[&[Code::NotFound]],
    ..BASE
};
