//! Refusals (RFC 9457): one exhaustive table of codes, so that a new one does not compile until it has a status, a
//! title and a page.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

macro_rules! problem_table {
    ($($variant:ident = $code:literal, $status:ident, $title:literal, $page:literal;)*) => {
        /// What a refusal means, for machines.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable word, last part of the problem's `type`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// A short sentence, the same every time.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means and what to do.
            pub const fn page(self) -> &'static str {
                match self { $(Self::$variant => $page,)* }
            }
        }
    };
}

problem_table! {
    MalformedHead = "malformed-head", BAD_REQUEST, "The head cannot be read",
        "The header Host names no host, or the head asks for a protocol that is not spoken here. The detail says which.";
    DuplicateHeader = "duplicate-header", BAD_REQUEST, "A header was sent twice",
        "Authorization, Idempotency-Key and Content-Type may each be sent once. Send the call again with one of each.";
    MalformedForwarded = "malformed-forwarded", BAD_REQUEST, "It cannot be read for whom the proxy forwards",
        "A proxy that the operator trusts sent a header X-Forwarded-For or Forwarded that is none. Nothing was done; the operator must mend the proxy.";
    InvalidParameter = "invalid-parameter", BAD_REQUEST, "The query cannot be read",
        "A query parameter is unknown, repeated, or not within its range. The detail names it.";
    MalformedJson = "malformed-json", BAD_REQUEST, "The body is not JSON that can be read",
        "The body must be JSON in UTF-8, at most 32 levels deep, without repeated keys and without U+0000.";
    MalformedDigest = "malformed-digest", BAD_REQUEST, "The header Content-Digest cannot be read",
        "Content-Digest holds sha-256=:…: or sha-512=:…: with the base64 of the body's hash (RFC 9530); no other algorithm is verified here.";
    DigestMismatch = "digest-mismatch", BAD_REQUEST, "The body is not what its digest says",
        "The hash of the body that came is not the one in Content-Digest: it was changed on its way. Nothing was kept; send the call again.";
    MissingAuthorization = "missing-authorization", UNAUTHORIZED, "Authentication is needed",
        "Send the header Authorization: Basic with the base64 of ID:PW:API_KEY (RFC 7617), or Bearer with a token (RFC 6750); or sign the call (RFC 9421).";
    MalformedAuthorization = "malformed-authorization", UNAUTHORIZED, "The Authorization header cannot be read",
        "The header must be Basic and the base64 of ID:PW:API_KEY in UTF-8: the id up to the first colon, the API key after the last; or Bearer and a token.";
    MalformedToken = "malformed-token", UNAUTHORIZED, "The token cannot be read",
        "A token is a JWT: a JWS in its compact form, signed with HS256, RS256, ES256 or EdDSA, whose header names the key by kid and brings none. The detail says what was found.";
    InvalidClaim = "invalid-claim", UNAUTHORIZED, "A claim of the token is missing or not valid",
        "A token needs iss (the credential's id), aud (this deployment) and exp (a number of seconds, at most an hour ahead). The detail names what was found.";
    TokenExpired = "token-expired", UNAUTHORIZED, "The token has expired",
        "Its exp has passed. Make a new token, or fetch one; clocks may differ by 30 seconds.";
    TokenNotYetValid = "token-not-yet-valid", UNAUTHORIZED, "The token is not valid yet",
        "Its nbf or iat lies ahead. Clocks may differ by 30 seconds.";
    Unauthorized = "unauthorized", UNAUTHORIZED, "The credential is not valid",
        "The id is unknown, the secret or the signature is wrong, or the credential was revoked. The answer does not tell which.";
    MalformedSignature = "malformed-signature", UNAUTHORIZED, "The signature cannot be read",
        "Signature-Input and Signature are dictionaries with the same labels (RFC 9421). One signature is for this server: hmac-sha256, with created, nonce and keyid. The detail says what was found.";
    SignatureIncomplete = "signature-incomplete", UNAUTHORIZED, "The signature does not cover enough",
        "A signature covers @method, @authority, @path and @query, content-digest where there is a body, and idempotency-key where that is sent. The detail names what is missing.";
    StaleSignature = "stale-signature", UNAUTHORIZED, "The signature was not made just now",
        "The parameter created may lie 300 seconds from the clock here, and expires must not have passed. Set your clock, and sign each call anew. The detail tells the time here.";
    SignedDigestMismatch = "signed-digest-mismatch", UNAUTHORIZED, "The body is not the one that was signed",
        "The hash of the body that came is not the one in Content-Digest. Hash the very bytes that are sent.";
    NonceReplayed = "nonce-replayed", UNAUTHORIZED, "The call was made before",
        "A nonce may be used once. Sign each call anew with another nonce, also one that is repeated; the same Idempotency-Key gets the first answer.";
    WrongEnvironment = "wrong-environment", FORBIDDEN, "The credential belongs to the other environment",
        "A live credential opens /v1.0, a sandbox credential opens /sandbox/v1.0. Neither opens the other.";
    BasicNeeded = "basic-needed", FORBIDDEN, "Only a Basic credential gets a token",
        "Tokens are made for calls with Authorization: Basic. A token does not get another, and who signs tokens needs none.";
    Suspended = "suspended", FORBIDDEN, "The customer is suspended",
        "Calls of this customer are refused until the operator lifts the suspension.";
    AddressNotAllowed = "address-not-allowed", FORBIDDEN, "The credential may not be used from this address",
        "The operator let this credential be used from certain addresses, and the call came from another. Call from one of them, or ask the operator to add this one.";
    InsufficientScope = "insufficient-scope", FORBIDDEN, "The credential may not do this",
        "A credential has the scopes send, read and cancel, or some of them. The detail says which this call needs. Use another credential of the customer, or ask the operator.";
    NotFound = "not-found", NOT_FOUND, "There is nothing here",
        "The path is unknown, or the id was not made for this customer.";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "The method is not allowed here",
        "The header Allow lists the methods of this path.";
    RequestTimeout = "request-timeout", REQUEST_TIMEOUT, "The body came too slowly",
        "The whole body must arrive within 10 seconds. Nothing was accepted; send the call again.";
    KeyInFlight = "key-in-flight", CONFLICT, "A call with this key is under way",
        "Another call with the same idempotency key has not been answered yet. Send the call again after a moment.";
    DuplicateContent = "duplicate-content", CONFLICT, "The same was sent a moment ago",
        "The customer wants the same content to the same recipient refused for a while. Retry-After says how long. To repeat a call that was not answered, send it with the same Idempotency-Key: it gets the first answer.";
    NotCancellable = "not-cancellable", CONFLICT, "The message cannot be cancelled any more",
        "It was sent, or may have been, or has already ended. Read its status for what became of it.";
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "A message's body may have 256 KiB, a batch 2 MiB, an attachment 10 MiB.";
    UriTooLong = "uri-too-long", URI_TOO_LONG, "The address is too long",
        "Path and query may have 4 KiB together.";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be application/json",
        "Send Content-Type: application/json; the only character set is UTF-8.";
    UnsupportedAttachment = "unsupported-attachment", UNSUPPORTED_MEDIA_TYPE, "Files of this kind are not taken",
        "Content-Type must be one of image/jpeg, image/png, image/gif, image/webp, application/pdf, audio/amr, audio/mpeg, video/mp4, video/3gpp, text/vcard.";
    UnsupportedEncoding = "unsupported-encoding", UNSUPPORTED_MEDIA_TYPE, "The body must not be compressed",
        "Send the body as it is, without Content-Encoding.";
    InvalidMessage = "invalid-message", UNPROCESSABLE_ENTITY, "The body is not of the expected form",
        "A message is a JSON object, a batch an object with the array messages. The detail says what was found.";
    UnknownField = "unknown-field", UNPROCESSABLE_ENTITY, "A field is unknown",
        "Fields that Naru does not know are refused, so that a misspelt one is not silently ignored. The detail names it.";
    InvalidSimulation = "invalid-simulation", UNPROCESSABLE_ENTITY, "The header Naru-Simulate cannot be read",
        "Naru-Simulate names an outcome and its parameters as an item of RFC 9651. The detail says what is wrong with it.";
    SimulationOnLive = "simulation-on-live", UNPROCESSABLE_ENTITY, "Nothing is simulated here",
        "Naru-Simulate is for the sandbox: below /v1.0 messages are really sent. Nothing was accepted.";
    InvalidKey = "invalid-key", UNPROCESSABLE_ENTITY, "The idempotency key is not valid",
        "A key is 1 to 255 printable ASCII characters without spaces at its ends, in the header Idempotency-Key bare or quoted, in a batch in the field key.";
    InvalidChannel = "invalid-channel", UNPROCESSABLE_ENTITY, "The channel is not valid",
        "A channel is sms, lms, mms or a name that the operator defined: lower-case letters, digits, - and _, at most 32.";
    InvalidRecipient = "invalid-recipient", UNPROCESSABLE_ENTITY, "The recipient is not valid",
        "For sms, lms and mms: a number in E.164, such as +821012345678. For other channels: 1 to 64 characters.";
    InvalidSender = "invalid-sender", UNPROCESSABLE_ENTITY, "The sender is not valid",
        "A sender has 1 to 64 characters, without control characters.";
    SenderUnregistered = "sender-unregistered", UNPROCESSABLE_ENTITY, "The sender is not registered",
        "This customer's messages are sent in the name of registered senders only, and name one. A number is the same however it is written. The operator registers senders.";
    InvalidSubject = "invalid-subject", UNPROCESSABLE_ENTITY, "The subject is not valid",
        "A subject has at most 255 characters. Where the route counts by Korean rules, lms and mms take 40 bytes of EUC-KR, and sms takes none.";
    InvalidBody = "invalid-body", UNPROCESSABLE_ENTITY, "The text is not valid",
        "A message without attachments needs a body that is not empty.";
    TextTooLong = "text-too-long", UNPROCESSABLE_ENTITY, "The text is too long for its channel",
        "The text does not fit into what the route sends by this channel: segments, or bytes of EUC-KR (sms 90, lms and mms 2000). Send it by lms, or shorten it. The detail says how long it may be.";
    TextNotWritable = "text-not-writable", UNPROCESSABLE_ENTITY, "A character cannot be sent by this route",
        "The route writes EUC-KR (code page 949), in sms as in lms and mms. The detail names the first character that it cannot write.";
    InvalidAttachments = "invalid-attachments", UNPROCESSABLE_ENTITY, "The list of attachments is not valid",
        "attachments is a list of at most 10 different ids of 20 MiB together; sms and lms carry none.";
    UnknownAttachment = "unknown-attachment", UNPROCESSABLE_ENTITY, "An attachment is unknown",
        "Attachments are named by ids that an upload returned to this customer; the id given is none of them, or is kept no more. The detail names it by its place in the list.";
    AttachmentTooOld = "attachment-too-old", UNPROCESSABLE_ENTITY, "An attachment is too old to be named",
        "An attachment may be named for 7 days after it was uploaded. Upload it again: it has the same id, for 7 days more.";
    InvalidAttachment = "invalid-attachment", UNPROCESSABLE_ENTITY, "The file is not what it is said to be",
        "The body must be a whole file of the kind that Content-Type names. Nothing was kept.";
    InvalidData = "invalid-data", UNPROCESSABLE_ENTITY, "The data object is not valid",
        "data is an object of at most 16 KiB.";
    InvalidLane = "invalid-lane", UNPROCESSABLE_ENTITY, "The lane is not valid",
        "A lane is express or bulk.";
    InvalidReference = "invalid-reference", UNPROCESSABLE_ENTITY, "The reference is not valid",
        "A reference has 1 to 255 characters.";
    InvalidSendAt = "invalid-send-at", UNPROCESSABLE_ENTITY, "The time to send is not valid",
        "send_at is an RFC 3339 time with seconds and an offset or Z, such as 2026-11-22T18:00:00+09:00, at most 30 days ahead.";
    InvalidTtl = "invalid-ttl", UNPROCESSABLE_ENTITY, "The time to live is not valid",
        "ttl is a whole number of seconds from 1 to 2592000 (30 days).";
    InvalidReport = "invalid-report", UNPROCESSABLE_ENTITY, "Nothing in it can be read as a report",
        "A provider's call is read as its route says: JSON or a form, where the ids and the statuses stand, and what they mean. Nothing was taken.";
    EmptyBatch = "empty-batch", UNPROCESSABLE_ENTITY, "The list is empty",
        "A batch has 1 to 1000 messages; an acknowledgement has 1 to 1000 reports.";
    BatchTooLarge = "batch-too-large", UNPROCESSABLE_ENTITY, "The list is too long",
        "A batch has at most 1000 messages, and not more than the customer's rates let in at once; an acknowledgement at most 1000 reports.";
    NoRoute = "no-route", UNPROCESSABLE_ENTITY, "No route takes this channel",
        "The operator has not assigned a route to this customer and channel.";
    IdempotencyConflict = "idempotency-conflict", UNPROCESSABLE_ENTITY, "The key was used for another content",
        "An idempotency key stands for one content for 30 days. Use a new key for a new message.";
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests",
        "The customer calls faster than its rates allow. Nothing was accepted. Retry-After says when to call again.";
    TooManyGuesses = "too-many-guesses", TOO_MANY_REQUESTS, "Too many wrong passwords",
        "From this address the API key of the credential came with too many wrong passwords. Nothing was accepted. Retry-After says when a password is looked at again; one that was accepted within the last hour is accepted meanwhile, and so is the right one from elsewhere.";
    QuotaExceeded = "quota-exceeded", TOO_MANY_REQUESTS, "The quota is used up",
        "The units of this period are used up. Retry-After says when the quota is renewed; a prepaid quota is renewed by buying more.";
    TooManyReads = "too-many-reads", TOO_MANY_REQUESTS, "Too many reads at once",
        "The customer has too many reads or long polls under way at once. Call again when one has been answered.";
    RouteTooSlow = "route-too-slow", TOO_MANY_REQUESTS, "The message would not begin within its time to live",
        "More of this customer's express messages wait on the route than it begins within the message's ttl, at the rate measured lately. Nothing was accepted. Retry-After says when there is room at that rate; a message with a longer ttl, or in the lane bulk, is taken now.";
    BacklogFull = "backlog-full", TOO_MANY_REQUESTS, "Too many messages of this customer are waiting",
        "The route still works on what this customer sent before. Nothing was accepted; call again later.";
    HeadTooLarge = "head-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The head is too large",
        "A head may have 64 headers and 16 KiB.";
    NoAttachments = "no-attachments", NOT_IMPLEMENTED, "Attachments are not kept here",
        "The operator has given this deployment no place for files: send messages without attachments.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something is wrong on this side",
        "Nothing was accepted. Tell the operator the request id.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not available for the moment",
        "Something that this call needs does not answer. Nothing was changed; call again later.";
    AttachmentsUnavailable = "attachments-unavailable", SERVICE_UNAVAILABLE, "Attachments cannot be kept or looked up for the moment",
        "The place where files are kept does not answer. Nothing was accepted or kept; call again later.";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Too many calls at once",
        "Nothing was accepted. Call again after a moment.";
    LowDisk = "low-disk", SERVICE_UNAVAILABLE, "No room to accept messages",
        "Nothing was accepted. The operator must make room; call again later.";
    Draining = "draining", SERVICE_UNAVAILABLE, "This server is about to stop",
        "Nothing was accepted. Call again; another server or the next life of this one will answer.";
    RouteFull = "route-full", SERVICE_UNAVAILABLE, "Too many messages are waiting on the route",
        "The route cannot keep up. Nothing was accepted; call again later.";
    QueueUnavailable = "queue-unavailable", SERVICE_UNAVAILABLE, "The queue did not take the message",
        "Nothing was accepted and nothing will be charged. Call again later.";
    ReportUnknown = "report-unknown", SERVICE_UNAVAILABLE, "It is not known whether the reports were taken",
        "The queue did not confirm in time. Make the same call again: what was taken is not reported twice.";
    AcceptUnknown = "accept-unknown", SERVICE_UNAVAILABLE, "It is not known whether the message was accepted",
        "The queue did not confirm in time. Call again with the same content and the Idempotency-Key given in the member key: if the message was accepted, it is not sent twice.";
}

