//! The calls of S3, and what their answers mean.

use std::{collections::HashMap, error::Error};

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    primitives::{ByteStream, DateTime},
    types::{
        BucketLocationConstraint, ChecksumMode, CreateBucketConfiguration, ExpirationStatus, LifecycleRule,
        TransitionStorageClass,
    },
};
use bytes::{Bytes, BytesMut};

use super::{Bucket, Checksums, away};
use crate::{
    blobs::{Blob, BlobError, BlobHead, BlobName, MOST, Sha256Sum},
    domain::Timestamp,
    ports::ProbeError,
};

/// The digest in an object's metadata.
const DIGEST: &str = "naru-sha256";

/// The one region whose name a bucket must not be made with.
const FIRST_REGION: &str = "us-east-1";

/// Whether an error is an answer with this status.
fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

fn failed<E>(error: SdkError<E>) -> BlobError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    // A bucket that is missing is not a blob that is: somebody will make it.
    match error.code() {
        Some("NoSuchKey" | "NotFound") => BlobError::Gone,
        // HEAD has no body that could say what is missing.
        None if status(&error) == Some(404) => BlobError::Gone,
        _ => away(error),
    }
}

impl Bucket {
    pub(super) async fn put(&self, name: &BlobName, blob: &Blob) -> Result<(), BlobError> {
        match self.put_once(name, blob).await {
            Err(error) if self.settings.create && error.code() == Some("NoSuchBucket") => {
                self.make().await?;
                self.put_once(name, blob).await.map_err(failed)
            }
            done => done.map_err(failed),
        }
    }

    async fn put_once(
        &self,
        name: &BlobName,
        blob: &Blob,
    ) -> Result<(), SdkError<aws_sdk_s3::operation::put_object::PutObjectError>> {
        let mut call = self
            .client()
            .await
            .put_object()
            .bucket(&self.settings.bucket)
            .key(self.key(name))
            .content_type(blob.media_type().as_str())
            .metadata(DIGEST, blob.digest().to_string())
            .body(ByteStream::from(blob.content().clone()));
        if self.settings.checksums == Checksums::Supported {
            call = call.checksum_sha256(data_encoding::BASE64.encode(blob.digest().as_bytes()));
        }
        call.send().await.map(drop)
    }

