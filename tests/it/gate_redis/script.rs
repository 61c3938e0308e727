//! The script that counts rates, against exact arithmetic.

use std::collections::BTreeMap;

use naru_tests::engines::shared_redis;
use proptest::{
    prelude::{Strategy, any, prop},
    test_runner::{Config, TestRunner},
};
use redis::{Connection, Script};

use crate::stage::beside_others;

const LEASE: u64 = 30_000_000;
const BEGIN: u64 = 1_700_000_000_000_000;

/// A policy in whole numbers: a message is `each`, `flow` flows off in a tick of a microsecond.
#[derive(Debug, Clone, Copy)]
struct Policy {
    each: u64,
    flow: u64,
    burst: u64,
}

/// One question of one of three processes.
#[derive(Debug, Clone)]
struct Step {
    pause: u64,
    process: usize,
    take: u32,
    want: u32,
    /// Which part of what is in hand was used (and when, within the pause), and which is given back.
    used: u8,
    back: u8,
}

fn step() -> impl Strategy<Value = Step> {
    let pause = prop::sample::select(vec![0, 1, 999, 50_000, 400_000, 3_000_000, 31_000_000]);
    (pause, 0..3_usize, 0_u32..12, 0_u32..40, any::<u8>(), any::<u8>())
        .prop_map(|(pause, process, take, want, used, back)| Step { pause, process, take, want, used, back })
}

fn policy() -> impl Strategy<Value = Policy> {
    let numbers =
        prop::sample::select(vec![(10_000, 1), (1_000_000, 7), (250_000, 3), (10, 1), (3_600_000_000, 1)]);
    (numbers, 1_u64..200).prop_map(|((each, flow), burst)| Policy { each, flow, burst })
}

struct Account<'a> {
    connection: &'a mut Connection,
    script: &'a Script,
    key: String,
    policies: &'a [Policy],
}

impl Account<'_> {
    fn ask(&mut self, now: u64, lease: usize, numbers: [u64; 4]) -> Vec<i64> {
        let [used, back, take, want] = numbers;
        let mut call = self.script.key(&self.key);
        call.arg(now)
            .arg(0)
            .arg(format!("l{lease}"))
            .arg(LEASE)
            .arg(used)
            .arg(back)
            .arg(take)
            .arg(want)
            .arg(0);
        for (index, policy) in self.policies.iter().enumerate() {
            call.arg(format!("p{index}")).arg(policy.each).arg(policy.flow).arg(1).arg(policy.burst);
        }
        call.invoke(self.connection).unwrap()
    }
}

/// All uses ever, with their times: every window holds no more than the policy says, in exact numbers.
fn assert_windows(policy: Policy, uses: &BTreeMap<u64, u64>) {
    for from in uses.keys() {
        let mut sum = 0_u128;
        for (at, messages) in uses.range(from..) {
            sum += u128::from(*messages);
            let flowed = u128::from(at - from) * u128::from(policy.flow);
            let allowed = flowed + u128::from(policy.burst) * u128::from(policy.each);
            assert!(sum * u128::from(policy.each) <= allowed, "{sum} within {} µs of {policy:?}", at - from);
        }
    }
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn with_script(test: impl FnOnce(&mut Connection, &Script, String)) -> anyhow::Result<()> {
    let settings = shared_redis()?.settings(std::time::Duration::from_secs(5));
    let mut connection = settings.client()?.get_connection()?;
    let script = Script::new(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/..",
        "/shared/src/gate/redis/rates.lua"
    )));
    test(&mut connection, &script, settings.prefix);
    Ok(())
}

/// Whoever leases nothing is let in exactly when exact arithmetic says so, and told exactly how long to wait.
#[test]
fn without_leases_the_script_is_exact() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_script(|connection, script, prefix| {
        let connection = std::cell::RefCell::new(connection);
        let steps = prop::collection::vec((0_u64..200_000, 1_u32..8), 1..60);
        let number = std::cell::Cell::new(0);
        let run = runner(150).run(&(policy(), steps), |(policy, steps)| {
            number.set(number.get() + 1);
            let mut connection = connection.borrow_mut();
            let (key, policies) = (format!("{prefix}:a{}", number.get()), [policy]);
            let mut account = Account { connection: &mut connection, script, key, policies: &policies };
            let (mut now, mut level, mut at) = (BEGIN, 0_u128, BEGIN);
            for (pause, take) in steps {
                now += pause;
                level = level.saturating_sub(u128::from(now - at) * u128::from(policy.flow));
                at = now;
                let cost = u128::from(take) * u128::from(policy.each);
                let room = u128::from(policy.burst) * u128::from(policy.each);
                let answer = account.ask(now, 0, [0, 0, take.into(), 0]);
                assert_eq!(answer[0] == 1, level + cost <= room, "{level} + {cost} of {room}");
                if answer[0] == 1 {
                    level += cost;
                } else if cost <= room {
                    let wait = (level + cost - room).div_ceil(u128::from(policy.flow));
                    assert_eq!(u128::try_from(answer[2]).unwrap(), wait);
                } else {
                    assert_eq!(answer[2], -1);
                }
            }
            Ok(())
        });
        run.unwrap();
    })
}

/// Three processes that lease, use at any moment of a lease, give back, or forget: no window holds too many.
#[test]
fn whatever_is_leased_and_whenever_it_is_used_no_window_holds_too_many() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_script(|connection, script, prefix| {
        let connection = std::cell::RefCell::new(connection);
        let steps = prop::collection::vec(step(), 1..60);
        let number = std::cell::Cell::new(0);
        let run = runner(250).run(&(prop::collection::vec(policy(), 1..3), steps), |(policies, steps)| {
            number.set(number.get() + 1);
            let mut connection = connection.borrow_mut();
            let key = format!("{prefix}:b{}", number.get());
            let mut account = Account { connection: &mut connection, script, key, policies: &policies };
            let (mut now, mut uses) = (BEGIN, BTreeMap::<u64, u64>::new());
            // In hand, when it was leased last, and what was used of it.
            let mut hands = [(0_u64, 0_u64); 3];
            for step in steps {
                let (left, till) = hands[step.process];
                // It uses some at some moment while the lease is valid, and tells of it later.
                let used = left * u64::from(step.used) / 255;
                let moment =
                    (now + step.pause * u64::from(step.back) / 255).min(till.saturating_sub(1)).max(now);
                now += step.pause;
                if used > 0 && moment < till {
                    *uses.entry(moment).or_default() += used;
                } else if used > 0 {
                    // The lease ended before it could be used.
                    hands[step.process] = (0, 0);
                    continue;
                }
                let rest = left - used;
                let back = rest * u64::from(step.back) / 255;
                let answer = account.ask(now, step.process, [used, back, step.take.into(), step.want.into()]);
                let ended = now >= till;
                let kept = if ended { 0 } else { rest - back };
                let granted = u64::try_from(answer[1]).unwrap();
                hands[step.process] =
                    if answer[0] == 1 { (kept + granted, now + LEASE) } else { (kept, till) };
                if answer[0] == 1 && step.take > 0 {
                    *uses.entry(now).or_default() += u64::from(step.take);
                }
            }
            for policy in &policies {
                assert_windows(*policy, &uses);
            }
            Ok(())
        });
        run.unwrap();
    })
}
