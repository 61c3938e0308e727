//! The queues that are built in, and those on real engines.

use std::{sync::Arc, time::Duration};

use naru_shared::queue::{Quarantine, Queue, SqliteQuarantine, SqliteQueue};
use naru_tests::conformance::queue::Fixture;

const VISIBILITY: Duration = Duration::from_millis(400);

struct Sqlite {
    dir: tempfile::TempDir,
    queue: Arc<SqliteQueue>,
}

impl Sqlite {
    fn open(dir: &tempfile::TempDir) -> anyhow::Result<Arc<SqliteQueue>> {
        Ok(Arc::new(SqliteQueue::open(&dir.path().join("queue.db"), VISIBILITY)?))
    }
}

impl Fixture for Sqlite {
    async fn fresh() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let queue = Self::open(&dir)?;
        Ok(Self { dir, queue })
    }

    fn queue(&self) -> Arc<dyn Queue> {
        Arc::<SqliteQueue>::clone(&self.queue)
    }

    fn quarantine(&self) -> anyhow::Result<Arc<dyn Quarantine>> {
        Ok(Arc::new(SqliteQuarantine::open(&self.dir.path().join("queue.db"))?))
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        self.queue = Self::open(&self.dir)?;
        Ok(())
    }

    fn visibility(&self) -> Duration {
        VISIBILITY
    }
}

naru_tests::queue_conformance!(Sqlite);

mod claim_checks {
    //! A queue that takes next to nothing: every envelope is kept as a blob, and what is published is a claim check.

    use std::{sync::Arc, time::Duration};

    use naru_shared::{
        blobs::DiskBlobs,
        queue::{ClaimChecks, Quarantine, Queue},
    };
    use naru_tests::conformance::queue::Fixture;
    use tokio::runtime::Handle;

    use super::{Sqlite, VISIBILITY};

    struct Checked(Sqlite, Arc<dyn Queue>);

    impl Checked {
        fn around(inner: &Sqlite) -> anyhow::Result<Arc<dyn Queue>> {
            let blobs = DiskBlobs::open(&inner.dir.path().join("blobs"), 1 << 30, &Handle::current())?;
            Ok(Arc::new(ClaimChecks::new(inner.queue(), Arc::new(blobs), 0)))
        }
    }

    impl Fixture for Checked {
        async fn fresh() -> anyhow::Result<Self> {
            let inner = Sqlite::fresh().await?;
            let queue = Self::around(&inner)?;
            Ok(Self(inner, queue))
        }

        fn queue(&self) -> Arc<dyn Queue> {
            Arc::clone(&self.1)
        }

        fn quarantine(&self) -> anyhow::Result<Arc<dyn Quarantine>> {
            self.0.quarantine()
        }

        async fn restart(&mut self) -> anyhow::Result<()> {
            self.0.restart().await?;
            self.1 = Self::around(&self.0)?;
            Ok(())
        }

        fn visibility(&self) -> Duration {
            VISIBILITY
        }
    }

    naru_tests::queue_conformance!(Checked);
}

mod rabbitmq {
    //! On a broker of its own, whose process is not restarted: `tests/it/rabbitmq.rs` does that.

    use std::{sync::Arc, time::Duration};

    use naru_shared::{
        queue::{Quarantine, Queue, RabbitMqQuarantine},
        rabbitmq::Broker,
    };
    use naru_tests::{
        conformance::queue::Fixture,
        engines::{OnRabbitMq, RabbitMq},
    };

    use super::VISIBILITY;

    struct Rabbit(OnRabbitMq);

    impl Fixture for Rabbit {
        async fn fresh() -> anyhow::Result<Self> {
            let broker = tokio::task::spawn_blocking(RabbitMq::shared).await??;
            Ok(Self(OnRabbitMq::fresh(broker.url(), VISIBILITY)?))
        }

        fn queue(&self) -> Arc<dyn Queue> {
            Arc::clone(&self.0.queue)
        }

        fn quarantine(&self) -> anyhow::Result<Arc<dyn Quarantine>> {
            let broker = Broker::open(self.0.settings(), &tokio::runtime::Handle::current())?;
            Ok(Arc::new(RabbitMqQuarantine::new(broker)))
        }

        async fn restart(&mut self) -> anyhow::Result<()> {
            self.0.crash(VISIBILITY)
        }

        fn visibility(&self) -> Duration {
            VISIBILITY
        }
    }

    naru_tests::queue_conformance!(Rabbit);
}

mod sqs {
    //! On an emulator that others use too, in a namespace of its own; the emulator is not restarted: `tests/it/sqs` does that.

    use std::{
        sync::{Arc, OnceLock},
        time::Duration,
    };

    use naru_shared::queue::{Quarantine, Queue};
    use naru_tests::{
        conformance::queue::Fixture,
        engines::{AwsEmulator, Flavour, OnSqs},
    };

    /// SQS counts whole seconds.
    const VISIBILITY: Duration = Duration::from_secs(2);

    struct Ministack(OnSqs);

    impl Fixture for Ministack {
        async fn fresh() -> anyhow::Result<Self> {
            let emulator = tokio::task::spawn_blocking(AwsEmulator::shared).await??;
            Ok(Self(OnSqs::fresh(&emulator.settings(), VISIBILITY)?))
        }

        fn queue(&self) -> Arc<dyn Queue> {
            self.0.queue()
        }

        fn quarantine(&self) -> anyhow::Result<Arc<dyn Quarantine>> {
            Ok(Arc::new(self.0.quarantine()))
        }

        async fn restart(&mut self) -> anyhow::Result<()> {
            self.0.crash();
            Ok(())
        }

        fn visibility(&self) -> Duration {
            VISIBILITY
        }
    }

    naru_tests::queue_conformance!(Ministack);

    mod fauxqs {
        //! On the emulator that is fast.

        use super::{
            Arc, AwsEmulator, Duration, Fixture, Flavour, OnSqs, OnceLock, Quarantine, Queue, VISIBILITY,
        };

        /// One for the whole suite.
        fn shared() -> anyhow::Result<&'static AwsEmulator> {
            static SHARED: OnceLock<Result<AwsEmulator, String>> = OnceLock::new();
            let start = || AwsEmulator::start(Flavour::Fauxqs).map_err(|error| format!("{error:#}"));
            SHARED.get_or_init(start).as_ref().map_err(|error| anyhow::anyhow!("{error}"))
        }

        struct Fauxqs(OnSqs);

        impl Fixture for Fauxqs {
            async fn fresh() -> anyhow::Result<Self> {
                let emulator = tokio::task::spawn_blocking(shared).await??;
                Ok(Self(OnSqs::fresh(&emulator.settings(), VISIBILITY)?))
            }

            fn queue(&self) -> Arc<dyn Queue> {
                self.0.queue()
            }

            fn quarantine(&self) -> anyhow::Result<Arc<dyn Quarantine>> {
                Ok(Arc::new(self.0.quarantine()))
            }

            async fn restart(&mut self) -> anyhow::Result<()> {
                self.0.crash();
                Ok(())
            }

            fn visibility(&self) -> Duration {
                VISIBILITY
            }
        }

        naru_tests::queue_conformance!(Fauxqs);
    }
}