    /// Makes the bucket; that it is there already is as well.
    async fn make(&self) -> Result<(), BlobError> {
        let client = self.client().await;
        let region = client.config().region().map(|region| region.as_ref().to_owned()).unwrap_or_default();
        let place = (region != FIRST_REGION).then(|| {
            let place = BucketLocationConstraint::from(region.as_str());
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let call =
            client.create_bucket().bucket(&self.settings.bucket).set_create_bucket_configuration(place);
        match call.send().await {
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            made => made.map(drop).map_err(away),
        }
    }

    pub(super) async fn head(&self, name: &BlobName) -> Result<BlobHead, BlobError> {
        let call = self.client().await.head_object().bucket(&self.settings.bucket).key(self.key(name));
        let found = call.send().await.map_err(failed)?;
        head(found.content_type(), found.metadata(), found.content_length(), found.last_modified())
    }

    pub(super) async fn get(&self, name: &BlobName) -> Result<(BlobHead, ByteStream), BlobError> {
        let mut call = self.client().await.get_object().bucket(&self.settings.bucket).key(self.key(name));
        if self.settings.checksums == Checksums::Supported {
            call = call.checksum_mode(ChecksumMode::Enabled);
        }
        let found = call.send().await.map_err(failed)?;
        let head =
            head(found.content_type(), found.metadata(), found.content_length(), found.last_modified())?;
        Ok((head, found.body))
    }

    /// Whether the bucket can be used.
    pub(super) async fn is_there(&self) -> Result<(), ProbeError> {
        let asked = self.client().await.head_bucket().bucket(&self.settings.bucket).send().await;
        let Err(error) = asked else { return Ok(()) };
        let bucket = &self.settings.bucket;
        match status(&error) {
            // The first blob makes it.
            Some(404) if self.settings.create => Ok(()),
            Some(404) => {
                Err(ProbeError::Unfit(format!("there is no bucket {bucket}: `naru infra apply` makes it")))
            }
            Some(403) => Err(ProbeError::Unfit(format!(
                "S3 answers 403 for the bucket {bucket}: this process lacks the permission s3:ListBucket on it (`naru infra iam` \
                 prints what is needed), or it is somebody else's"
            ))),
            _ => Err(ProbeError::Away(Box::new(error))),
        }
    }

    pub(super) async fn rule_days(&self) -> Result<Option<u32>, BlobError> {
        let call = self.client().await.get_bucket_lifecycle_configuration().bucket(&self.settings.bucket);
        let rules = match call.send().await {
            Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => return Ok(None),
            told => told.map_err(away)?,
        };
        let keys = self.settings.keys();
        Ok(rules.rules().iter().filter(|rule| reaches(rule, &keys)).filter_map(leaves).min())
    }
}

/// For how many days a rule leaves objects where they can be read: then it removes them or puts them into an archive, out of
/// which nothing is read before a person has it restored. From a date on it does so at any age.
fn leaves(rule: &LifecycleRule) -> Option<u32> {
    let after = |days: Option<i32>, date: Option<&DateTime>| match date {
        Some(_) => Some(0),
        None => days.and_then(|days| u32::try_from(days).ok()),
    };
    let removed = rule.expiration().and_then(|at| after(at.days(), at.date()));
    let is_archive = |class: &TransitionStorageClass| {
        matches!(class, TransitionStorageClass::Glacier | TransitionStorageClass::DeepArchive)
    };
    let archives = rule.transitions().iter().filter(|to| to.storage_class().is_some_and(is_archive));
    // A transition that says neither is made at once.
    let archived = archives.map(|to| after(to.days(), to.date()).unwrap_or(0));
    removed.into_iter().chain(archived).min()
}

/// Whether a rule is in force and may remove what begins with `keys`.
fn reaches(rule: &LifecycleRule, keys: &str) -> bool {
    #[expect(deprecated, reason = "old rules have their prefix there, and are in force all the same")]
    let plain = rule.prefix();
    let filter = rule.filter();
    let and = filter.and_then(|filter| filter.and()).and_then(|and| and.prefix());
    let prefix = filter.and_then(|filter| filter.prefix()).or(and).or(plain).unwrap_or_default();
    *rule.status() == ExpirationStatus::Enabled && (prefix.starts_with(keys) || keys.starts_with(prefix))
}

/// What an object says of itself. What does not say it as we write it was put by somebody else.
fn head(
    media_type: Option<&str>,
    metadata: Option<&HashMap<String, String>>,
    bytes: Option<i64>,
    put_at: Option<&DateTime>,
) -> Result<BlobHead, BlobError> {
    let digest: Option<Sha256Sum> = metadata.and_then(|all| all.get(DIGEST)?.parse().ok());
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes <= MOST);
    let media_type = media_type.and_then(|text| text.parse().ok());
    let (Some(digest), Some(bytes), Some(media_type)) = (digest, bytes, media_type) else {
        return Err(BlobError::Damaged("it does not say what it is"));
    };
    let put_at = put_at.and_then(|at| at.to_millis().ok()).ok_or(BlobError::Damaged("it has no moment"))?;
    Ok(BlobHead { media_type, bytes, digest, put_at: Timestamp::from_millis(put_at) })
}

/// Reads a body of so many bytes, and never more.
pub(super) async fn collect(mut body: ByteStream, bytes: u64) -> Result<Bytes, BlobError> {
    let mut content = BytesMut::with_capacity(usize::try_from(bytes).unwrap_or(0));
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| {
            if is_checksum(&error) { BlobError::Damaged("it has another checksum") } else { away(error) }
        })?;
        if (content.len() + piece.len()) as u64 > bytes {
            return Err(BlobError::Damaged("it has another length"));
        }
        content.extend_from_slice(&piece);
    }
    Ok(content.freeze())
}

/// Whether the body came and its checksum is not what the store told.
fn is_checksum(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string().contains("checksum mismatch") {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{LifecycleExpiration, Transition};

    use super::*;

    #[test]
    fn a_rule_leaves_what_it_neither_removes_nor_archives() {
        let rule = || LifecycleRule::builder().status(ExpirationStatus::Enabled);
        let to = |class| Transition::builder().storage_class(class);
        let date = DateTime::from_secs(1_800_000_000);
        let (archive, deep) = (TransitionStorageClass::Glacier, TransitionStorageClass::DeepArchive);
        for (rule, days) in [
            (rule(), None),
            (rule().expiration(LifecycleExpiration::builder().days(90).build()), Some(90)),
            (rule().expiration(LifecycleExpiration::builder().date(date).build()), Some(0)),
            (rule().transitions(to(archive.clone()).days(30).build()), Some(30)),
            (rule().transitions(to(deep.clone()).date(date).build()), Some(0)),
            (rule().transitions(to(archive).build()), Some(0)),
            (rule().transitions(to(TransitionStorageClass::GlacierIr).days(1).build()), None),
            (
                rule()
                    .expiration(LifecycleExpiration::builder().days(90).build())
                    .transitions(to(deep).days(60).build()),
                Some(60),
            ),
        ] {
            assert_eq!(leaves(&rule.build().unwrap()), days);
        }
    }
}
