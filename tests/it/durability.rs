//! What survives, and that the checker would see it if it did not.

use naru_tests::durability::{Outcome, Plan, run};

use crate::stage::{beside_few, beside_others};

fn play(plan: &Plan) -> Outcome {
    let outcome = run(plan, &mut |line| eprintln!("{line}")).unwrap();
    eprintln!("{}", outcome.told(plan.seed));
    outcome
}

/// A saboteur's run mostly waits for what is tried again.
fn sabotaged(sabotage: &'static str, kills: usize) -> Outcome {
    let _beside = beside_others();
    play(&Plan::sabotaged(seed(), sabotage, kills))
}

/// A seed that differs from run to run and is printed with the outcome.
fn seed() -> u64 {
    naru_tests::monotonic::nanos() % 1_000_000
}

#[test]
fn what_was_accepted_survives_kills_stops_and_every_window() {
    let _beside = beside_few();
    let plan = Plan::small(seed());
    let outcome = play(&plan);
    assert_eq!(outcome.findings.broken, Vec::<String>::new(), "seed {}", plan.seed);
    assert!(outcome.kills >= 8 && outcome.stops >= 2, "{} kills, {} stops", outcome.kills, outcome.stops);
    assert_eq!(outcome.windows.len(), 6, "{:?}", outcome.windows);
    assert!(outcome.findings.accepted >= 2_000 && outcome.findings.finals.len() >= 3);
}

#[test]
fn the_checker_sees_a_pack_acknowledged_before_the_ledger_holds_it() {
    let outcome = sabotaged("early-ack", 6);
    assert!(outcome.findings.lost > 0);
    assert!(outcome.findings.broken.iter().any(|broken| broken.contains("was accepted and is queued")));
}

#[test]
fn the_checker_sees_a_dropped_fence_and_a_kept_one_passes() {
    let outcome = sabotaged("dropped-fence", 0);
    assert!(outcome.findings.broken.iter().any(|broken| broken.contains("duplicate without a label")));
    let outcome = sabotaged("kept-fence", 0);
    assert_eq!(outcome.findings.broken, Vec::<String>::new());
}

#[test]
fn the_checker_sees_a_lost_event() {
    let outcome = sabotaged("lost-event", 0);
    assert!(outcome.findings.broken.iter().all(|broken| broken.contains("never heard")));
    assert!(!outcome.findings.broken.is_empty());
}

#[test]
fn the_checker_sees_a_charge_made_twice() {
    let outcome = sabotaged("double-charge", 0);
    assert!(outcome.findings.used > outcome.findings.due);
    assert!(outcome.findings.broken.iter().all(|broken| broken.contains("are used")));
    assert!(!outcome.findings.broken.is_empty());
}

#[test]
fn the_checker_sees_a_charge_that_another_customer_pays() {
    let outcome = sabotaged("anothers-charge", 0);
    // The sum of all customers is right: only each one's own tells.
    assert!(outcome.findings.broken.iter().all(|broken| broken.contains("are used")));
    assert_eq!(outcome.findings.broken.len(), 2, "{:?}", outcome.findings.broken);
}

#[test]
fn the_checker_sees_messages_mixed_up() {
    let outcome = sabotaged("mixed-recipients", 0);
    assert!(outcome.findings.broken.iter().any(|broken| broken.contains("and sent to")));
    assert!(outcome.findings.broken.iter().any(|broken| broken.contains("is told as")));
}
