//! Random lives of messages, in the ledger and in a model that a reader can check by eye.

mod life;
mod ops;
mod twins;

use naru_tests::conformance::ledger::Bed;
use ops::{Op, ops};
use proptest::prelude::{ProptestConfig, proptest};
use twins::Twins;

use crate::stage::beside_others;

async fn live_through(bed: &Bed, ops: Vec<Op>) -> anyhow::Result<()> {
    let mut twins = Twins::new(bed)?;
    for op in ops {
        twins.step(op).await?;
        twins.check().await?;
    }
    twins.finish().await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_lives_as_its_model_says(ops in ops()) {
        let _beside = beside_others();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = Bed::run(
            |clock| Box::pin(crate::conformance_ledger::sqlite(clock)),
            |bed| Box::pin(live_through(bed, ops)),
        );
        runtime.block_on(run).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_in_postgres_lives_as_its_model_says(ops in ops()) {
        let _beside = beside_others();
        let run = Bed::run(
            |clock| Box::pin(crate::conformance_ledger_postgres::postgres(clock)),
            |bed| Box::pin(live_through(bed, ops)),
        );
        crate::postgres::runtime().block_on(run).unwrap();
    }

    #[test]
    fn the_ledger_in_postgres_lives_so_with_the_archive_too(ops in ops()) {
        let _beside = beside_others();
        let run = Bed::run(
            |clock| Box::pin(crate::conformance_ledger_postgres::tidied(clock)),
            |bed| Box::pin(live_through(bed, ops)),
        );
        crate::postgres::runtime().block_on(run).unwrap();
    }
}
