//! Idle connections cost little and hold up nobody; ten thousand of them are `proof idle-connections`.

use naru_tests::crowd::{Plan, run};

use crate::stage::alone;

#[test]
fn a_thousand_idle_connections_cost_little_and_hold_up_nobody() {
    let _alone = alone();
    let told = run(&Plan::small(), &mut |line| {
        eprintln!("{line}");
        Ok(())
    });
    let told = told.unwrap();
    assert!(told.broken().is_empty(), "{:#?} {told:?}", told.broken());
}
