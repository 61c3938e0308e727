//! One connection to the broker, kept by a task: made, watched, and made again, with pauses that grow to five seconds.

use std::{sync::Arc, time::Duration};

use lapin::Connection;
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{dial::Dial, trouble::Trouble};
use crate::metrics;

/// The shortest and the longest pause between two attempts; each is drawn from the upper half of what it may be.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A connection that lasted as long is taken for sound: the next pause is short again.
const SOUND: Duration = Duration::from_secs(10);

/// How often a connection that nobody complains about is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What a connection is doing.
#[derive(Clone)]
pub(super) enum State {
    /// The first attempt, or the first after a loss: the answer is near.
    Connecting,
    /// It serves.
    Up(Up),
    /// The last attempt failed; others follow.
    Down(Trouble),
}

/// A connection that serves.
#[derive(Clone)]
pub(super) struct Up {
    /// Which one: a later connection has another.
    pub(super) number: u64,
    pub(super) connection: Arc<Connection>,
}

/// Where the state of a connection is seen.
#[derive(Clone)]
pub(super) struct Link {
    states: watch::Receiver<State>,
    suspicion: Arc<Notify>,
}

impl Link {
    /// Begins to keep a connection; `role` names it to the operator. It ends with `stop`.
    pub(super) fn start(dial: Dial, role: &'static str, runtime: &Handle, stop: CancellationToken) -> Self {
        let (sender, states) = watch::channel(State::Connecting);
        let suspicion = Arc::new(Notify::new());
        let keeper = Keeper { dial, role, states: sender, suspicion: Arc::clone(&suspicion), stop };
        // Owned by whoever holds `stop`.
        drop(runtime.spawn(keeper.keep()));
        Self { states, suspicion }
    }

    /// The connection, if it serves or is about to within `patience`.
    pub(super) async fn up(&self, patience: Duration) -> Result<Up, Trouble> {
        let mut states = self.states.clone();
        let settled = timeout(patience, states.wait_for(|state| !matches!(state, State::Connecting))).await;
        match settled {
            Ok(Ok(state)) => match &*state {
                State::Up(up) => Ok(up.clone()),
                State::Down(trouble) => Err(trouble.clone()),
                State::Connecting => Err(Trouble::Silent(patience)),
            },
            Ok(Err(_gone)) => Err(Trouble::Ended),
            Err(_elapsed) => Err(Trouble::Silent(patience)),
        }
    }

    /// What it is doing, and whatever it will do.
    pub(super) fn states(&self) -> watch::Receiver<State> {
        self.states.clone()
    }

    /// Something failed on it: it is looked at now.
    pub(super) fn suspect(&self) {
        self.suspicion.notify_one();
    }
}

struct Keeper {
    dial: Dial,
    role: &'static str,
    states: watch::Sender<State>,
    suspicion: Arc<Notify>,
    stop: CancellationToken,
}

impl Keeper {
    async fn keep(self) {
        let connected = metrics::RABBITMQ_CONNECTED.of(&[("connection", self.role)]);
        let mut pause = PAUSES.0;
        let mut number = 0;
        while !self.stop.is_cancelled() {
            let attempt = tokio::select! {
                () = self.stop.cancelled() => break,
                attempt = self.dial.connect() => attempt,
            };
            metrics::RABBITMQ_CONNECTS
                .of(&[
                    ("connection", self.role),
                    ("outcome", if attempt.is_ok() { "made" } else { "failed" }),
                ])
                .increment(1);
            match attempt {
                Ok(made) => {
                    number += 1;
                    tracing::info!(connection = self.role, "RabbitMQ is connected");
                    connected.set(1.0);
                    let began = Instant::now();
                    let up = Up { number, connection: Arc::clone(&made.connection) };
                    self.states.send_replace(State::Up(up));
                    self.watch(&made.connection).await;
                    connected.set(0.0);
                    self.states.send_replace(State::Connecting);
                    if began.elapsed() >= SOUND {
                        pause = PAUSES.0;
                    }
                    if !self.stop.is_cancelled() {
                        tracing::warn!(connection = self.role, "the connection to RabbitMQ was lost");
                    }
                    made.close().await;
                }
                Err(trouble) => self.failed(trouble),
            }
            let jitter = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
            pause = (pause * 2).min(PAUSES.1);
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(jitter) => {}
            }
        }
        self.states.send_replace(State::Down(Trouble::Ended));
    }

    fn failed(&self, trouble: Trouble) {
        // Once for each outage, not once for each attempt.
        if matches!(&*self.states.borrow(), State::Connecting) {
            tracing::warn!(connection = self.role, error = %trouble, "RabbitMQ cannot be reached; trying on");
        }
        self.states.send_replace(State::Down(trouble));
    }

    /// Until the connection no longer serves, or is no longer needed.
    async fn watch(&self, connection: &Connection) {
        while connection.status().connected() {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.suspicion.notified() => {}
                () = sleep(LOOK) => {}
            }
        }
    }
}
