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
