//! A queue on SQS in a namespace that nobody else has.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use naru_shared::{
    aws::{
        Aws, AwsSettings,
        sqs::{Rhythm, SqsSettings},
    },
    doorbell::{Doorbell, NoDoorbell},
    queue::{Queue, SqsQuarantine, SqsQueue},
};

/// A namespace that no other test of this machine has.
///
/// # Errors
/// Never, as long as namespaces may have eight characters.
pub fn fresh_namespace() -> anyhow::Result<naru_shared::aws::AwsNamespace> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Ok(format!("{:04x}{:04x}", std::process::id() & 0xffff, number & 0xffff).parse()?)
}

/// The settings of a queue there.
///
/// # Errors
/// As [`fresh_namespace`].
pub fn sqs_settings(aws: &AwsSettings, visibility: Duration) -> anyhow::Result<SqsSettings> {
    Ok(SqsSettings {
        region: aws.region.clone(),
        endpoint: aws.endpoint.clone(),
        namespace: fresh_namespace()?,
        visibility_ms: u64::try_from(visibility.as_millis())?,
        create: true,
        ..SqsSettings::default()
    })
}

/// A queue on SQS in a namespace of its own.
pub struct OnSqs {
    /// How it is reached.
    pub settings: SqsSettings,
    queue: Arc<SqsQueue>,
}

impl OnSqs {
    /// Makes one, without a doorbell.
    ///
    /// # Errors
    /// As [`fresh_namespace`].
    pub fn fresh(aws: &AwsSettings, visibility: Duration) -> anyhow::Result<Self> {
        let settings = sqs_settings(aws, visibility)?;
        let queue = Arc::new(sqs_queue(&settings, Arc::new(NoDoorbell), Rhythm::default()));
        Ok(Self { settings, queue })
    }

    /// The port.
    #[must_use]
    pub fn queue(&self) -> Arc<dyn Queue> {
        Arc::<SqsQueue>::clone(&self.queue)
    }

    /// The operator's face of it.
    #[must_use]
    pub fn quarantine(&self) -> SqsQuarantine {
        let aws = Arc::new(Aws::with_key(self.settings.aws(), "test", "test"));
        SqsQuarantine::new(aws, &self.settings, Arc::new(NoDoorbell))
    }

    /// As after a crash of every process involved.
    pub fn crash(&mut self) {
        self.queue = Arc::new(sqs_queue(&self.settings, Arc::new(NoDoorbell), Rhythm::default()));
    }
}

/// A queue by these settings, called as the emulators want to be called: as anybody.
#[must_use]
pub fn sqs_queue(settings: &SqsSettings, bell: Arc<dyn Doorbell>, rhythm: Rhythm) -> SqsQueue {
    let aws = Arc::new(Aws::with_key(settings.aws(), "test", "test"));
    SqsQueue::new(aws, settings, bell).with_rhythm(rhythm)
}
