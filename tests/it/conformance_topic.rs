//! The topics that are built in.

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
