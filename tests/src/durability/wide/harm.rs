//! Each kind of harm.

use std::time::{Duration, Instant};

use super::{
    acts::{Act, Engine, Flush, Network, Refusal, Target},
    stage::{MOMENT, Stage},
};
use crate::{
    aws_proxy,
    checker::evidence::Harm,
    durability::{LEASE_MS, in_flight},
    engines::Stop,
    faults::{self, Window},
    monotonic::nanos,
    proxy::Proxy,
};

/// Wishes let go while a process is awaited at a window, and how often.
const TRICKLE: usize = 4;
const EVERY: Duration = Duration::from_millis(200);

impl Stage<'_> {
    /// Whether it came to what it was for.
    pub(super) fn do_harm(&mut self, act: Act) -> anyhow::Result<bool> {
        match act {
            Act::Kill(target) => self.kill(target)?,
            Act::Freeze(target) => self.freeze(target)?,
            Act::Window(target, window, passage) => return self.die_at(target, window, passage),
            Act::Restart(engine, how, flush) => self.restart(engine, how, flush)?,
            Act::Network(engine, network) => self.fail_network(engine, network)?,
            Act::Calls(refusal) => self.fail_calls(refusal)?,
            Act::Still => self.still()?,
        }
        Ok(true)
    }

    fn freeze(&mut self, target: Target) -> anyhow::Result<()> {
        self.await_running(target)?;
        let seen = in_flight::before(self.crowd, self.receiver);
        let from = nanos();
        self.member(target)?.pause()?;
        self.note(seen);
        self.wait(Duration::from_millis(LEASE_MS + 1_200))?;
        self.member(target)?.go_on()?;
        self.disturbed(target, Harm::Stop, from);
        self.outcome.stops += 1;
        Ok(())
    }

    /// It was killed a moment ago: until it is started again.
    fn await_running(&mut self, target: Target) -> anyhow::Result<()> {
        while self.member(target)?.has_ended()? {
            self.wait(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Killed, started with a fuse, and dead at the window.
    fn die_at(&mut self, target: Target, window: Window, passage: u64) -> anyhow::Result<bool> {
        self.await_running(target)?;
        self.kill(target)?;
        self.launch(target, Some((faults::FAULT, format!("{}:{passage}", window.as_str()))))?;
        self.fused = Some(target);
        let mut more = Instant::now();
        let deadline = Instant::now() + MOMENT;
        let mut alive = nanos();
        let mut dead = self.member(target)?.has_ended()?;
        while !dead && Instant::now() < deadline {
            alive = nanos();
            if Instant::now() >= more {
                // Somebody must pass it once the process is there.
                self.crowd.release(TRICKLE);
                more += EVERY;
            }
            self.wait(Duration::from_millis(1))?;
            dead = self.member(target)?.has_ended()?;
        }
        self.fused = None;
        if dead {
            self.disturbed(target, Harm::Kill, alive);
            *self.outcome.windows.entry(window.as_str()).or_default() += 1;
            self.down[target] = Some(Instant::now() + self.drawn(0..=800));
        } else {
            self.kill(target)?;
        }
        Ok(dead)
    }

    fn restart(&mut self, engine: Engine, how: Stop, flush: Flush) -> anyhow::Result<()> {
        let from = nanos();
        if flush == Flush::Before {
            self.site.redis.flush_all()?;
        }
        match engine {
            Engine::Postgres => self.site.postgres.stop(how)?,
            Engine::Carrier => self.site.carrier.stop(how)?,
            Engine::Redis => self.site.redis.stop(how)?,
        }
        let away = self.drawn(200..=2_500);
        self.wait(away)?;
        if self.rng.bool() {
            let target = self.anybody();
            self.kill(target)?;
        }
        match engine {
            Engine::Postgres => self.site.postgres.begin()?,
            Engine::Carrier => self.site.carrier.begin()?,
            Engine::Redis => self.site.redis.begin()?,
        }
        if flush == Flush::After {
            self.site.redis.flush_all()?;
        }
        if engine == Engine::Postgres {
            self.note_harm(Harm::Away, from);
        }
        let emptied = if flush == Flush::Never { "" } else { ", emptied" };
        let name = self.name(engine);
        *self.outcome.restarts.entry(format!("{name} {how:?}{emptied}")).or_default() += 1;
        Ok(())
    }

    fn name(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::Postgres => "PostgreSQL",
            Engine::Carrier => self.site.carrier.name(),
            Engine::Redis => "Redis",
        }
    }

    fn proxy(&self, engine: Engine) -> anyhow::Result<&Proxy> {
        match engine {
            Engine::Postgres => self.site.postgres.proxy(),
            Engine::Carrier => self.site.carrier.proxy(),
            Engine::Redis => self.site.redis.proxy(),
        }
    }

    fn fail_calls(&mut self, refusal: Refusal) -> anyhow::Result<()> {
        self.site.carrier.cloud()?.calls()?.harm(refusal.harm());
        self.in_the_midst()?;
        self.site.carrier.cloud()?.calls()?.harm(aws_proxy::Harm::default());
        *self.outcome.faults.entry(format!("AWS {refusal:?}")).or_default() += 1;
        Ok(())
    }

    fn still(&mut self) -> anyhow::Result<()> {
        self.site.carrier.cloud()?.emulator.freeze()?;
        self.in_the_midst()?;
        self.site.carrier.cloud()?.emulator.thaw()?;
        *self.outcome.faults.entry("AWS still".to_owned()).or_default() += 1;
        Ok(())
    }

    /// Time passes, and mostly somebody is killed in it.
    fn in_the_midst(&mut self) -> anyhow::Result<()> {
        let (first, second) = (self.drawn(500..=3_000), self.drawn(500..=3_000));
        self.wait(first)?;
        if self.rng.u8(..) < 85 {
            let target = self.anybody();
            self.kill(target)?;
        }
        self.wait(second)
    }

    fn fail_network(&mut self, engine: Engine, network: Network) -> anyhow::Result<()> {
        let from = nanos();
        let swallowed = self.proxy(engine)?.swallowed();
        match network {
            Network::Cut | Network::Reset => {
                for _ in 0..3 {
                    let proxy = self.proxy(engine)?;
                    if network == Network::Cut {
                        proxy.cut()
                    } else {
                        proxy.reset()
                    }
                    let pause = self.drawn(50..=400);
                    self.wait(pause)?;
                }
            }
            Network::Stall | Network::Hole(_) => {
                let proxy = self.proxy(engine)?;
                if let Network::Hole(way) = network {
                    proxy.swallow(way)
                } else {
                    proxy.stall()
                }
                self.in_the_midst()?;
                self.proxy(engine)?.pass()?;
            }
        }
        if engine == Engine::Postgres {
            self.note_harm(Harm::Away, from);
        }
        let lost = self.proxy(engine)?.swallowed() - swallowed;
        anyhow::ensure!(lost > 0 || !matches!(network, Network::Hole(_)), "nothing was lost in the hole");
        let name = self.name(engine);
        *self.outcome.faults.entry(format!("{name} {network:?}")).or_default() += 1;
        Ok(())
    }
}
