//! One connection, made when it is needed and kept while it works.

use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout,
};

use super::CONNECT;
use crate::table::TableError;

/// Between attempts to connect to a server that was away.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// A connection that nobody used for so long is made anew: what lies between may have forgotten it.
const IDLE: Duration = Duration::from_secs(60);

pub(super) struct State<C> {
    connection: Option<C>,
    used: Option<Instant>,
    failures: u32,
    not_before: Option<Instant>,
}

/// See the module.
pub(super) struct Line<C: Connection> {
    options: C::Options,
    state: Mutex<State<C>>,
}

impl<C: Connection> Line<C> {
    pub(super) fn new(options: C::Options) -> Self {
        let state = State { connection: None, used: None, failures: 0, not_before: None };
        Self { options, state: Mutex::new(state) }
    }

    /// Takes the connection out; whoever does not put it back has closed it.
    pub(super) async fn take(&self) -> Result<(C, MutexGuard<'_, State<C>>), TableError> {
        let mut state = self.state.lock().await;
        let idle = state.used.is_none_or(|used| used.elapsed() > IDLE);
        if let Some(connection) = state.connection.take().filter(|_| !idle) {
            return Ok((connection, state));
        }
        if state.not_before.is_some_and(|moment| Instant::now() < moment) {
            return Err(TableError::Away("the table's database is away".to_owned()));
        }
        match timeout(CONNECT, C::connect_with(&self.options)).await {
            Ok(Ok(connection)) => {
                state.failures = 0;
                state.not_before = None;
                Ok((connection, state))
            }
            failed => {
                let why = match failed {
                    Ok(Err(sqlx::Error::Database(error))) => error.message().to_owned(),
                    Ok(Err(error)) => error.to_string(),
                    _ => format!("no connection within {CONNECT:?}"),
                };
                let pause = SHORTEST.saturating_mul(1 << state.failures.min(5)).min(LONGEST);
                if state.failures == 0 {
                    tracing::warn!(
                        why,
                        "the table's database cannot be used: it is tried again until it can"
                    );
                }
                state.failures = state.failures.saturating_add(1);
                state.not_before = Some(Instant::now() + pause);
                Err(TableError::Away(format!("the table's database cannot be reached: {why}")))
            }
        }
    }
}

impl<C> State<C> {
    pub(super) fn put_back(&mut self, connection: C) {
        self.connection = Some(connection);
        self.used = Some(Instant::now());
    }
}
