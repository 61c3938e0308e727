//! What whoever got a refusal should do: one exhaustive match, so that a new code does not compile until it says so.

use crate::problem::Code;

impl Code {
    /// What to do, for the page of the code.
    #[expect(clippy::too_many_lines, reason = "a table with a row for every code")]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::MalformedHead
            | Self::DuplicateHeader
            | Self::InvalidParameter
            | Self::MalformedJson
            | Self::MalformedDigest
            | Self::UnknownField
            | Self::InvalidMessage => {
                "Mend the call as the detail says, and send it again. The same call is refused each time."
            }
            Self::InvalidSimulation => {
                "Write the header as docs/simulator.md of the release says: for instance failed;report=5."
            }
            Self::SimulationOnLive => {
                "Leave the header out, or call below /sandbox/v1.0 with a sandbox credential."
            }
            Self::DigestMismatch => {
                "Send it again. If it happens each time, compute the digest over the bytes as they are sent."
            }
            Self::MalformedForwarded => {
                "Tell the operator the request id: the proxy in front must be mended."
            }
            Self::MalformedToken | Self::InvalidClaim => {
                "Compare what you sign with what docs/tokens.md of the release says; the detail names what is wrong. The same token is refused each time."
            }
            Self::TokenExpired => "Make or fetch another token and send the call with it.",
            Self::TokenNotYetValid => "Set the clock of the machine that makes tokens, and make another one.",
            Self::MalformedSignature | Self::SignatureIncomplete => {
                "Mend what you sign as the detail says; docs/signing.md of the release has a worked example. The same call is refused each time."
            }
            Self::StaleSignature => {
                "Sign the call anew when it is sent. If it happens each time, set your clock; the detail tells the time here."
            }
            Self::SignedDigestMismatch => {
                "Hash the very bytes that are sent, after your library wrote them, and sign the call anew."
            }
            Self::NonceReplayed => {
                "Sign the call anew with another nonce. To learn what became of the first, send it with the same Idempotency-Key."
            }
            Self::BasicNeeded => {
                "Call with the id, password and API key of a Basic credential, or make tokens yourself with the key that you gave the operator."
            }
            Self::AddressNotAllowed => {
                "Call from an address that the operator allowed, or ask the operator to allow this one."
            }
            Self::InsufficientScope => {
                "Use a credential that has the scope that the detail names, or ask the operator for it."
            }
            Self::TooManyGuesses => {
                "Correct the password in your configuration, and wait as long as Retry-After says before the next call."
            }
            Self::MissingAuthorization | Self::MalformedAuthorization => {
                "Send the credential as the operator gave it to you, in the header Authorization, once."
            }
            Self::Unauthorized => {
                "Compare id, password and API key with what you were given, without blanks at their ends. If they are right, ask the operator whether the credential was revoked. Do not repeat the call as it is."
            }
            Self::WrongEnvironment => {
                "Call the base that the credential is for, or use the other credential."
            }
            Self::Suspended => "Ask the operator. Messages that were accepted before wait.",
            Self::NotFound => {
                "Check the path, the version and the environment, and whose id it is. Ids of the sandbox mean nothing on live."
            }
            Self::MethodNotAllowed => "Use one of the methods in the header Allow.",
            Self::RequestTimeout => {
                "Send it again, over a faster connection or in smaller parts; with the same Idempotency-Key nothing is sent twice."
            }
            Self::KeyInFlight => {
                "Wait as long as Retry-After says and send the same call again: it gets the answer of the first."
            }
            Self::DuplicateContent => {
                "If it is meant to come twice, wait as long as Retry-After says. Else there is nothing to do: the first is on its way."
            }
            Self::NotCancellable => "Nothing can be done for this message. Wait for its report.",
            Self::BodyTooLarge => "Send less at once: smaller batches, smaller files.",
            Self::UriTooLong | Self::HeadTooLarge => {
                "Leave out what is not needed from the address and the headers."
            }
            Self::UnsupportedMediaType | Self::UnsupportedAttachment => {
                "Set Content-Type to what the body really is, if that is taken here."
            }
            Self::UnsupportedEncoding => "Switch compression of requests off in your client.",
            Self::InvalidKey => {
                "Choose a key of printable ASCII characters, for instance the number of the order, and send the call again."
            }
            Self::InvalidChannel
            | Self::InvalidRecipient
            | Self::InvalidSender
            | Self::InvalidSubject
            | Self::InvalidBody
            | Self::InvalidAttachments
            | Self::InvalidData
            | Self::InvalidLane
            | Self::InvalidReference
            | Self::InvalidSendAt
            | Self::InvalidTtl => {
                "Mend that field of the message and send it again. Nothing was accepted, and the key is still free."
            }
            Self::SenderUnregistered => {
                "Use a sender that is registered, or ask the operator to register this one."
            }
            Self::TextTooLong => "Shorten the text, or send it by a channel that takes more.",
            Self::TextNotWritable => "Replace the character that the detail names.",
            Self::UnknownAttachment => {
                "Upload the file with this credential's environment and use the id of the answer."
            }
            Self::AttachmentTooOld => "Upload the file again, and send the message with the same id.",
            Self::InvalidAttachment => "Send the whole file, with its own media type in Content-Type.",
            Self::InvalidReport => "Compare the call with the description of the route; the operator has it.",
            Self::EmptyBatch => "Put at least one item into the list, or do not call.",
            Self::BatchTooLarge => "Split the list and send its parts one after another.",
            Self::NoRoute => "Use a channel that the operator opened for you, or ask for this one.",
            Self::IdempotencyConflict => {
                "If it is a new message, give it a new key. If it is the old one, send exactly what was sent first."
            }
            Self::RateLimited => {
                "Wait as long as Retry-After says; spread calls out by the header RateLimit."
            }
            Self::QuotaExceeded => "Wait as long as Retry-After says, or ask the operator for more.",
            Self::TooManyReads => "Read with fewer long polls at once: one is enough for all reports.",
            Self::RouteTooSlow => {
                "Wait as long as Retry-After says, or send with a longer ttl or in the lane bulk."
            }
            Self::BacklogFull | Self::RouteFull => "Wait as long as Retry-After says, and send more slowly.",
            Self::NoAttachments => "Send the message without attachments, or ask the operator.",
            Self::Internal => {
                "Tell the operator the request id. Repeating the call may succeed; with the same Idempotency-Key nothing is sent twice."
            }
            Self::Unavailable
            | Self::AttachmentsUnavailable
            | Self::Overloaded
            | Self::LowDisk
            | Self::Draining
            | Self::QueueUnavailable => {
                "Wait as long as Retry-After says and send the same call again, with pauses that grow."
            }
            Self::ReportUnknown => "Make the same call again.",
            Self::AcceptUnknown => {
                "Send the same content with the key that the answer names, until another answer comes."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_to_do() {
        for code in Code::ALL {
            let advice = code.advice();
            assert!(advice.ends_with('.') && advice.len() > 20, "{code:?}: {advice}");
            assert!(advice.chars().next().is_some_and(char::is_uppercase), "{code:?}: {advice}");
        }
    }
}
