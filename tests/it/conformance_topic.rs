//! The topics that are built in, and those on real engines.

use std::{sync::Arc, time::Duration};

use naru_shared::topic::{SqliteTopic, Topic};
use naru_tests::conformance::topic::Fixture;

const VISIBILITY: Duration = Duration::from_millis(400);

struct Sqlite {
    dir: tempfile::TempDir,
    topic: Arc<SqliteTopic>,
}

impl Sqlite {
    fn open(dir: &tempfile::TempDir) -> anyhow::Result<Arc<SqliteTopic>> {
        Ok(Arc::new(SqliteTopic::open(&dir.path().join("topic.db"), VISIBILITY)?))
    }
}

impl Fixture for Sqlite {
    async fn fresh() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let topic = Self::open(&dir)?;
        Ok(Self { dir, topic })
    }

    fn topic(&self) -> Arc<dyn Topic> {
        Arc::<SqliteTopic>::clone(&self.topic)
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        self.topic = Self::open(&self.dir)?;
        Ok(())
    }

    fn visibility(&self) -> Duration {
        VISIBILITY
    }
}

naru_tests::topic_conformance!(Sqlite);

mod rabbitmq {
    //! On a broker of its own, whose process is not restarted: `tests/it/rabbitmq.rs` does that.

    use std::{sync::Arc, time::Duration};

    use naru_shared::topic::Topic;
    use naru_tests::{
        conformance::topic::Fixture,
        engines::{OnRabbitMq, RabbitMq},
    };

    use super::VISIBILITY;

    struct Rabbit(OnRabbitMq);

    impl Fixture for Rabbit {
        async fn fresh() -> anyhow::Result<Self> {
            let broker = tokio::task::spawn_blocking(RabbitMq::shared).await??;
            Ok(Self(OnRabbitMq::fresh(broker.url(), VISIBILITY)?))
        }

        fn topic(&self) -> Arc<dyn Topic> {
            Arc::clone(&self.0.topic)
        }

        async fn restart(&mut self) -> anyhow::Result<()> {
            self.0.crash(VISIBILITY)
        }

        fn visibility(&self) -> Duration {
            VISIBILITY
        }
    }

    naru_tests::topic_conformance!(Rabbit);
}

mod sns {
    //! On emulators of SNS and SQS: one that is true to the services, and one that keeps what it holds over SIGKILL.

    use std::{sync::Arc, time::Duration};

    use naru_shared::{
        aws::Aws,
        doorbell::NoDoorbell,
        topic::{SnsSettings, SnsTopic, Topic},
    };
    use naru_tests::{
        conformance::topic::Fixture,
        engines::{AwsEmulator, Flavour, Stop, fresh_namespace},
    };

    /// SQS counts in seconds.
    const VISIBILITY: Duration = Duration::from_secs(1);

    fn settings(emulator: &AwsEmulator) -> anyhow::Result<SnsSettings> {
        let aws = emulator.settings();
        Ok(SnsSettings {
            region: aws.region,
            endpoint: aws.endpoint,
            namespace: fresh_namespace()?,
            visibility_ms: 1_000,
            create: true,
            ..SnsSettings::default()
        })
    }

    fn topic(settings: &SnsSettings) -> Arc<SnsTopic> {
        let aws = Arc::new(Aws::with_key(settings.aws(), "test", "test"));
        Arc::new(SnsTopic::new(aws, settings, Arc::new(NoDoorbell)))
    }

    /// The emulator is shared by all tests; a process of ours is killed by forgetting all that it knew.
    struct Ministack {
        settings: SnsSettings,
        topic: Arc<SnsTopic>,
    }

    impl Fixture for Ministack {
        async fn fresh() -> anyhow::Result<Self> {
            let emulator = tokio::task::spawn_blocking(AwsEmulator::shared).await??;
            let settings = settings(emulator)?;
            Ok(Self { topic: topic(&settings), settings })
        }

        fn topic(&self) -> Arc<dyn Topic> {
            Arc::<SnsTopic>::clone(&self.topic)
        }

        async fn restart(&mut self) -> anyhow::Result<()> {
            self.topic = topic(&self.settings);
            // What was in the hands of the one before comes back when its time is over.
            tokio::time::sleep(VISIBILITY).await;
            Ok(())
        }

        fn visibility(&self) -> Duration {
            VISIBILITY
        }
    }

    naru_tests::topic_conformance!(Ministack);

    mod on_disk {
        use super::*;

        /// The emulator is killed too.
        struct Fauxqs {
            emulator: Option<AwsEmulator>,
            settings: SnsSettings,
            topic: Arc<SnsTopic>,
        }

        impl Fixture for Fauxqs {
            async fn fresh() -> anyhow::Result<Self> {
                let start = || AwsEmulator::start(Flavour::FauxqsOnDisk);
                let emulator = tokio::task::spawn_blocking(start).await??;
                let settings = settings(&emulator)?;
                Ok(Self { emulator: Some(emulator), topic: topic(&settings), settings })
            }

            fn topic(&self) -> Arc<dyn Topic> {
                Arc::<SnsTopic>::clone(&self.topic)
            }

            async fn restart(&mut self) -> anyhow::Result<()> {
                if let Some(mut emulator) = self.emulator.take() {
                    let again = move || {
                        emulator.stop(Stop::Kill)?;
                        emulator.begin()?;
                        anyhow::Ok(emulator)
                    };
                    self.emulator = Some(tokio::task::spawn_blocking(again).await??);
                }
                self.topic = topic(&self.settings);
                tokio::time::sleep(VISIBILITY).await;
                Ok(())
            }

            fn visibility(&self) -> Duration {
                VISIBILITY
            }
        }

        naru_tests::topic_conformance!(Fauxqs);
    }
}
