//! Round after round: start, let the clients call, do harm in the middle of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use fastrand::Rng;

use super::{LEASE_MS, Outcome, Plan, crowd::Crowd, in_flight};
use crate::{
    checker::evidence::{Disturbance, Harm},
    faults::{self, Window},
    gateway::{Gateway, Helper},
    monotonic::nanos,
};

/// How long a round may wait for its moment.
const MOMENT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy)]
enum Round {
    Kill,
    Stop,
    Window(Window, u64),
}

struct Stage<'a> {
    gateway: &'a mut Gateway,
    environment: &'a [(&'static str, String)],
    crowd: &'a Crowd,
    receiver: &'a Helper,
    outcome: &'a mut Outcome,
    rng: Rng,
    per_round: usize,
}

/// Every round of the plan, in an order drawn from the seed.
pub(super) fn all(
    plan: &Plan,
    gateway: &mut Gateway,
    environment: &[(&'static str, String)],
    crowd: &Crowd,
    receiver: &Helper,
    outcome: &mut Outcome,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(plan.seed);
    let mut rounds = draw(plan, &mut rng);
    let per_round = plan.messages.div_ceil(rounds.len().max(1));
    let mut stage = Stage { gateway, environment, crowd, receiver, outcome, rng, per_round };
    let mut number = 0;
    while let Some(round) = rounds.pop() {
        number += 1;
        ensure!(number < 1_000, "the windows are never passed");
        let done = stage.play(round)?;
        say(&format!("round {number}: {round:?}, {} wishes answered, {}", stage.crowd.decided(), done.1));
        if let (Round::Window(window, _), false) = (round, done.0) {
            // It lived on: the same window again, at its first passage.
            rounds.push(Round::Window(window, 1));
        }
    }
    Ok(())
}

fn draw(plan: &Plan, rng: &mut Rng) -> Vec<Round> {
    let mut rounds = vec![Round::Kill; plan.kills];
    rounds.extend(vec![Round::Stop; plan.stops]);
    for window in Window::ALL {
        let most = if matches!(window, Window::IntakeToAttempt | Window::AttemptToOutcome) { 60 } else { 12 };
        rounds.extend((0..plan.windows).map(|_| Round::Window(window, rng.u64(1..=most))));
    }
    rng.shuffle(&mut rounds);
    rounds
}

impl Stage<'_> {
    /// One round: whether it did what it was for, and what was under way.
    fn play(&mut self, round: Round) -> anyhow::Result<(bool, String)> {
        let mut environment = self.environment.to_vec();
        if let Round::Window(window, passage) = round {
            environment.push((faults::FAULT, format!("{}:{passage}", window.as_str())));
        } else if self.rng.u8(..) < 64 {
            self.kill_while_starting(&environment)?;
        }
        self.gateway.launch(&environment)?;
        let goal = self.crowd.decided() + self.rng.usize(self.per_round / 8..=self.per_round * 3 / 4);
        ensure!(self.crowd.release(self.per_round), "no wishes are left for {round:?}");
        let done = match round {
            Round::Kill => self.kill_at(goal)?,
            Round::Stop => self.stop_at(goal)?,
            Round::Window(window, _) => self.die_at(window)?,
        };
        Ok((done, self.outcome.in_flight.last().map_or_else(String::new, |seen| format!("{seen:?}"))))
    }

    /// Recovery itself is interrupted.
    fn kill_while_starting(&mut self, environment: &[(&str, String)]) -> anyhow::Result<()> {
        self.gateway.launch(environment)?;
        thread::sleep(Duration::from_millis(self.rng.u64(0..250)));
        self.outcome.kills_while_starting += 1;
        self.kill()
    }

    /// Waits until so many wishes are decided, so that the harm comes in the middle of the round's calls.
    fn await_goal(&mut self, goal: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + MOMENT;
        while self.crowd.decided() < goal && Instant::now() < deadline {
            ensure!(!self.gateway.has_ended()?, "the gateway ended by itself:\n{}", self.gateway.log_tail());
            thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    }

    fn kill_at(&mut self, goal: usize) -> anyhow::Result<bool> {
        self.await_goal(goal)?;
        let mut seen = in_flight::before(self.crowd, self.receiver);
        self.kill()?;
        in_flight::after(&self.gateway.home().join("data"), &mut seen);
        self.outcome.in_flight.push(seen);
        self.outcome.kills += 1;
        Ok(true)
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        let from = nanos();
        self.gateway.kill()?;
        self.disturbed(Harm::Kill, from);
        Ok(())
    }

    fn stop_at(&mut self, goal: usize) -> anyhow::Result<bool> {
        self.await_goal(goal)?;
        let mut seen = in_flight::before(self.crowd, self.receiver);
        let from = nanos();
        self.gateway.pause()?;
        in_flight::after(&self.gateway.home().join("data"), &mut seen);
        thread::sleep(Duration::from_millis(LEASE_MS + 700));
        self.gateway.go_on()?;
        self.disturbed(Harm::Stop, from);
        self.outcome.in_flight.push(seen);
        self.outcome.stops += 1;
        self.await_goal(self.crowd.released())?;
        thread::sleep(Duration::from_millis(self.rng.u64(0..1_500)));
        // Ends as an operator would end it; what is in hand is finished or comes back.
        self.gateway.drain()?;
        Ok(true)
    }

    fn die_at(&mut self, window: Window) -> anyhow::Result<bool> {
        let deadline = Instant::now() + MOMENT;
        let mut alive = nanos();
        let mut seen = in_flight::InFlight::default();
        while !self.gateway.has_ended()? {
            if Instant::now() > deadline {
                self.kill()?;
                return Ok(false);
            }
            alive = nanos();
            seen = in_flight::InFlight { calls: self.crowd.open() as u64, ..seen };
            thread::sleep(Duration::from_millis(1));
        }
        self.disturbed(Harm::Kill, alive);
        in_flight::after(&self.gateway.home().join("data"), &mut seen);
        self.outcome.in_flight.push(seen);
        *self.outcome.windows.entry(window.as_str()).or_default() += 1;
        Ok(true)
    }

    fn disturbed(&mut self, harm: Harm, from: u64) {
        self.outcome.evidence.disturbances.push(Disturbance { harm, from, to: nanos() });
    }
}
