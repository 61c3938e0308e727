//! What calls have in common that they may be answered with. A further code is a word in one of these.

use crate::problem::Code;

/// Whatever is asked, before it is known what.
pub const ANY: &[Code] =
    &[Code::MalformedHead, Code::DuplicateHeader, Code::UriTooLong, Code::HeadTooLarge, Code::Internal];

/// Before it is known who asks; and what the sandbox simulates of any call. A way to prove who one is adds its codes here.
pub const CALLER: &[Code] = &[
    Code::MalformedForwarded,
    Code::MissingAuthorization,
    Code::MalformedAuthorization,
    Code::MalformedToken,
    Code::InvalidClaim,
    Code::TokenExpired,
    Code::TokenNotYetValid,
    Code::MalformedSignature,
    Code::SignatureIncomplete,
    Code::StaleSignature,
    Code::SignedDigestMismatch,
    Code::NonceReplayed,
    Code::Unauthorized,
    Code::AddressNotAllowed,
    Code::WrongEnvironment,
    Code::Suspended,
    Code::InsufficientScope,
    Code::InvalidSimulation,
    Code::SimulationOnLive,
    Code::RateLimited,
    Code::TooManyGuesses,
    Code::Unavailable,
    Code::Overloaded,
];

/// A body of JSON.
pub const JSON: &[Code] = &[
    Code::MalformedJson,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::Overloaded,
];

/// What accepts something.
pub const ACCEPT: &[Code] = &[Code::LowDisk, Code::Draining];

/// Asks the ledger.
pub const READ: &[Code] = &[Code::TooManyReads];

/// One message.
pub const MESSAGE: &[Code] = &[
    Code::KeyInFlight,
    Code::DuplicateContent,
    Code::InvalidMessage,
    Code::UnknownField,
    Code::InvalidKey,
    Code::InvalidChannel,
    Code::InvalidRecipient,
    Code::InvalidSender,
    Code::SenderUnregistered,
    Code::InvalidSubject,
    Code::InvalidBody,
    Code::TextTooLong,
    Code::TextNotWritable,
    Code::InvalidAttachments,
    Code::UnknownAttachment,
    Code::AttachmentTooOld,
    Code::InvalidData,
    Code::InvalidLane,
    Code::InvalidReference,
    Code::InvalidSendAt,
    Code::InvalidTtl,
    Code::NoRoute,
    Code::IdempotencyConflict,
    Code::QuotaExceeded,
    Code::BacklogFull,
    Code::RouteTooSlow,
    Code::NoAttachments,
    Code::RouteFull,
    Code::QueueUnavailable,
    Code::AttachmentsUnavailable,
    Code::AcceptUnknown,
];

/// A list of messages or reports.
pub const LIST: &[Code] = &[Code::InvalidMessage, Code::EmptyBatch, Code::BatchTooLarge];

/// A file.
pub const ATTACHMENT: &[Code] = &[
    Code::MalformedDigest,
    Code::DigestMismatch,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedAttachment,
    Code::UnsupportedEncoding,
    Code::InvalidAttachment,
    Code::NoAttachments,
    Code::Overloaded,
    Code::AttachmentsUnavailable,
];

/// What a provider tells.
pub const CALLBACK: &[Code] = &[
    Code::Unauthorized,
    Code::InvalidReport,
    Code::RateLimited,
    Code::LowDisk,
    Code::Unavailable,
    Code::QueueUnavailable,
    Code::ReportUnknown,
    Code::MalformedJson,
    Code::RequestTimeout,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::UnsupportedEncoding,
    Code::Overloaded,
];
