//! Blobs in a bucket of S3, or of a store that speaks as it does.
//!
//! What a blob is stands in the object's metadata; when it was put is when the object was written. Old ones are removed by a
//! rule of the bucket ([`expiry_days`](super::expiry_days)), not by us. The content's SHA-256 is sent along, so that the store
//! refuses what was damaged on its way to it, and compared again by whoever reads.

mod calls;
mod settings;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation},
};
pub use settings::{Checksums, InvalidS3Settings, S3Settings};
use tokio::{runtime::Handle, sync::OnceCell, time::timeout};

use super::{Blob, BlobError, BlobHead, BlobName, Blobs, MOST, OpenBlob};
use crate::{
    aws::Aws,
    domain::Timestamp,
    ports::{Probe, ProbeError},
};

/// How long a bucket that answered is taken for one that does: each question is paid for.
const STANDS: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Clone)]
pub struct S3Blobs(Arc<Bucket>);

pub(super) struct Bucket {
    settings: S3Settings,
    aws: Aws,
    client: OnceCell<Client>,
    runtime: Handle,
}

/// Something did not come in time, or ended with its task.
fn away(error: impl std::error::Error + Send + Sync + 'static) -> BlobError {
    BlobError::Away(Box::new(error))
}

impl S3Blobs {
    /// The bucket; nothing is asked before the first call.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn open(settings: &S3Settings, runtime: &Handle) -> Result<Self, InvalidS3Settings> {
        Self::over(Aws::new(settings.aws()), settings, runtime)
    }

    /// The same, called as whoever this is.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn over(aws: Aws, settings: &S3Settings, runtime: &Handle) -> Result<Self, InvalidS3Settings> {
        settings.check()?;
        Ok(Self(Arc::new(Bucket {
            aws,
            settings: settings.clone(),
            client: OnceCell::new(),
            runtime: runtime.clone(),
        })))
    }

    /// The days after which an enabled rule of the bucket removes what is kept here, the fewest if there are several; none
    /// if no rule does.
    ///
    /// # Errors
    /// If the bucket does not tell.
    pub async fn rule_days(&self) -> Result<Option<u32>, BlobError> {
        self.call(|bucket| async move { bucket.rule_days().await }).await
    }

    /// Runs a call where engines run, within its time. It goes on if nobody waits any more.
    async fn call<T, F>(&self, call: impl FnOnce(Arc<Bucket>) -> F) -> Result<T, BlobError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BlobError>> + Send + 'static,
    {
        let call = timeout(self.0.aws.settings().call_timeout(), call(Arc::clone(&self.0)));
        self.0.runtime.spawn(call).await.map_err(away)?.map_err(away)?
    }
}

impl Bucket {
    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| async {
                let config =
                    Builder::from(self.aws.config().await).force_path_style(self.settings.endpoint.is_some());
                let config = match self.settings.checksums {
                    Checksums::Supported => config
                        .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
                        .response_checksum_validation(ResponseChecksumValidation::WhenSupported),
                    Checksums::Required => config
                        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                        .response_checksum_validation(ResponseChecksumValidation::WhenRequired),
                };
                Client::from_conf(config.build())
            })
            .await
    }

    fn key(&self, name: &BlobName) -> String {
        format!("{}{name}", self.settings.keys())
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, name: &BlobName, blob: &Blob) -> Result<(), BlobError> {
        if blob.content().len() as u64 > MOST {
            return Err(BlobError::Full);
        }
        let (name, blob) = (name.clone(), blob.clone());
        self.call(|bucket| async move { bucket.put(&name, &blob).await }).await
    }

    async fn head(&self, name: &BlobName) -> Result<BlobHead, BlobError> {
        let name = name.clone();
        self.call(|bucket| async move { bucket.head(&name).await }).await
    }

    async fn open(&self, name: &BlobName) -> Result<OpenBlob, BlobError> {
        let name = name.clone();
        let (head, body) = self.call(|bucket| async move { bucket.get(&name).await }).await?;
        let this = self.clone();
        let rest = async move { this.call(|_| async move { calls::collect(body, head.bytes).await }).await };
        Ok(OpenBlob::new(head, rest))
    }

    async fn expire(&self, _before: Timestamp) -> Result<bool, BlobError> {
        Ok(false)
    }
}

#[async_trait]
impl Probe for S3Blobs {
    fn name(&self) -> &str {
        "blobs"
    }

    async fn ask(&self) -> Result<(), ProbeError> {
        match self.call(|bucket| async move { Ok(bucket.is_there().await) }).await {
            Ok(answer) => answer,
            Err(error) => Err(ProbeError::Away(Box::new(error))),
        }
    }

    fn stands(&self) -> Duration {
        STANDS
    }
}
