//! One call to AWS: bounded as a whole, and what went wrong in words that say what to do next.

use std::{error::Error, time::Duration};

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata};
use tokio::time::timeout;

/// In place of a call's name where none was made.
const SETTLED: &str = "AWS";

/// In place of the service's word where it answered `403` without one.
const DENIED: &str = "403";

/// A call to AWS had no answer, or another than was hoped for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct AwsTrouble {
    what: &'static str,
    /// The service's own word, if it answered.
    code: Option<String>,
    why: String,
}

impl AwsTrouble {
    /// What does not pass by itself: it was decided here and not by a service.
    pub(crate) const fn settled(why: String) -> Self {
        Self { what: SETTLED, code: None, why }
    }

    /// The call and the service's own word, if it answered.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether the answer was that the caller may not do that, and nothing more: an answer to `HEAD` has no words.
    #[must_use]
    pub(crate) fn is_wordless_denial(&self) -> bool {
        self.code() == Some(DENIED)
    }

    /// Whether it may go another way if it is tried again: nobody answered, or the service was not able to just then.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        const WORDS: [&str; 6] = [
            "Throttl",
            "TooManyRequests",
            "QueueDeletedRecently",
            "InternalError",
            "InternalFailure",
            "ServiceUnavailable",
        ];
        match self.code() {
            Some(code) => WORDS.iter().any(|word| code.contains(word)),
            None => self.what != SETTLED,
        }
    }

    /// Whether the service does not know the question: it says so, or answers another one. S3 is many stores' language, and not
    /// all speak the whole of it.
    #[must_use]
    pub(crate) fn is_unspoken(&self) -> bool {
        match self.code() {
            Some(code) => ["NotImplemented", "MethodNotAllowed"].contains(&code),
            // The SDK has no word of its own for an answer that is another document.
            None => self.why.contains("error parsing XML"),
        }
    }

    /// Whether what was named is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        const WORDS: [&str; 6] = [
            "AWS.SimpleQueueService.NonExistentQueue",
            "QueueDoesNotExist",
            "NotFound",
            "NotFoundException",
            "NoSuchBucket",
            "ResourceNotFoundException",
        ];
        self.code().is_some_and(|code| WORDS.contains(&code.trim_start_matches("com.amazonaws.sqs#")))
    }
}

/// Makes a call that may take `within` with all its tries.
///
/// # Errors
/// Says which call, and why it failed.
pub(crate) async fn call<T, E>(
    what: &'static str,
    within: Duration,
    asked: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, AwsTrouble>
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    match timeout(within, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let denied = error.raw_response().is_some_and(|answer| answer.status().as_u16() == 403);
            let code = error.code().or(denied.then_some(DENIED)).map(ToOwned::to_owned);
            let why = match (error.code(), error.message()) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (None, _) if denied => "whoever calls may not do that (403)".to_owned(),
                _ => DisplayErrorContext(&error).to_string(),
            };
            Err(AwsTrouble { what, code, why })
        }
        Err(_) => Err(AwsTrouble { what, code: None, why: format!("no answer within {within:?}") }),
    }
}