/// Code, status, title, page and advice of every refusal, for documentation and tests.
#[must_use]
pub fn table() -> Vec<(&'static str, u16, &'static str, &'static str, &'static str)> {
    Code::ALL.iter().map(|c| (c.as_str(), c.status().as_u16(), c.title(), c.page(), c.advice())).collect()
}

impl Code {
    /// Whether it refuses a caller for who it is, or for how much it asks.
    pub fn is_denial(self) -> bool {
        matches!(self.status().as_u16(), 401 | 403 | 429)
    }

    /// The code of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it means.
    pub code: Code,
    /// A sentence about this occurrence; the table's page where it is empty.
    pub detail: Cow<'static, str>,
    /// Seconds after which another call may succeed.
    pub retry_after: Option<u64>,
    /// The message of which it speaks, and the key to try again with.
    pub doubt: Option<Box<Doubt>>,
    /// The methods of the path, for `405`.
    pub allow: Option<&'static str>,
    /// Whether it refuses what a token was to prove (RFC 6750 section 3).
    pub of_token: bool,
}

/// A message of which it is not known whether it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Doubt {
    /// Its id.
    pub id: String,
    /// The key to try again with.
    pub key: String,
}

impl Problem {
    /// A refusal with a sentence of its own.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), retry_after: None, doubt: None, allow: None, of_token: false }
    }

    /// The same, of a call that came with a token.
    pub fn of_token(mut self) -> Self {
        self.of_token = true;
        self
    }

    /// The same with a moment to call again.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self.code.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }

    /// As it is written; `instance` is the request's id.
    pub fn document<'a>(&'a self, instance: &'a str) -> Document<'a> {
        Document {
            kind: format!("/problems/{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            code: self.code.as_str(),
            detail: if self.detail.is_empty() { self.code.page() } else { &self.detail },
            instance,
            doubt: self.doubt.as_deref(),
        }
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        let problem = Self::new(code, "");
        match code.status() {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT if code != Code::NotCancellable => {
                problem.retry_after(1)
            }
            _ if code == Code::TooManyReads => problem.retry_after(1),
            _ => problem,
        }
    }
}

