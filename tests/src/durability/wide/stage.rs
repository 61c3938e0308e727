//! Plays the acts; starts again what was killed, as whatever watches over containers does, and nothing else.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;

use super::{
    WidePlan,
    acts::{self, Act, PAIR, Target},
};
use crate::{
    checker::evidence::{Disturbance, Harm},
    deployment::Deployment,
    durability::{Outcome, crowd::Crowd, in_flight},
    gateway::{Helper, Member},
    monotonic::nanos,
};

/// How long an act may wait for its moment.
pub(super) const MOMENT: Duration = Duration::from_secs(10);

/// Wishes let go for each act, also where few of the plan's are left.
const LEAST: usize = 16;

/// Everything that takes part.
pub(super) struct Stage<'a> {
    pub(super) site: &'a mut Deployment,
    pub(super) environment: &'a [(&'static str, String)],
    pub(super) crowd: &'a Crowd,
    pub(super) receiver: &'a Helper,
    pub(super) outcome: &'a mut Outcome,
    pub(super) rng: Rng,
    /// Who was killed, and when it is started again.
    pub(super) down: [Option<Instant>; 2 * PAIR],
    /// Who may end by itself, since a fuse was laid in it.
    pub(super) fused: Option<Target>,
    workers_only: bool,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        plan: &WidePlan,
        site: &'a mut Deployment,
        environment: &'a [(&'static str, String)],
        crowd: &'a Crowd,
        receiver: &'a Helper,
        outcome: &'a mut Outcome,
    ) -> Self {
        let rng = Rng::with_seed(plan.seed);
        let (down, fused, workers_only) = ([None; 2 * PAIR], None, plan.workers_only);
        Self { site, environment, crowd, receiver, outcome, rng, down, fused, workers_only }
    }

    /// Every act of the plan.
    pub(super) fn play(&mut self, plan: &WidePlan, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let mut acts = acts::draw(plan, &mut self.rng);
        let mut number = 0;
        while let Some(act) = acts.pop() {
            number += 1;
            ensure!(number < 1_000, "the windows are never passed");
            let began = Instant::now();
            // Some are left for the end, when nothing is in the way any more.
            let share = plan.messages.saturating_sub(self.crowd.released()) / (acts.len() + 2);
            let share = share.max(LEAST);
            let goal = self.crowd.decided() + self.rng.usize(share / 8..=share * 3 / 4);
            ensure!(self.crowd.release(share), "no wishes are left for {act:?}");
            self.await_goal(goal)?;
            let done = self.do_harm(act).with_context(|| format!("{act:?}"))?;
            say(&format!(
                "act {number}: {act:?}{} in {:.1?}; {} wishes answered",
                if done { "" } else { " (not passed)" },
                began.elapsed(),
                self.crowd.decided()
            ));
            if let (Act::Window(target, window, _), false) = (act, done) {
                // It lived on: the same window again, at its first passage.
                acts.push(Act::Window(target, window, 1));
            }
        }
        Ok(())
    }

    /// Nothing stands in the way any more: every process that was killed is started, and that is the last that is done.
    pub(super) fn make_well(&mut self) -> anyhow::Result<()> {
        self.down = self.down.map(|at| at.map(|_| Instant::now()));
        self.supervise()?;
        let running = self.site.members().filter(|member| member.pid().is_ok()).count();
        ensure!(running == 2 * PAIR, "{running} processes run");
        Ok(())
    }

    pub(super) fn member(&mut self, target: Target) -> anyhow::Result<&mut Member> {
        self.site.members().nth(target).context("there is no such process")
    }

    /// Whom to harm by the way.
    pub(super) fn anybody(&mut self) -> Target {
        self.rng.usize(if self.workers_only { PAIR } else { 0 }..2 * PAIR)
    }

    /// Starts again what was killed, after its pause. Whoever ended without being killed is an error.
    pub(super) fn supervise(&mut self) -> anyhow::Result<()> {
        for target in 0..2 * PAIR {
            if !self.member(target)?.has_ended()? {
                continue;
            }
            match self.down[target] {
                Some(at) if Instant::now() >= at => self.launch(target, None)?,
                Some(_) => {}
                None if self.fused == Some(target) => {}
                None => {
                    let member = self.member(target)?;
                    bail!("{} ended by itself:\n{}", member.name(), member.log_tail());
                }
            }
        }
        Ok(())
    }

    pub(super) fn launch(
        &mut self,
        target: Target,
        fault: Option<(&'static str, String)>,
    ) -> anyhow::Result<()> {
        let mut environment = self.environment.to_vec();
        environment.extend(fault);
        self.down[target] = None;
        self.member(target)?.launch(&environment)
    }

    /// Waits until so many wishes are decided, so that the harm comes in the middle of calls.
    pub(super) fn await_goal(&mut self, goal: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + MOMENT;
        while self.crowd.decided() < goal && Instant::now() < deadline {
            self.supervise()?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.supervise()?;
            thread::sleep(Duration::from_millis(5).min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    pub(super) fn drawn(&mut self, ms: std::ops::RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(ms))
    }

    /// SIGKILL; it comes back after a pause. One that is down is started, and dies again while it starts.
    pub(super) fn kill(&mut self, target: Target) -> anyhow::Result<()> {
        let starting = self.member(target)?.has_ended()?;
        if starting {
            self.launch(target, None)?;
            let moment = self.drawn(0..=250);
            thread::sleep(moment);
        }
        let seen = in_flight::before(self.crowd, self.receiver);
        let from = nanos();
        self.member(target)?.kill()?;
        self.disturbed(target, Harm::Kill, from);
        if starting {
            self.outcome.kills_while_starting += 1;
        } else {
            self.outcome.kills += 1;
            self.note(seen);
        }
        self.down[target] = Some(Instant::now() + self.drawn(0..=800));
        Ok(())
    }

    pub(super) fn note(&mut self, mut seen: in_flight::InFlight) {
        in_flight::after_wide(self.site, &mut seen);
        self.outcome.in_flight.push(seen);
    }

    /// What a front suffers is no reason to repeat an attempt.
    pub(super) fn disturbed(&mut self, target: Target, harm: Harm, from: u64) {
        if target >= PAIR {
            self.note_harm(harm, from);
        }
    }

    pub(super) fn note_harm(&mut self, harm: Harm, from: u64) {
        self.outcome.evidence.disturbances.push(Disturbance { harm, from, to: nanos() });
    }
}
