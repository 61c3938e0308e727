//! One call to AWS: bounded as a whole, and what went wrong in words that say what to do next.

use std::{error::Error, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::time::timeout;

use crate::causes::Causes;

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
    /// Whether there was nothing to sign the call with.
    unsigned: bool,
}

impl AwsTrouble {
    /// What does not pass by itself: it was decided here and not by a service.
    pub(crate) const fn settled(why: String) -> Self {
        Self { what: SETTLED, code: None, why, unsigned: false }
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

    /// Whether AWS does not know the caller, or does not let it do that: no try helps, other credentials or rights do.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        const WORDS: [&str; 10] = [
            DENIED,
            "AccessDenied",
            "NotAuthorized",
            "AuthorizationError",
            "UnrecognizedClient",
            "InvalidClientTokenId",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "InvalidSignature",
            "ExpiredToken",
        ];
        self.unsigned || self.code().is_some_and(|code| WORDS.iter().any(|word| code.contains(word)))
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
            None => self.what != SETTLED && !self.unsigned,
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
                _ => Causes(&error).to_string(),
            };
            Err(AwsTrouble { what, code, why, unsigned: has_no_credentials(&error) })
        }
        Err(_) => {
            Err(AwsTrouble { what, code: None, why: format!("no answer within {within:?}"), unsigned: false })
        }
    }
}

/// Whether nobody could say who calls. That whoever knows did not answer in time may pass.
fn has_no_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<CredentialsError>() {
            return matches!(
                error,
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
            );
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError;
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::*;

    type Asked = SdkError<GetCallerIdentityError, HttpResponse>;

    async fn trouble(error: ConnectorError) -> AwsTrouble {
        let asked = async { Err::<(), Asked>(SdkError::dispatch_failure(error)) };
        call("GetCallerIdentity", Duration::from_secs(1), asked).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_went_wrong_is_a_sentence_and_says_whether_it_passes() {
        let refused = std::io::Error::other("connection refused");
        let away = trouble(ConnectorError::io(refused.into())).await;
        assert!(away.is_passing() && !away.is_denied(), "{away}");
        let nobody = CredentialsError::not_loaded("no providers in chain provided credentials");
        let unsigned = trouble(ConnectorError::other(nobody.into(), None)).await;
        assert!(unsigned.is_denied() && !unsigned.is_passing(), "{unsigned}");
        for (trouble, word) in [(away, "connection refused"), (unsigned, "no providers in chain")] {
            let said = trouble.to_string();
            assert!(said.contains(word) && !said.contains(['{', '(']), "{said}");
        }
    }

    #[test]
    fn denials_are_known_by_the_services_words() {
        let of =
            |code: &str| AwsTrouble { code: Some(code.to_owned()), ..AwsTrouble::settled(String::new()) };
        for code in
            ["AccessDenied", "AccessDeniedException", "403", "InvalidClientTokenId", "ExpiredTokenException"]
        {
            assert!(of(code).is_denied() && !of(code).is_passing(), "{code}");
        }
        for code in ["Throttling", "NoSuchBucket", "InternalError"] {
            assert!(!of(code).is_denied(), "{code}");
        }
    }
}
