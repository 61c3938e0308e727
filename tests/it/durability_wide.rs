//! The durability run over engines that processes share, and that the checker would see it if a promise broke there.

use naru_tests::durability::{
    Outcome,
    wide::{WidePlan, run},
};

use crate::stage::{beside_few, beside_others};

fn play(plan: &WidePlan) -> Outcome {
    let outcome = run(plan, &mut |line| eprintln!("{line}")).unwrap();
    eprintln!("{}", outcome.told(plan.seed));
    outcome
}

/// A seed that differs from run to run and is printed with the outcome.
fn seed() -> u64 {
    naru_tests::monotonic::nanos() % 1_000_000
}

#[test]
fn what_several_fronts_accepted_survives_kills_stops_restarts_and_a_failing_network() {
    let _beside = beside_few();
    let plan = WidePlan::small(seed());
    let outcome = play(&plan);
    assert_eq!(outcome.findings.broken, Vec::<String>::new(), "seed {}", plan.seed);
    assert!(outcome.kills >= 8 && outcome.stops == 2, "{} kills, {} stops", outcome.kills, outcome.stops);
    assert_eq!(outcome.windows.len(), 6, "{:?}", outcome.windows);
    assert_eq!(outcome.restarts.values().sum::<usize>(), 3, "{:?}", outcome.restarts);
    assert_eq!(outcome.faults.values().sum::<usize>(), 5, "{:?}", outcome.faults);
    assert!(outcome.findings.accepted >= 2_000 && outcome.findings.finals.len() >= 3);
    assert!(outcome.ended_after.is_some_and(|ended| ended < plan.patience), "{:?}", outcome.ended_after);
}

/// The emulator keeps what it holds on disk; a program of boto3 listens outside.
#[test]
fn what_was_accepted_on_aws_survives_kills_partial_failures_and_an_emulator_that_stands_still() {
    let _beside = beside_few();
    let plan = WidePlan::small(seed()).on_aws();
    let outcome = play(&plan);
    assert_eq!(outcome.findings.broken, Vec::<String>::new(), "seed {}", plan.seed);
    assert!(outcome.kills >= 8 && outcome.stops == 2, "{} kills, {} stops", outcome.kills, outcome.stops);
    assert_eq!(outcome.windows.len(), 6, "{:?}", outcome.windows);
    assert_eq!(outcome.faults.values().sum::<usize>(), 10, "{:?}", outcome.faults);
    assert!(outcome.findings.accepted >= 2_000 && outcome.findings.outside >= 2_000);
    assert!(outcome.ended_after.is_some_and(|ended| ended < plan.patience), "{:?}", outcome.ended_after);
}

#[test]
fn the_checker_sees_a_pack_acknowledged_before_the_shared_ledger_holds_it() {
    let _beside = beside_others();
    let outcome = play(&WidePlan::sabotaged(seed(), "early-ack", 6));
    assert!(outcome.findings.lost > 0);
    assert!(outcome.findings.broken.iter().any(|broken| broken.contains("was accepted and is queued")));
}

#[test]
fn the_checker_sees_a_charge_made_twice_in_the_shared_ledger() {
    let _beside = beside_others();
    let outcome = play(&WidePlan::sabotaged(seed(), "double-charge", 0));
    assert!(outcome.findings.used > outcome.findings.due);
    assert!(outcome.findings.broken.iter().all(|broken| broken.contains("are used")));
    assert!(!outcome.findings.broken.is_empty());
}
