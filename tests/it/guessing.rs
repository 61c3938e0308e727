//! Whoever guesses is slowed, and harms nobody behind the same address; in full size that is `proof guessing`.

use naru_tests::guessing::{Plan, run};

use crate::stage::alone;

#[test]
fn guesses_at_full_speed_are_slowed_and_a_customer_behind_the_same_address_is_not() {
    let _alone = alone();
    let told = run(&Plan::small(), &mut |line| {
        eprintln!("{line}");
        Ok(())
    });
    let told = told.unwrap();
    assert!(told.broken().is_empty(), "{:#?} {told:?}", told.broken());
}
