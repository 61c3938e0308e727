//! The loop of the load generator.

use std::{io, time::Duration};

use anyhow::Context;
use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use super::{Connection, Percentiles, Plan, Summary};
use crate::{bench::cpu, monotonic::nanos};

/// After the last call, how long to wait for the answers under way.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// Calls as the plan says and tells what came of it.
///
/// # Errors
/// If the server cannot be reached, or breaks every connection.
pub fn run(plan: &Plan) -> anyhow::Result<Summary> {
    anyhow::ensure!(!plan.calls.is_empty() && plan.connections > 0, "nothing to call with");
    let mut driver = Driver::open(plan)?;
    driver.drive()?;
    Ok(driver.summary())
}

struct Driver<'a> {
    plan: &'a Plan,
    poll: Poll,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    sent: u64,
    started: u64,
    measure_from: u64,
    measure_to: u64,
    cpu_from: Option<u64>,
    /// A call of the timetable had to wait for a free connection.
    starved: bool,
    latency: Histogram<u64>,
    summary: Summary,
}

impl<'a> Driver<'a> {
    fn open(plan: &'a Plan) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            connections.push(register(&poll, plan, index)?);
        }
        let started = nanos();
        let measure_from = started + span(plan.warm_up);
        Ok(Self {
            plan,
            poll,
            idle: (0..connections.len()).rev().collect(),
            connections,
            sent: 0,
            started,
            measure_from,
            measure_to: measure_from + span(plan.duration),
            cpu_from: None,
            starved: false,
            latency: Histogram::new_with_bounds(1_000, 600_000_000_000, 3)?,
            summary: Summary::default(),
        })
    }

    fn drive(&mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut ended = None;
        loop {
            let now = nanos();
            if self.cpu_from.is_none() && now >= self.measure_from {
                self.cpu_from = Some(cpu::own_nanos());
            }
            let over = now >= self.measure_to || self.plan.limit.is_some_and(|limit| self.sent >= limit);
            if over && ended.is_none() {
                ended = Some(now);
                self.close_measure(now);
            }
            if let Some(at) = ended {
                if self.idle.len() == self.connections.len() {
                    return Ok(());
                }
                let free = self.idle.len();
                anyhow::ensure!(
                    now < at + span(LAST_ANSWERS),
                    "some calls were never answered ({free} free)"
                );
            } else {
                self.begin_due(now)?;
            }
            self.poll.poll(&mut events, Some(self.nap(now))).or_else(interrupted)?;
            for event in &events {
                self.serve(event.token().0, event.is_writable(), ended.is_some())?;
            }
        }
    }

    /// Begins what the timetable says, or on every idle connection if there is none.
    fn begin_due(&mut self, now: u64) -> anyhow::Result<()> {
        while let Some(due) = self.due() {
            if due > now {
                self.starved = false;
                return Ok(());
            }
            let Some(index) = self.idle.pop() else {
                self.starved = self.plan.rate.is_some();
                return Ok(());
            };
            // The poll's own coarseness is not the server's delay; a missing connection is.
            let from = if self.starved { due } else { now };
            self.begin(index, from)?;
        }
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a timetable of under 2^52 ns"
    )]
    fn due(&self) -> Option<u64> {
        if self.plan.limit.is_some_and(|limit| self.sent >= limit) {
            return None;
        }
        let offset = self.plan.rate.map_or(0, |rate| (self.sent as f64 * 1e9 / rate) as u64);
        Some(self.started + offset)
    }

    fn begin(&mut self, index: usize, from: u64) -> anyhow::Result<()> {
        let calls = &self.plan.calls;
        let call = &calls[usize::try_from(self.sent)? % calls.len()];
        self.sent += 1;
        if self.connections[index].begin(call, from, nanos()).is_err() {
            self.reopen(index)?;
        }
        Ok(())
    }

    fn serve(&mut self, index: usize, writable: bool, ending: bool) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        let wrote = if writable && connection.begun.is_some() { connection.write() } else { Ok(()) };
        match wrote.and_then(|()| connection.read()) {
            Err(_) => self.reopen(index),
            Ok(None) => Ok(()),
            Ok(Some(answer)) => {
                let now = nanos();
                // A server that ends an idle connection may say so first (408): that answers no call.
                let Some(begun) = connection.begun.take() else { return self.reopen(index) };
                self.count(begun, now, answer.status, answer.accepted);
                let again =
                    !ending && self.plan.rate.is_none() && self.due().is_some() && now < self.measure_to;
                if again {
                    return self.begin(index, now);
                }
                self.idle.push(index);
                Ok(())
            }
        }
    }

    fn count(&mut self, begun: u64, now: u64, status: u16, accepted: u64) {
        *self.summary.statuses.entry(status).or_default() += 1;
        self.summary.accepted_in_all += accepted;
        if begun >= self.measure_from && now <= self.measure_to {
            self.summary.calls += 1;
            self.summary.accepted += accepted;
            self.latency.saturating_record(now - begun);
        }
    }

    fn reopen(&mut self, index: usize) -> anyhow::Result<()> {
        let busy = self.connections[index].begun.is_some();
        self.connections[index] = register(&self.poll, self.plan, index)?;
        if busy {
            self.summary.broken += 1;
            self.idle.push(index);
        }
        let hopeless = self.summary.broken > 1_000 && self.summary.statuses.is_empty();
        anyhow::ensure!(!hopeless, "the server breaks every connection");
        Ok(())
    }

    fn nap(&self, now: u64) -> Duration {
        let far = Duration::from_millis(50);
        match self.due() {
            Some(due) if self.plan.rate.is_some() && !self.idle.is_empty() => {
                Duration::from_nanos(due.saturating_sub(now)).min(far)
            }
            _ => far,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people to read")]
    fn close_measure(&mut self, now: u64) {
        self.measure_to = self.measure_to.min(now);
        self.summary.seconds = self.measure_to.saturating_sub(self.measure_from) as f64 / 1e9;
        let used = self.cpu_from.map_or(0, |from| cpu::own_nanos().saturating_sub(from));
        self.summary.cpu_us_per_call = used as f64 / 1e3 / self.summary.calls.max(1) as f64;
    }

    fn summary(mut self) -> Summary {
        self.summary.latency = Percentiles::of(&self.latency);
        self.summary
    }
}

fn register(poll: &Poll, plan: &Plan, index: usize) -> anyhow::Result<Connection> {
    let mut connection = Connection::open(plan.target, plan.tls.as_ref())
        .with_context(|| format!("connecting to {}", plan.target))?;
    poll.registry().register(
        &mut connection.stream,
        Token(index),
        Interest::READABLE | Interest::WRITABLE,
    )?;
    Ok(connection)
}

fn span(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

fn interrupted(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
