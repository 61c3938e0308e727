//! The bucket with blobs: closed to the public, encrypted at rest, and what is old is removed by a rule of its own.
//!
//! Rules of others stay as they are; ours is known by its name.

use std::collections::BTreeMap;

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    CreateBucketConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
    PublicAccessBlockConfiguration, ServerSideEncryption, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use serde_json::{Value, json};

use super::{
    Infra,
    resource::{Found, Resource, Sort, Text},
};
use crate::aws::AwsTrouble;

/// Where buckets are made without saying where.
const FIRST_REGION: &str = "us-east-1";

/// An upload in parts that was never ended is removed after so many days.
const UNENDED_DAYS: i32 = 1;

const EXPIRY: &str = "Expiry";
const PRIVATE: &str = "PublicAccessBlock";
const ENCRYPTED: &str = "Encrypted";

/// A bucket of ours, or ours in a bucket that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What our keys begin with.
    pub keys: String,
    /// The days after which what is kept there is removed.
    pub days: u32,
}

impl Bucket {
    /// The bucket as it shall be.
    #[must_use]
    pub fn wanted(&self) -> Resource {
        let closed = json!({
            "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
        });
        let attributes = [
            (EXPIRY, Text::from(expiry(&self.keys, self.days))),
            (PRIVATE, Text::from(closed)),
            (ENCRYPTED, Text::from("true")),
        ];
        Resource { sort: Sort::Bucket, name: self.name.clone(), attributes: attributes.into() }
    }

    fn rule_name(&self) -> String {
        format!("naru {}", self.keys)
    }

    fn rule(&self) -> Result<LifecycleRule, AwsTrouble> {
        let days = i32::try_from(self.days).unwrap_or(i32::MAX);
        let unended = AbortIncompleteMultipartUpload::builder().days_after_initiation(UNENDED_DAYS).build();
        LifecycleRule::builder()
            .id(self.rule_name())
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix(&self.keys).build())
            .expiration(LifecycleExpiration::builder().days(days).build())
            .abort_incomplete_multipart_upload(unended)
            .build()
            .map_err(|error| AwsTrouble::settled(error.to_string()))
    }
}

fn expiry(keys: &str, days: u32) -> Value {
    json!({ "prefix": keys, "days": days, "status": "Enabled" })
}

impl Infra {
    pub(super) async fn look_for_bucket(&self, bucket: &Bucket) -> Result<Vec<Found>, AwsTrouble> {
        let name = &bucket.name;
        match self.call("HeadBucket", self.s3.head_bucket().bucket(name).send()).await {
            Err(trouble) if trouble.is_missing() => return Ok(Vec::new()),
            Err(trouble) if trouble.is_wordless_denial() => return Err(closed(name)),
            answer => answer?,
        };
        let (mut attributes, mut unspoken) = (BTreeMap::new(), Vec::new());
        let rules = known(EXPIRY, self.rules(name).await, &mut unspoken)?.unwrap_or_default();
        let ours = rules.into_iter().find(|rule| rule.id() == Some(&bucket.rule_name()));
        if let Some(rule) = ours {
            let prefix = rule.filter().and_then(|filter| filter.prefix()).unwrap_or_default();
            let days = rule.expiration().and_then(|expiration| expiration.days()).unwrap_or_default();
            let is = json!({ "prefix": prefix, "days": days, "status": rule.status().as_str() });
            attributes.insert(EXPIRY.to_owned(), Text::from(is));
        }
        let asked = self.s3.get_public_access_block().bucket(name).send();
        let said = unless_none(self.call("GetPublicAccessBlock", asked).await, "NoSuchPublicAccessBlock");
        let said = known(PRIVATE, said, &mut unspoken)?;
        if let Some(is) = said.flatten().and_then(|said| said.public_access_block_configuration) {
            let is = json!({
                "BlockPublicAcls": is.block_public_acls.unwrap_or_default(),
                "IgnorePublicAcls": is.ignore_public_acls.unwrap_or_default(),
                "BlockPublicPolicy": is.block_public_policy.unwrap_or_default(),
                "RestrictPublicBuckets": is.restrict_public_buckets.unwrap_or_default(),
            });
            attributes.insert(PRIVATE.to_owned(), Text::from(is));
        }
        let asked = self.s3.get_bucket_encryption().bucket(name).send();
        let said = self.call("GetBucketEncryption", asked).await;
        let said = unless_none(said, "ServerSideEncryptionConfigurationNotFound");
        // With a key of the operator's own, too.
        if known(ENCRYPTED, said, &mut unspoken)?
            .flatten()
            .and_then(|said| said.server_side_encryption_configuration)
            .is_some_and(|is| !is.rules.is_empty())
        {
            attributes.insert(ENCRYPTED.to_owned(), Text::from("true"));
        }
        Ok(vec![Found { sort: Sort::Bucket, name: name.clone(), handle: name.clone(), attributes, unspoken }])
    }

