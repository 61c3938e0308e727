//! Every process is replaced by another release while customers call.

use naru_tests::durability::rollout::{RolloutPlan, run};

use crate::stage::alone;

#[test]
fn every_process_is_replaced_under_load_and_nothing_is_lost_or_refused() {
    let _alone = alone();
    let plan = RolloutPlan::small(naru_tests::monotonic::nanos() % 1_000_000);
    let rolled = run(plan, &mut |line| eprintln!("{line}")).unwrap();
    eprintln!("{}", rolled.told(plan));
    assert_eq!(rolled.findings.broken, Vec::<String>::new(), "seed {}", plan.seed);
    assert_eq!(rolled.others.len(), 0, "every call is answered 202: {:?}", rolled.others);
    assert_eq!(rolled.replaced, 12, "4 to the new release, 2 told, 1 back and forth, 4 back");
    assert!(rolled.left_for_newer > 0 && rolled.told_of_newer <= 2, "{} lines", rolled.told_of_newer);
    assert!(rolled.findings.accepted > 600, "{} accepted", rolled.findings.accepted);
}
