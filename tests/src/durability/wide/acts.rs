//! What is done in a run, in an order drawn from the seed.

use fastrand::Rng;

use super::WidePlan;
use crate::{aws_proxy::Harm, engines::Stop, faults::Window, proxy::Way};

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Carrier,
    Redis,
}

impl Engine {
    const ALL: [Self; 3] = [Self::Postgres, Self::Carrier, Self::Redis];
}

/// When a Redis is emptied at its restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    Never,
    Before,
    After,
}

/// How the network before an engine fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Cut,
    Reset,
    Stall,
    Hole(Way),
}

impl Network {
    const ALL: [Self; 5] =
        [Self::Cut, Self::Reset, Self::Stall, Self::Hole(Way::ToEngine), Self::Hole(Way::FromEngine)];
}

/// Who is harmed: the number of a process, fronts first.
pub(super) type Target = usize;

/// One harm.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// SIGKILL at a random moment.
    Kill(Target),
    /// SIGSTOP for longer than a lease.
    Freeze(Target),
    /// SIGKILL at the passage of a window of this number.
    Window(Target, Window, u64),
    Restart(Engine, Stop, Flush),
    Network(Engine, Network),
    /// Calls to AWS fail so for a while.
    Calls(Refusal),
    /// The emulator of AWS stands still, connections and all.
    Still,
}

/// How calls to AWS fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `503`, and not done.
    Refused,
    /// `500`, and done.
    Denied,
    /// Entries of batches that are not done.
    Partial,
    /// Entries of batches that are done, and answered as failed.
    Misreported,
}

impl Refusal {
    pub(super) const ALL: [Self; 4] = [Self::Refused, Self::Denied, Self::Partial, Self::Misreported];

    /// What the proxy is told: a third of all calls.
    pub(super) fn harm(self) -> Harm {
        let none = Harm::default();
        match self {
            Self::Refused => Harm { refused: 333, ..none },
            Self::Denied => Harm { denied: 333, ..none },
            Self::Partial => Harm { partial: 333, ..none },
            Self::Misreported => Harm { misreported: 333, ..none },
        }
    }
}

/// Fronts, and workers, of the run.
pub(super) const PAIR: usize = 2;

/// All of a plan.
pub(super) fn draw(plan: &WidePlan, rng: &mut Rng) -> Vec<Act> {
    let mut acts: Vec<Act> = (0..plan.kills)
        .map(|number| Act::Kill(if plan.workers_only { PAIR + number % PAIR } else { number % (2 * PAIR) }))
        .collect();
    for number in 0..plan.stops {
        acts.extend([Act::Freeze(number % PAIR), Act::Freeze(PAIR + number % PAIR)]);
    }
    for (number, window) in (0..plan.windows).flat_map(|number| Window::ALL.map(|window| (number, window))) {
        acts.push(in_window(window, number, rng));
    }
    for number in 0..plan.restarts {
        acts.extend(Engine::ALL.map(|engine| restart(engine, number)));
    }
    for number in 0..plan.faults {
        let faults = Network::ALL.iter().enumerate();
        // Before one engine after the other, so that each sees each manner.
        acts.extend(faults.map(|(place, network)| Act::Network(Engine::ALL[(place + number) % 3], *network)));
    }
    for _ in 0..plan.refusals {
        acts.extend(Refusal::ALL.map(Act::Calls));
        acts.push(Act::Still);
    }
    rng.shuffle(&mut acts);
    acts
}

/// Only a front answers; everything else is done by workers.
fn in_window(window: Window, number: usize, rng: &mut Rng) -> Act {
    let first = if window == Window::ConfirmToAnswer { 0 } else { PAIR };
    let most = if matches!(window, Window::IntakeToAttempt | Window::AttemptToOutcome) { 30 } else { 6 };
    Act::Window(first + number % PAIR, window, rng.u64(1..=most))
}

fn restart(engine: Engine, number: usize) -> Act {
    let (how, flush) = match (engine, number % 4) {
        (Engine::Postgres, 0 | 2) => (Stop::Immediate, Flush::Never),
        (Engine::Postgres, 1) => (Stop::Orderly, Flush::Never),
        (Engine::Redis, 0) => (Stop::Kill, Flush::Before),
        (Engine::Redis, 1) => (Stop::Orderly, Flush::Never),
        (Engine::Redis, 2) => (Stop::Orderly, Flush::After),
        (Engine::Carrier, 1 | 3) => (Stop::Orderly, Flush::Never),
        _ => (Stop::Kill, Flush::Never),
    };
    Act::Restart(engine, how, flush)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_size_does_as_much_harm_as_it_says() {
        let acts = draw(&WidePlan::full(7), &mut Rng::with_seed(7));
        let count = |wanted: &dyn Fn(&Act) -> bool| acts.iter().filter(|act| wanted(act)).count();
        let killed = |target| count(&|act| matches!(act, Act::Kill(t) | Act::Window(t, ..) if *t == target));
        assert!((0..2 * PAIR).all(|target| killed(target) >= 12), "all four");
        // In a window a process is killed twice: once to be started with the fuse.
        assert!((0..2 * PAIR).map(killed).sum::<usize>() >= 60);
        let restarts =
            |engine, how| count(&|act| matches!(act, Act::Restart(e, h, _) if (*e, *h) == (engine, how)));
        let all = |engine| {
            [Stop::Orderly, Stop::Immediate, Stop::Kill].map(|how| restarts(engine, how)).iter().sum()
        };
        let all: Vec<usize> = Engine::ALL.map(all).to_vec();
        assert!(all.iter().sum::<usize>() >= 20 && all.iter().all(|count| *count >= 6), "{all:?}");
        assert_eq!(2 * restarts(Engine::Postgres, Stop::Immediate), all[0]);
        let emptied = count(&|act| matches!(act, Act::Restart(_, _, Flush::Before | Flush::After)));
        assert_eq!(2 * emptied, all[2]);
        for engine in Engine::ALL {
            for network in Network::ALL {
                assert!(
                    count(&|act| matches!(act, Act::Network(e, n) if (*e, *n) == (engine, network))) >= 2
                );
            }
        }
    }
}
