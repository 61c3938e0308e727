//! Every metric of Naru, declared once, with unit and meaning. Raw macros are banned elsewhere.

use metrics::{Counter, Gauge, Histogram, Label, Unit};

/// Labels of a metric: names are fixed, values come from bounded sets (routes, lanes, codes; never ids).
pub type Labels<'a> = &'a [(&'static str, &'a str)];

macro_rules! metrics_table {
    ($($(#[$doc:meta])* $kind:ident $const:ident = $name:literal, $unit:ident, $help:literal;)*) => {
        $(metrics_table!(@one $kind $const $name $help);)*

        /// Tells the recorder unit and meaning of each metric; once, after it is installed.
        pub fn describe() {
            $(metrics_table!(@describe $kind $name $unit $help);)*
        }

        /// Name, kind, unit and meaning of every metric, for documentation and tests.
        pub const TABLE: &[(&str, &str, &str, &str)] =
            &[$(($name, stringify!($kind), stringify!($unit), $help)),*];
    };
    (@one $kind:ident $const:ident $name:literal $help:literal) => {
        #[doc = $help]
        pub const $const: $kind::Metric = $kind::Metric($name);
    };
    (@describe counter $name:literal $unit:ident $help:literal) => {
        metrics::describe_counter!($name, Unit::$unit, $help)
    };
    (@describe gauge $name:literal $unit:ident $help:literal) => {
        metrics::describe_gauge!($name, Unit::$unit, $help)
    };
    (@describe histogram $name:literal $unit:ident $help:literal) => {
        metrics::describe_histogram!($name, Unit::$unit, $help)
    };
}

fn owned(labels: Labels<'_>) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}

macro_rules! kind {
    ($module:ident, $type:ident, $macro:ident) => {
        /// Metrics of this kind.
        pub mod $module {
            use super::{Labels, owned, $type};

            /// A metric by name; ask for a handle once and keep it where it is used often.
            #[derive(Debug, Clone, Copy)]
            pub struct Metric(pub(super) &'static str);

            impl Metric {
                /// The handle for these labels.
                #[expect(clippy::disallowed_macros, reason = "the one place where metrics are declared")]
                pub fn of(self, labels: Labels<'_>) -> $type {
                    metrics::$macro!(self.0, owned(labels))
                }
            }
        }
    };
}

kind!(counter, Counter, counter);
kind!(gauge, Gauge, gauge);
kind!(histogram, Histogram, histogram);

metrics_table! {
    counter HTTP_REQUESTS = "naru_http_requests_total", Count, "HTTP calls answered, by call, status and problem code (`none`: it was no refusal)";
    histogram HTTP_SECONDS = "naru_http_request_seconds", Seconds, "Time from a call's head to its answer, by call";
    gauge HTTP_CONNECTIONS = "naru_http_connections", Count, "Connections that are open";
    counter HTTP_UNBEGUN = "naru_http_connections_refused_total", Count, "Connections closed before a call could come, by reason (proxy: no header of the PROXY protocol; stranger: not from a trusted proxy; tls: no handshake that could be agreed on; late: it took more than 5 s)";
    counter TLS_RELOADS = "naru_tls_reloads_total", Count, "Times that the listener's certificate was read after it changed, by outcome (refused: it could not be used, and the one before goes on)";
    counter HTTP_MALFORMED = "naru_http_malformed_total", Count, "What the HTTP library refused before it was a call, by status (400: no HTTP, 408: a head too slow, 431: a head too long)";
    counter HTTP_GUESSES = "naru_http_guesses_slowed_total", Count, "Answers `401` that waited, because their address had been refused too often of late";
    counter ACCEPTED = "naru_messages_accepted_total", Count, "Messages answered 202, by environment";
    counter ATTACHMENTS = "naru_attachments_total", Count, "Uploads answered 201, by environment";
    counter ATTACHMENT_BYTES = "naru_attachment_bytes_total", Bytes, "Bytes of uploads answered 201, by environment";
    counter REFUSED = "naru_messages_refused_total", Count, "Messages refused before publish, by problem code: one for a refused call of one message, one for each refused item of a batch";
    counter IN_DOUBT = "naru_messages_in_doubt_total", Count, "Messages answered `accept-unknown`: the queue did not confirm in time";
    counter DENIALS = "naru_denials_total", Count, "Calls and items of batches refused for who calls or how much (401, 403, 429), by problem code; a log line a minute names the customers";
    histogram PUBLISH_SECONDS = "naru_publish_seconds", Seconds, "Time from publishing packs to the queue's confirm";
    histogram PACK_MESSAGES = "naru_pack_messages", Count, "Messages in a published pack";
    counter INTAKE = "naru_intake_messages_total", Count, "Messages seen by intake, by route and verdict";
    histogram INTAKE_SECONDS = "naru_intake_seconds", Seconds, "Time of one intake transaction";
    counter QUARANTINED = "naru_envelopes_quarantined_total", Count, "Envelopes set aside because they could not be opened";
    counter NEWER = "naru_envelopes_newer_total", Count, "Deliveries of envelopes that a newer release wrote, left for a newer worker, by route and lane; a log line a minute names their version";
    gauge ENVELOPE_VERSION = "naru_envelope_version", Count, "Version of envelopes: `use` is `written` by this ingress, or `read` (the newest) by these workers";
    counter ATTEMPTS = "naru_attempts_total", Count, "Attempts ended, by route and outcome";
    histogram ATTEMPT_SECONDS = "naru_attempt_seconds", Seconds, "Time of one attempt at a backend, by route";
    counter ATTACHMENTS_READ = "naru_attachments_read_total", Count, "Attachments read for an attempt, by result: read, remembered, lost (gone or damaged), away";
    counter BLOBS_EXPIRED = "naru_blobs_expiry_steps_total", Count, "Steps of removing blobs whose time is over, by result: done, or failed";
    gauge ATTEMPTS_UNDER_WAY = "naru_attempts_under_way", Count, "Attempts begun whose outcome is not committed, by route";
    counter REROUTED = "naru_messages_rerouted_total", Count, "Messages that went on to another route before anything can have taken them, by route, the other (`to`) and reason: paused, sick or full";
    gauge ROUTE_PER_SECOND = "naru_route_starts_per_second", Count, "Attempts that begin in a second over all workers while a route has more to do than it can; 0 while it has not, or that is not known, by route";
    gauge ROUTE_RESTING = "naru_route_resting", Count, "1 while a route's attempts pause because its backend takes nothing, by route";
    counter RETRIES_HELD_BACK = "naru_retries_held_back_total", Count, "Retries put off because the route's retry budget was used up, by route";
    histogram SETTLE_SECONDS = "naru_settle_seconds", Seconds, "Time of one commit of outcomes";
    counter SETTLED = "naru_settled_total", Count, "Outcomes committed, by what they did";
    counter REPORTS_COLLECTED = "naru_reports_collected_total", Count, "Reports taken back from carriers' tables, corrections and repetitions included";
    counter CALLBACK_REPORTS = "naru_callback_reports_total", Count, "Reports in calls of providers, by route and result: taken (the queue has them), waiting (the message is under way, nothing changes), unread (without an id or with an unknown status)";
    counter NOTICES = "naru_provider_reports_total", Count, "Reports of providers seen by intake, by route and result: matched, parked (nothing is known of their message yet), unmatched (nothing came to be known of it in time, or too many are parked)";
    counter EXPIRED = "naru_messages_expired_total", Count, "Messages whose time to live ended, by route";
    counter RECOVERED = "naru_messages_recovered_total", Count, "Messages found in the hands of dead workers, by route";
    counter FORGOTTEN = "naru_messages_forgotten_total", Count, "Messages let go of after their time, by what: removed, or text and recipient";
    counter WORKER_RESTARTS = "naru_worker_restarts_total", Count, "Actors replaced after a panic or a stall, by actor";
    counter RELAYED = "naru_events_relayed_total", Count, "Events published to the topic";
    counter CALLBACKS = "naru_callbacks_total", Count, "Events for webhooks, by outcome: delivered, failed (tried again), given-up, not-kept (too many waited), dropped (its webhook is not called any more)";
    histogram CALLBACK_SECONDS = "naru_callback_seconds", Seconds, "Time of one call of a webhook, by outcome: delivered or failed";
    gauge CALLBACKS_UNDER_WAY = "naru_callbacks_under_way", Count, "Calls of webhooks under way in this process";
    gauge CALLBACKS_WAITING = "naru_callbacks_waiting", Count, "Events that wait for webhooks, of all webhooks together; every worker tells the same";
    gauge CALLBACKS_OLDEST_SECONDS = "naru_callbacks_oldest_seconds", Seconds, "Age of the event that has waited longest for its webhook; 0 if none waits";
    counter WEBHOOKS_OFF = "naru_webhooks_switched_off_total", Count, "Webhooks that were switched off, by reason: gone (410) or failing (five days of failures)";
    counter SLACK_POSTS = "naru_slack_posts_total", Count, "Posts to Slack, by result: posted, limited (429), refused (another 4xx), failed (5xx or no answer)";
    counter SLACK_EVENTS = "naru_slack_events_total", Count, "Events for Slack, by outcome: posted, ignored (by a rule or for want of one), repeated (came again), returned (not posted in time: they come again)";
    gauge SLACK_IN_HAND = "naru_slack_in_hand", Count, "Events in hand for the next post to Slack";
    counter SIGNS = "naru_operator_events_total", Count, "Events written for operators that are no message's, by kind";
    gauge ALARMS_RAISED = "naru_alarms_raised", Count, "Alarms that are raised, by rule; every worker tells the same";
    counter ENGINE_ERRORS = "naru_engine_errors_total", Count, "Calls to an engine that failed, by port";
    gauge REDIS_CONNECTED = "naru_redis_connected", Count, "1 while Redis answers, by port";
    counter REDIS_CALLS = "naru_redis_calls_total", Count, "Calls to Redis, by port and result: answered, failed, or away (not even sent)";
    histogram REDIS_SECONDS = "naru_redis_call_seconds", Seconds, "Time of one call to Redis, by port";
    gauge POSTGRES_UP = "naru_postgres_up", Count, "1 while PostgreSQL could be connected to, by pool";
    gauge POSTGRES_CONNECTIONS = "naru_postgres_connections", Count, "Connections to PostgreSQL that are open, by pool";
    histogram POSTGRES_SECONDS = "naru_postgres_call_seconds", Seconds, "Time of a call to PostgreSQL with all its tries, by call";
    counter POSTGRES_RETRIES = "naru_postgres_retries_total", Count, "Transactions tried again as a whole, by call and reason";
    counter POSTGRES_ERRORS = "naru_postgres_errors_total", Count, "Calls to PostgreSQL that failed, by call and reason";
    counter FILE_DAMAGE = "naru_file_damage_total", Count, "Reads and writes that found a data file damaged, by file";
    gauge WAITING = "naru_messages_waiting", Count, "Messages waiting in the ledger, by route, lane and state";
    gauge OLDEST_SECONDS = "naru_oldest_waiting_seconds", Seconds, "Age of the oldest waiting message, by route and lane";
    gauge RABBITMQ_CONNECTED = "naru_rabbitmq_connected", Count, "1 while a connection to RabbitMQ serves, by connection";
    counter RABBITMQ_CONNECTS = "naru_rabbitmq_connects_total", Count, "Attempts to connect to RabbitMQ, by connection and outcome";
    histogram RABBITMQ_CALL_SECONDS = "naru_rabbitmq_call_seconds", Seconds, "Time of a call to RabbitMQ, by call";
    counter RABBITMQ_ERRORS = "naru_rabbitmq_errors_total", Count, "Calls to RabbitMQ that failed, by call";
    counter SQS_CALLS = "naru_sqs_calls_total", Count, "Requests to SQS, by call and kind of queue";
    counter SQS_BILLED = "naru_sqs_billed_total", Count, "Requests to SQS as AWS bills them (one for each 64 KiB begun), by call and kind of queue";
    counter SQS_ERRORS = "naru_sqs_errors_total", Count, "Requests to SQS that failed, as a whole or in an entry, by call and kind of queue";
    histogram SQS_CALL_SECONDS = "naru_sqs_call_seconds", Seconds, "Time of a request to SQS, by call; a receive waits for what comes";
    counter SNS_CALLS = "naru_sns_calls_total", Count, "Requests to SNS that publish, by result: answered or failed (as a whole)";
    counter SNS_BILLED = "naru_sns_billed_total", Count, "Requests to SNS that publish, as AWS bills them (one for each 64 KiB begun)";
    counter SNS_ENTRIES = "naru_sns_entries_total", Count, "Events in requests to SNS, by result: taken, refused (SNS says so of this one), untold (the answer does not name it), failed (with their request)";
    histogram SNS_CALL_SECONDS = "naru_sns_call_seconds", Seconds, "Time of a request to SNS that publishes";
    gauge QUEUE_PACKS = "naru_queue_packs", Count, "Packs on a queue, by route and lane";
}
