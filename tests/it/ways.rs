//! Each way in is fast enough beside Basic; in full size, with the goals that are meant, that is `proof ways`.

use naru_tests::ways::{Plan, run};

use crate::stage::alone;

#[test]
fn no_way_in_costs_several_times_what_basic_does() {
    let _alone = alone();
    let table = run(&Plan::small(), &mut |line| eprintln!("{line}")).unwrap();
    assert_eq!(table.missed(), 0, "{table}");
}
