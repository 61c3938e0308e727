//! What went wrong with a request, in words that say what it means for what was to be written.

use std::{error::Error, sync::Arc, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hyper_util::client::legacy::Error as HttpError;

use crate::causes::Causes;

/// A request to SQS, or an entry of one, that had no answer or another than was hoped for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{why}")]
pub struct SqsTrouble {
    why: Arc<str>,
    code: Option<Arc<str>>,
    in_doubt: bool,
    passing: bool,
}

impl SqsTrouble {
    /// What was decided here: nothing was asked.
    pub(super) fn here(why: impl Into<Arc<str>>) -> Self {
        Self { why: why.into(), code: None, in_doubt: false, passing: false }
    }

    /// There is no such queue, and it is not made here.
    pub(super) fn no_queue(name: &str) -> Self {
        let why = format!("there is no queue {name}: `naru infra apply` makes it");
        Self { code: Some("QueueDoesNotExist".into()), ..Self::here(why) }
    }

    /// There was no room or no time to ask.
    pub(super) fn not_asked(why: &str) -> Self {
        Self { passing: true, ..Self::here(why) }
    }

    /// No answer came in time.
    pub(super) fn late(call: &str, within: Duration) -> Self {
        Self { in_doubt: true, passing: true, ..Self::here(format!("{call}: no answer within {within:?}")) }
    }

    /// An answer that does not speak of an entry.
    pub(super) fn unanswered() -> Self {
        Self { in_doubt: true, passing: true, ..Self::here("the answer says nothing about this entry") }
    }

    /// What an answer says of one entry.
    pub(super) fn of_entry(code: &str, sender_fault: bool, message: Option<&str>) -> Self {
        let throttled = is_throttling(code);
        Self {
            why: format!("{code}: {}", message.unwrap_or("no reason is given")).into(),
            code: Some(code.into()),
            in_doubt: !sender_fault && !throttled,
            passing: !sender_fault || throttled,
        }
    }

    /// What became of a request as a whole.
    pub(super) fn of<E>(call: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let (in_doubt, passing) = match error {
            SdkError::ConstructionFailure(_) => (false, false),
            SdkError::DispatchFailure(failure) => {
                let unsent = failure.as_connector_error().is_some_and(|error| was_never_sent(error));
                (!unsent, true)
            }
            SdkError::ServiceError(answer) => {
                let throttled = error.code().is_some_and(is_throttling);
                let status = answer.raw().status().as_u16();
                (status >= 500 && !throttled, status >= 500 || throttled)
            }
            // No whole answer: what was asked may have been done.
            _ => (true, true),
        };
        let why = match (error.code(), error.message()) {
            (Some(code), message) => format!("{call}: {code}: {}", message.unwrap_or("no reason is given")),
            _ => format!("{call}: {}", Causes(error)),
        };
        Self { why: why.into(), code: error.code().map(Into::into), in_doubt, passing }
    }

    /// The same of something that an earlier try may have written.
    pub(super) fn doubted(self, in_doubt: bool) -> Self {
        Self { in_doubt: self.in_doubt || in_doubt, ..self }
    }

    /// Whether what was asked may have been done all the same.
    #[must_use]
    pub const fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Whether another try may go another way.
    pub(super) const fn is_passing(&self) -> bool {
        self.passing
    }

    fn says(&self, words: &[&str]) -> bool {
        self.code.as_ref().is_some_and(|code| words.iter().any(|word| code.contains(word)))
    }

    /// There is no such queue.
    pub(crate) fn is_missing(&self) -> bool {
        self.says(&["NonExistentQueue", "QueueDoesNotExist"])
    }

    /// The message is gone, or somebody has received it since: nothing is left to do with this receipt.
    pub(super) fn is_over(&self) -> bool {
        self.says(&["ReceiptHandleIsInvalid", "MessageNotInflight"])
    }

    /// Somebody else has made the queue a moment ago, or with other attributes.
    pub(super) fn is_made_already(&self) -> bool {
        self.says(&["QueueNameExists", "QueueAlreadyExists"])
    }
}

fn is_throttling(code: &str) -> bool {
    ["Throttl", "TooManyRequests", "OverLimit", "SlowDown"].iter().any(|word| code.contains(word))
}

/// Whether no byte of the request can have left: there were no credentials to sign it with, or no connection.
fn was_never_sent(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<HttpError>().is_some_and(HttpError::is_connect)
            || error.downcast_ref::<CredentialsError>().is_some()
        {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_tells_whether_it_can_have_been_written() {
        for (code, sender_fault, in_doubt, passing) in [
            ("InvalidMessageContents", true, false, false),
            ("InternalError", false, true, true),
            ("RequestThrottled", false, false, true),
            ("KmsThrottled", true, false, true),
        ] {
            let trouble = SqsTrouble::of_entry(code, sender_fault, None);
            assert_eq!((trouble.is_in_doubt(), trouble.is_passing()), (in_doubt, passing), "{code}");
        }
        let trouble = SqsTrouble::of_entry("RequestThrottled", false, None).doubted(true);
        assert!(trouble.is_in_doubt(), "an earlier try may have written it");
    }
}
