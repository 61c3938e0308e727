//! Who looks and makes: the clients, in the operator's name.

use std::sync::Arc;

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};

use crate::aws::{Aws, AwsAccount, AwsTrouble};

/// The services that infrastructure is made of, in one account.
#[derive(Debug, Clone)]
pub struct Infra {
    aws: Arc<Aws>,
    account: AwsAccount,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) sns: aws_sdk_sns::Client,
    pub(super) s3: aws_sdk_s3::Client,
}

impl Infra {
    /// In the account of the credentials, unless its number is given.
    ///
    /// # Errors
    /// If the account cannot be told.
    pub async fn open(aws: Arc<Aws>, number: Option<&str>) -> Result<Self, AwsTrouble> {
        let account = AwsAccount::of(&aws, number).await?;
        let config = aws.config().await;
        let (sqs, sns) = (aws_sdk_sqs::Client::new(config), aws_sdk_sns::Client::new(config));
        // An address that is not the region's own seldom knows buckets by names of hosts.
        let of_s3 =
            aws_sdk_s3::config::Builder::from(config).force_path_style(aws.settings().endpoint.is_some());
        let s3 = aws_sdk_s3::Client::from_conf(of_s3.build());
        Ok(Self { account, sqs, sns, s3, aws })
    }

    /// Where everything is.
    #[must_use]
    pub const fn account(&self) -> &AwsAccount {
        &self.account
    }

    pub(super) async fn call<T, E>(
        &self,
        what: &'static str,
        asked: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, AwsTrouble>
    where
        E: std::error::Error
            + aws_smithy_types::error::metadata::ProvideErrorMetadata
            + Send
            + Sync
            + 'static,
    {
        crate::aws::call(what, self.aws.settings().call_timeout(), asked).await
    }
}
