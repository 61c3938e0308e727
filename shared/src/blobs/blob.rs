//! A blob, what is known of it, and what makes sure that it is itself.

use std::{fmt, future::Future, pin::Pin, str::FromStr};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{BlobError, MediaType};
use crate::domain::Timestamp;

/// SHA-256 of a content; printed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Sum([u8; 32]);

/// Text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct InvalidDigest;

impl Sha256Sum {
    /// Of these bytes.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// From its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256Sum {
    type Err = InvalidDigest;
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| InvalidDigest)?;
        bytes.try_into().map(Self).map_err(|_| InvalidDigest)
    }
}

/// What is known of a blob without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobHead {
    /// What it is.
    pub media_type: MediaType,
    /// Bytes of its content.
    pub bytes: u64,
    /// The digest of its content, as it was told when it was put.
    pub digest: Sha256Sum,
    /// When it was put last.
    pub put_at: Timestamp,
}

/// A content that is what its digest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    media_type: MediaType,
    digest: Sha256Sum,
    content: Bytes,
}

impl Blob {
    /// Of these bytes.
    #[must_use]
    pub fn new(media_type: MediaType, content: Bytes) -> Self {
        Self { media_type, digest: Sha256Sum::of(&content), content }
    }

    /// What it is.
    #[must_use]
    pub const fn media_type(&self) -> MediaType {
        self.media_type
    }

    /// The digest of its content.
    #[must_use]
    pub const fn digest(&self) -> &Sha256Sum {
        &self.digest
    }

    /// Its content.
    #[must_use]
    pub const fn content(&self) -> &Bytes {
        &self.content
    }
}

/// What an adapter reads when it is asked to.
type Rest = Pin<Box<dyn Future<Output = Result<Bytes, BlobError>> + Send>>;

/// A blob of which the head has come.
pub struct OpenBlob {
    head: BlobHead,
    rest: Rest,
}

impl fmt::Debug for OpenBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBlob").field("head", &self.head).finish_non_exhaustive()
    }
}

impl OpenBlob {
    /// With what reads the rest, of no more bytes than the head says.
    pub(super) fn new(
        head: BlobHead,
        rest: impl Future<Output = Result<Bytes, BlobError>> + Send + 'static,
    ) -> Self {
        Self { head, rest: Box::pin(rest) }
    }

    /// What it is said to be.
    #[must_use]
    pub const fn head(&self) -> &BlobHead {
        &self.head
    }

    /// Reads it. What is not what it is said to be is not handed out.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] if it is another; [`BlobError::Away`] if it does not come.
    pub async fn read(self) -> Result<Blob, BlobError> {
        let content = self.rest.await?;
        if content.len() as u64 != self.head.bytes {
            return Err(BlobError::Damaged("it has another length"));
        }
        let blob = Blob::new(self.head.media_type, content);
        if blob.digest == self.head.digest {
            Ok(blob)
        } else {
            Err(BlobError::Damaged("it has another digest"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_what_it_is_said_to_be_is_not_handed_out() {
        let blob = Blob::new(MediaType::Png, Bytes::from_static(b"abc"));
        let head = BlobHead {
            media_type: MediaType::Png,
            bytes: 3,
            digest: *blob.digest(),
            put_at: Timestamp::from_millis(0),
        };
        let reads = |content: &'static [u8]| {
            OpenBlob::new(head, async move { Ok(Bytes::from_static(content)) }).read()
        };
        assert_eq!(reads(b"abc").await.unwrap(), blob);
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(matches!(reads(other).await, Err(BlobError::Damaged(_))));
        }
        assert_eq!(blob.digest().to_string().parse(), Ok(*blob.digest()));
        assert_eq!("00".parse::<Sha256Sum>(), Err(InvalidDigest));
    }
}