/// A problem as it is written (RFC 9457 section 3).
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Problem", description = "A refusal (RFC 9457). Decide by its code.")]
pub struct Document<'a> {
    /// Where a page says what it means and what to do.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri-reference"))]
    kind: String,
    /// The same for each code; for people.
    title: &'static str,
    /// The status of the answer; in a batch, the one that the item would have been answered with alone.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What it means, for programs.
    code: &'static str,
    /// What it means here; for people.
    detail: &'a str,
    /// The id of the call, as in the header Request-Id.
    #[schemars(regex(pattern = "^req_"))]
    instance: &'a str,
    /// Of `accept-unknown` alone.
    #[serde(flatten)]
    doubt: Option<&'a Doubt>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_word_and_reads_back() {
        for code in Code::ALL {
            assert_eq!(Code::from_word(code.as_str()), Some(*code));
            assert!(code.status().is_client_error() || code.status().is_server_error());
            assert!(code.page().ends_with('.'), "{code:?}");
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        }
        assert_eq!(Code::from_word("unheard-of"), None);
    }

    #[test]
    fn a_problem_is_written_as_documented() {
        let problem = Problem::new(Code::RateLimited, "slow down").retry_after(2);
        assert_eq!(
            serde_json::to_string(&problem.document("req_1")).unwrap(),
            r#"{"type":"/problems/rate-limited","title":"Too many requests","status":429,"code":"rate-limited","detail":"slow down","instance":"req_1"}"#
        );
        let doubt = Some(Box::new(Doubt { id: "msg_1".into(), key: "k".into() }));
        let unknown = Problem { doubt, ..Problem::from(Code::AcceptUnknown) };
        let text = serde_json::to_value(unknown.document("req_1")).unwrap();
        assert_eq!((text["id"].as_str(), text["key"].as_str()), (Some("msg_1"), Some("k")));
        assert_eq!(text["detail"], Code::AcceptUnknown.page());
    }
}
