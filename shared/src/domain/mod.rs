//! The words of Naru as types: pure code, no I/O, no clock of its own.
//!
//! Everything from outside is parsed into these types once, at the edge; inside, a precondition is a type.

mod access;
mod account;
mod alarm;
mod code;
mod customer;
mod envelope_format;
mod event;
mod event_kind;
mod ids;
mod message;
mod names;
mod nonce;
mod notice;
mod outcome;
mod pack;
mod party;
mod quiet;
mod quota;
mod report;
mod reporting;
mod retry;
mod route;
mod schema;
mod simulation;
mod state;
mod stored_backend;
mod stored_credential;
mod table;
mod time;
mod token_key;
mod trade;
mod transition;
mod webhook;

pub use access::{Access, NotAScope, Scope, Scopes};
pub use account::{Account, Environment, Lane};
pub use alarm::{AlarmEach, AlarmKind, AlarmRule, AlarmSubject, InvalidAlarm};
pub use code::{ChargeEffect, Code};
pub use customer::{
    ChosenPassword, Credential, CredentialKind, Customer, GatePolicy, RatePolicy, SealedSecret, SecretHash,
};
pub use envelope_format::{EnvelopeFormat, FORMATS, Malformed, PackHead, WRITTEN};
pub use event::{Event, HeldMessage};
pub use event_kind::{Audience, DataShape, EventKind, kinds};
pub use ids::{IncarnationId, IntakeToken, MessageId, Minter, ParseIdError};
pub(crate) use ids::{read_type_id, type_id};
pub use message::{Again, BackendKey, Content, Fingerprint, Key, Message, Units, masked};
pub use names::{
    AlarmName, ChannelName, CredentialId, CustomerId, InvalidName, Namespace, PriceClass, RouteName,
    SubscriptionName, WebhookName,
};
pub use nonce::{InvalidNonce, Nonce, NonceMark, SignedCall};
pub use notice::{NOTICE_GROUP, Notice, NoticePack, PACK_NOTICES, Said};
pub use outcome::{Answer, AnswerHead, Outcome, http_outcome};
pub use pack::{
    Envelope, EnvelopeError, EnvelopeKeys, NOTICES, Opened, PACK_MESSAGES, Pack, PackEncoder, UnknownFormat,
};
pub use party::{InvalidParty, Party, Senders};
pub use quiet::{Hours, Hushed, InvalidHours, QuietHours, QuietRules, TimeOfDay};
pub use quota::{Day, Period, Quota};
pub use report::{MessageView, Report};
pub use reporting::{CallbackDocument, Reporting};
pub use retry::{Lifetime, RetryPolicy};
pub use route::{
    Assignment, BackendConfig, HttpBackend, InvalidNetwork, IpNetwork, OnUncertain, Pacing, ProviderDocument,
    Route, ShownRoute, SimulatorBackend,
};
pub(crate) use schema::type_id_pattern;
pub use simulation::{InvalidSimulation, OUTCOMES, PARAMETERS, Simulated, Simulation};
pub use state::State;
pub use table::{
    InvalidMapping, InvalidTableUrl, PRESETS, TableBackend, TableColumns, TableEngine, TableKey,
    TableMapping, TableResults, TableStatus, TableUrl, Verdict, preset,
};
pub use time::{Clock, InvalidTimestamp, ManualClock, SystemClock, TimeZone, Timestamp};
pub use token_key::{InvalidKeyId, KeyId, KeyMaterial, PublicKey, TOKEN_KEYS, TokenAlgorithm, TokenKey};
pub use trade::{TextRule, Trade};
pub use transition::{Facts, Next, next_state};
pub use webhook::{InvalidKind, MessageKind, Webhook, WebhookId, WebhookState, WhyDisabled};
