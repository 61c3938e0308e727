//! The port `blobs`: what is too large for a queue or a row. Attachments of messages, and packs that a queue does not take.
//!
//! A blob's name is made of what it holds, so nothing is ever written under a name that means something else already, and
//! writing it again only renews it. Nobody counts who names it: it is kept for longer than anything that names it can last
//! ([`LIFE`]).

mod attachment;
mod blob;
mod disk;
mod life;
mod media;
mod name;
mod s3;

use async_trait::async_trait;
pub use attachment::{AttachmentId, AttachmentKeys, LARGEST, NotItself};
pub use blob::{Blob, BlobHead, InvalidDigest, OpenBlob, Sha256Sum};
pub use disk::{Copied, DiskBlobs, copy as copy_disk, inspect as inspect_disk};
pub use life::{LIFE, NAMEABLE, expiry_days};
pub use media::{MediaType, UnknownMedia};
pub use name::BlobName;
pub use s3::{Checksums, InvalidS3Settings, S3Blobs, S3Settings};

use crate::domain::Timestamp;

/// The most bytes of a blob: an attachment has [`LARGEST`], a pack less.
pub const MOST: u64 = 16 << 20;

/// Why a blob was not kept or not given; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not there: it never was, or its time is over. To ask again changes nothing.
    #[error("there is no such blob")]
    Gone,
    /// What lies there is not what was put there. It is never handed out; to put it again mends it.
    #[error("the blob is damaged: {0}")]
    Damaged(&'static str),
    /// There is no room for it.
    #[error("there is no room for blobs")]
    Full,
    /// The store does not answer, or not as it should: try again with back-off.
    #[error("the blobs are not available")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keeps blobs. Every call has a time-out of its own; all are idempotent.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Keeps a blob under its name. `Ok` promises that it survives a crash of every process involved, whole, for [`LIFE`]
    /// from now on. What lay under that name before is replaced, at once or not at all.
    async fn put(&self, name: &BlobName, blob: &Blob) -> Result<(), BlobError>;

    /// What a blob is, without its content.
    async fn head(&self, name: &BlobName) -> Result<BlobHead, BlobError>;

    /// Begins to read a blob: what it is comes first, so that room can be made; what it holds is compared with its digest
    /// when it is read ([`OpenBlob::read`]).
    async fn open(&self, name: &BlobName) -> Result<OpenBlob, BlobError>;

    /// Removes some of what was put before that moment, if this process is to do it, and tells whether there may be more. A
    /// store that does so by a rule of its own has nothing to do.
    async fn expire(&self, before: Timestamp) -> Result<bool, BlobError>;
}
