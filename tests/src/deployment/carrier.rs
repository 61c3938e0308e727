//! What carries packs and events between processes: RabbitMQ, or the services of AWS.

use anyhow::{Context, bail};

use super::Behind;
use crate::{
    aws_proxy::AwsProxy,
    engines::{AwsEmulator, Flavour, REGION, RabbitMq, Stop},
    proxy::Proxy,
};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// RabbitMQ carries both.
    RabbitMq,
    /// SQS, SNS and S3.
    Aws {
        /// Of which emulator.
        flavour: Flavour,
        /// Whether calls are counted, and may be harmed; that costs time.
        counted: bool,
    },
}

/// The bucket of every deployment, in its own emulator.
pub const BUCKET: &str = "naru-blobs";

/// The services of AWS, as the deployment sees them.
#[derive(Debug)]
pub struct Cloud {
    /// The emulator.
    pub emulator: Behind<AwsEmulator>,
    calls: Option<AwsProxy>,
}

impl Cloud {
    /// Who counts the calls.
    ///
    /// # Errors
    /// If the deployment was made without.
    pub fn calls(&self) -> anyhow::Result<&AwsProxy> {
        self.calls.as_ref().context("nobody counts calls here")
    }

    /// Where processes call.
    fn endpoint(&self) -> anyhow::Result<String> {
        match &self.calls {
            Some(calls) => Ok(calls.endpoint()),
            None => self.emulator.led(&self.emulator.endpoint()),
        }
    }
}

/// What carries packs and events of one deployment.
#[derive(Debug)]
pub enum Carrier {
    /// RabbitMQ.
    RabbitMq(Behind<RabbitMq>),
    /// SQS, SNS and S3.
    Aws(Cloud),
}

impl Carrier {
    pub(super) fn start(carries: Carries, proxied: bool) -> anyhow::Result<Self> {
        let Carries::Aws { flavour, counted } = carries else {
            return Ok(Self::RabbitMq(Behind::new(RabbitMq::start()?, proxied)?));
        };
        let emulator = Behind::new(AwsEmulator::start(flavour)?, proxied)?;
        let port = emulator.proxy().map_or(emulator.port(), |proxy| proxy.address().port());
        let calls = if counted { Some(AwsProxy::start(port)?) } else { None };
        Ok(Self::Aws(Cloud { emulator, calls }))
    }

    /// The sections of a configuration that name it; `led`: as processes see it, else past every proxy.
    pub(super) fn sections(&self, redis: &str, led: bool) -> anyhow::Result<String> {
        match self {
            Self::RabbitMq(rabbit) => {
                let url = if led { rabbit.led(&rabbit.url())? } else { rabbit.url() };
                Ok(format!(
                    "[queue]\nkind = \"rabbitmq\"\nurl = {url:?}\n[topic]\nkind = \"rabbitmq\"\nurl = {url:?}\n\
                     [blobs]\nkind = \"none\"\n"
                ))
            }
            Self::Aws(cloud) => {
                let endpoint = if led { cloud.endpoint()? } else { cloud.emulator.endpoint() };
                let place = format!("region = {REGION:?}\nendpoint = {endpoint:?}\n");
                let queues = format!("{place}visibility_ms = 60000\ndoorbell = {{ url = {redis:?} }}\n");
                Ok(format!(
                    "[queue]\nkind = \"sqs\"\n{queues}[topic]\nkind = \"sns\"\n{queues}\
                     [blobs]\nkind = \"s3\"\nbucket = {BUCKET:?}\n{place}"
                ))
            }
        }
    }

    /// The proxy before it.
    ///
    /// # Errors
    /// If the deployment was made without.
    pub fn proxy(&self) -> anyhow::Result<&Proxy> {
        match self {
            Self::RabbitMq(rabbit) => rabbit.proxy(),
            Self::Aws(cloud) => cloud.emulator.proxy(),
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::RabbitMq(rabbit) => rabbit.pid(),
            Self::Aws(cloud) => cloud.emulator.pid(),
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RabbitMq(_) => "RabbitMQ",
            Self::Aws(_) => "AWS",
        }
    }

    /// Ends it; then whoever connects is refused.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        match self {
            Self::RabbitMq(rabbit) => rabbit.stop(how),
            Self::Aws(cloud) => cloud.emulator.stop(how),
        }
    }

    /// Starts it again after [`Carrier::stop`], and waits until it answers; the proxy passes again.
    ///
    /// # Errors
    /// If it does not start.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        match self {
            Self::RabbitMq(rabbit) => rabbit.begin(),
            Self::Aws(cloud) => cloud.emulator.begin(),
        }
    }

    /// RabbitMQ.
    ///
    /// # Errors
    /// If something else carries.
    pub fn rabbit(&self) -> anyhow::Result<&Behind<RabbitMq>> {
        match self {
            Self::RabbitMq(rabbit) => Ok(rabbit),
            Self::Aws(_) => bail!("this deployment is on AWS"),
        }
    }

    /// The services of AWS.
    ///
    /// # Errors
    /// If something else carries.
    pub fn cloud(&self) -> anyhow::Result<&Cloud> {
        match self {
            Self::Aws(cloud) => Ok(cloud),
            Self::RabbitMq(_) => bail!("this deployment is on RabbitMQ"),
        }
    }
}