    async fn rules(&self, name: &str) -> Result<Vec<LifecycleRule>, AwsTrouble> {
        let asked = self.s3.get_bucket_lifecycle_configuration().bucket(name).send();
        let said = self.call("GetBucketLifecycleConfiguration", asked).await;
        let said = unless_none(said, "NoSuchLifecycleConfiguration")?;
        Ok(said.and_then(|said| said.rules).unwrap_or_default())
    }

    pub(super) async fn make_bucket(&self, bucket: &Bucket) -> Result<(), AwsTrouble> {
        let region = self.account().region();
        let place = (region != FIRST_REGION).then(|| {
            let place = BucketLocationConstraint::from(region);
            CreateBucketConfiguration::builder().location_constraint(place).build()
        });
        let asked =
            self.s3.create_bucket().bucket(&bucket.name).set_create_bucket_configuration(place).send();
        match self.call("CreateBucket", asked).await {
            Err(trouble) if trouble.code() == Some("BucketAlreadyOwnedByYou") => {}
            answer => drop(answer?),
        }
        let there = self.look_for_bucket(bucket).await?;
        let unspoken = there.into_iter().flat_map(|found| found.unspoken).collect::<Vec<_>>();
        for attribute in [PRIVATE, ENCRYPTED, EXPIRY] {
            if !unspoken.contains(&attribute) {
                self.mend_bucket(bucket, attribute).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn mend_bucket(&self, bucket: &Bucket, attribute: &str) -> Result<(), AwsTrouble> {
        match attribute {
            EXPIRY => self.expire_in_time(bucket).await,
            PRIVATE => {
                let closed = PublicAccessBlockConfiguration::builder()
                    .block_public_acls(true)
                    .ignore_public_acls(true)
                    .block_public_policy(true)
                    .restrict_public_buckets(true)
                    .build();
                let asked = self.s3.put_public_access_block().bucket(&bucket.name);
                let asked = asked.public_access_block_configuration(closed).send();
                self.call("PutPublicAccessBlock", asked).await.map(drop)
            }
            _ => self.encrypt(&bucket.name).await,
        }
    }

    async fn expire_in_time(&self, bucket: &Bucket) -> Result<(), AwsTrouble> {
        let (mut rules, ours) = (self.rules(&bucket.name).await?, bucket.rule_name());
        rules.retain(|rule| rule.id() != Some(&ours));
        rules.push(bucket.rule()?);
        let all = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build();
        let all = all.map_err(|error| AwsTrouble::settled(error.to_string()))?;
        let asked = self.s3.put_bucket_lifecycle_configuration().bucket(&bucket.name);
        let asked = asked.lifecycle_configuration(all).send();
        self.call("PutBucketLifecycleConfiguration", asked).await.map(drop)
    }

    async fn encrypt(&self, name: &str) -> Result<(), AwsTrouble> {
        let settled =
            |error: aws_smithy_types::error::operation::BuildError| AwsTrouble::settled(error.to_string());
        let by = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256).build();
        let by = by.map_err(settled)?;
        let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(by).build();
        let all = ServerSideEncryptionConfiguration::builder().rules(rule).build().map_err(settled)?;
        let asked = self.s3.put_bucket_encryption().bucket(name).server_side_encryption_configuration(all);
        self.call("PutBucketEncryption", asked.send()).await.map(drop)
    }
}

/// S3 says no more than `403` where somebody may not know of a bucket.
fn closed(name: &str) -> AwsTrouble {
    let why = format!(
        "S3 answers 403 for the bucket {name}: whoever calls lacks the permission s3:ListBucket on it (`naru infra iam` prints \
         what is needed), or it is somebody else's"
    );
    AwsTrouble::settled(why)
}

/// Nothing, and noted, if the store knows nothing of this.
fn known<T>(
    attribute: &'static str,
    answer: Result<T, AwsTrouble>,
    unspoken: &mut Vec<&'static str>,
) -> Result<Option<T>, AwsTrouble> {
    match answer {
        Err(trouble) if trouble.is_unspoken() => {
            unspoken.push(attribute);
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

/// Nothing, if the answer is that there is none.
fn unless_none<T>(answer: Result<T, AwsTrouble>, word: &str) -> Result<Option<T>, AwsTrouble> {
    match answer {
        Err(trouble) if trouble.code().is_some_and(|code| code.starts_with(word)) => Ok(None),
        answer => answer.map(Some),
    }
}
