//! What can go wrong with RabbitMQ, in words for whoever looks.

use std::{sync::Arc, time::Duration};

use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPSoftError},
};

/// Why something did not happen. Cheap to copy: one failure ends many calls.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Trouble {
    /// There is no connection.
    #[error("RabbitMQ is not connected: {0}")]
    Away(Arc<str>),
    /// No answer came in time.
    #[error("RabbitMQ did not answer within {0:?}")]
    Silent(Duration),
    /// The broker, or the client library, said no.
    #[error("RabbitMQ: {0}")]
    Said(#[from] lapin::Error),
    /// An alarm of the broker: it reads nothing from who publishes.
    #[error("RabbitMQ takes no messages now: it is short of memory or disk")]
    Blocked,
    /// As much as may be is in flight.
    #[error("too much is published and not yet confirmed")]
    Full,
    /// The broker has no such queue.
    #[error("RabbitMQ has no queue for it")]
    Missing,
    /// The broker refused responsibility for a message.
    #[error("RabbitMQ did not take responsibility")]
    Nacked,
    /// What was received has come back to the broker.
    #[error("it has come back to the queue, and will be delivered again")]
    CameBack,
    /// The process is ending.
    #[error("the connection to RabbitMQ has been closed")]
    Ended,
}

impl Trouble {
    pub(crate) fn away(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        Self::Away(text.into())
    }
}

/// Whether the broker said that there is no such queue (AMQP 0-9-1, 1.2: `not-found`).
pub(super) fn is_missing(error: &lapin::Error) -> bool {
    is_soft(error, &AMQPSoftError::NOTFOUND)
}

/// Whether the broker said that it exists and is otherwise, or cannot be so (`precondition-failed`).
pub(super) fn is_otherwise(error: &lapin::Error) -> bool {
    is_soft(error, &AMQPSoftError::PRECONDITIONFAILED)
}

fn is_soft(error: &lapin::Error, expected: &AMQPSoftError) -> bool {
    match error.kind() {
        ErrorKind::ProtocolError(said) => {
            matches!(said.kind(), AMQPErrorKind::Soft(soft) if soft == expected)
        }
        _ => false,
    }
}

/// Waits for an answer of the broker, at most this long.
pub(super) async fn in_time<T>(
    patience: Duration,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => Ok(answer?),
        Err(_elapsed) => Err(Trouble::Silent(patience)),
    }
}
