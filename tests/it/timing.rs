//! The time of a refusal does not tell why; in full size that is `proof timing`.

use naru_tests::timing::{Plan, run};

use crate::stage::alone;

#[test]
fn the_time_of_a_refusal_does_not_tell_an_unknown_id_from_a_wrong_secret_or_a_revoked_credential() {
    let _alone = alone();
    let told = run(&Plan::small(11), &mut |line| {
        eprintln!("{line}");
        Ok(())
    });
    let told = told.unwrap();
    eprintln!("{:?}", told.ways[0].median_us);
    // Among what is broken: that what was planted is not found.
    assert!(told.broken().is_empty(), "{:#?}", told.broken());
}
