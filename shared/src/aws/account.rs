//! Whose AWS it is, and what things are called in full there (Amazon Resource Names).

use std::fmt;

use super::{Aws, AwsTrouble, call};

/// An account in a region of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AwsAccount {
    region: String,
    number: String,
}

/// Text is no account's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an account's number has 12 digits")]
pub struct InvalidAccount;

impl AwsAccount {
    /// This account in this region.
    ///
    /// # Errors
    /// If the number is none.
    pub fn new(region: &str, number: &str) -> Result<Self, InvalidAccount> {
        if number.len() != 12 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidAccount);
        }
        Ok(Self { region: region.to_owned(), number: number.to_owned() })
    }

    /// The account that the credentials belong to, unless `number` says it; the region of the configuration. Only the former
    /// asks, and nobody needs a permission for it.
    ///
    /// # Errors
    /// If there is no region, the number is none, or nobody answers.
    pub async fn of(aws: &Aws, number: Option<&str>) -> Result<Self, AwsTrouble> {
        let config = aws.config().await;
        let region = config.region().map(ToString::to_string);
        let region = region.ok_or_else(|| {
            AwsTrouble::settled("no region is known: give `region`, or set AWS_REGION".to_owned())
        })?;
        let invalid = |error: InvalidAccount| AwsTrouble::settled(error.to_string());
        if let Some(number) = number {
            return Self::new(&region, number).map_err(invalid);
        }
        let asked = aws_sdk_sts::Client::new(config).get_caller_identity().send();
        let said = call("GetCallerIdentity", aws.settings().call_timeout(), asked).await?;
        Self::new(&region, said.account().unwrap_or_default()).map_err(invalid)
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account's number.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The partition, which the region tells.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        const OTHERS: [(&str, &str); 7] = [
            ("cn-", "aws-cn"),
            ("us-gov-", "aws-us-gov"),
            ("us-iso-", "aws-iso"),
            ("us-isob-", "aws-iso-b"),
            ("eu-isoe-", "aws-iso-e"),
            ("us-isof-", "aws-iso-f"),
            ("eusc-", "aws-eusc"),
        ];
        OTHERS.iter().find(|(prefix, _)| self.region.starts_with(prefix)).map_or("aws", |(_, name)| name)
    }

    /// A queue's full name; `*` may stand in it.
    #[must_use]
    pub fn queue(&self, name: &str) -> String {
        format!("arn:{}:sqs:{self}:{name}", self.partition())
    }

    /// A topic's full name.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("arn:{}:sns:{self}:{name}", self.partition())
    }

    /// The full name of a bucket, or of things in it. A bucket's name says alone which one it is.
    #[must_use]
    pub fn bucket(&self, name: &str) -> String {
        format!("arn:{}:s3:::{name}", self.partition())
    }
}

impl fmt::Display for AwsAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.region, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_know_their_partition() {
        for (region, topic) in [
            ("ap-northeast-2", "arn:aws:sns:ap-northeast-2:123456789012:t"),
            ("cn-north-1", "arn:aws-cn:sns:cn-north-1:123456789012:t"),
            ("us-gov-west-1", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:t"),
        ] {
            assert_eq!(AwsAccount::new(region, "123456789012").unwrap().topic("t"), topic);
        }
    }

    #[test]
    fn a_number_has_twelve_digits() {
        for bad in ["", "12345678901", "1234567890123", "12345678901x"] {
            assert_eq!(AwsAccount::new("eu-west-1", bad), Err(InvalidAccount), "{bad}");
        }
    }
}
