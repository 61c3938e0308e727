//! What may happen to messages, drawn at random.

use naru_shared::domain::{Code, Next, State, Timestamp};
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::life::RETRY;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    Ready,
    Start,
    Schedule,
    Hold,
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Delivered,
    Failed,
    Uncertain,
    Sent,
    Retry,
    RetryInDoubt,
    Held,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    Intake { customer: usize, begin: Begin, units: u32, sandbox: bool, cancelled_before: bool },
    Again(usize),
    Replay(usize),
    Take(usize),
    Settle { which: usize, back: u32, end: End },
    GiveBack(usize),
    Cancel(usize),
    Resolve(usize, u8),
    Acknowledge(usize, u32),
    Wake,
    Pass(u64),
}

pub(super) fn next(end: End, now: Timestamp) -> Next {
    match end {
        End::Delivered => Next::end(State::Delivered, Code::Ok, ""),
        End::Failed => Next::end(State::Failed, Code::BackendRefused, "no"),
        End::Uncertain => Next::end(State::Failed, Code::Uncertain, "cut"),
        End::Sent => Next::Sent { backend_id: Some("b".into()), look_at: now.plus(RETRY) },
        End::Held => Next::Held { detail: "cut".into() },
        End::Retry | End::RetryInDoubt => Next::Retry {
            at: now.plus(RETRY),
            possible_duplicate: end == End::RetryInDoubt,
            detail: "busy".into(),
        },
    }
}

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let begin = prop_oneof![
        Just(Begin::Ready),
        Just(Begin::Start),
        Just(Begin::Start),
        Just(Begin::Schedule),
        Just(Begin::Hold),
        Just(Begin::Refuse)
    ];
    let end = prop_oneof![
        Just(End::Delivered),
        Just(End::Failed),
        Just(End::Uncertain),
        Just(End::Sent),
        Just(End::Retry),
        Just(End::RetryInDoubt),
        Just(End::Held)
    ];
    let pass = prop_oneof![Just(1), Just(6), Just(31), Just(601), Just(40 * 86_400)];
    let intake = (0..3_usize, begin, 1..5_u32, any::<u8>(), any::<u8>()).prop_map(
        |(customer, begin, units, sandbox, cancelled)| Op::Intake {
            customer,
            begin,
            units,
            sandbox: sandbox % 6 == 0,
            cancelled_before: cancelled % 8 == 0,
        },
    );
    let op = prop_oneof![
        4 => intake,
        1 => any::<usize>().prop_map(Op::Again),
        1 => any::<usize>().prop_map(Op::Replay),
        3 => (1..6_usize).prop_map(Op::Take),
        6 => (any::<usize>(), 0..2_u32, end).prop_map(|(which, back, end)| Op::Settle { which, back, end }),
        1 => any::<usize>().prop_map(Op::GiveBack),
        1 => any::<usize>().prop_map(Op::Cancel),
        1 => (any::<usize>(), 0..3_u8).prop_map(|(which, how)| Op::Resolve(which, how)),
        1 => (any::<usize>(), 1..3_u32).prop_map(|(which, revision)| Op::Acknowledge(which, revision)),
        1 => Just(Op::Wake),
        2 => pass.prop_map(Op::Pass),
    ];
    proptest::collection::vec(op, 1..80)
}
