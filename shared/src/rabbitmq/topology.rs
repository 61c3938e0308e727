//! What is declared on the broker, and how. Nothing here lets the broker decide about a message: no time to live but that
//! after which it goes back to where it was, no length, no count of deliveries; and what an operator's policy makes it throw
//! out goes to a queue that is consumed too.

use std::{collections::HashSet, sync::Arc, time::Duration};

use lapin::{
    Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use parking_lot::Mutex;

use super::{
    names,
    trouble::{Trouble, in_time, is_missing, is_otherwise},
    turn::Turns,
};

/// A queue as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Quorum; what the broker throws out goes to its own `….dead`, which is declared with it.
    WithDead(String),
    /// Quorum, for what was put off: what has waited long enough there goes back to another queue, which is there.
    Later {
        /// Its name.
        queue: String,
        /// The other's.
        back: String,
    },
    /// Quorum, with nowhere else to go.
    Plain(String),
    /// Quorum, bound to a fanout exchange; both are declared.
    Bound {
        /// Its name.
        queue: String,
        /// The exchange's.
        exchange: String,
    },
    /// A durable fanout exchange.
    Exchange(String),
    /// Whatever it is, it must be there already.
    Existing(String),
}

impl Plan {
    /// Its name: the queue's, or the exchange's.
    pub(crate) fn queue(&self) -> &str {
        match self {
            Self::WithDead(queue)
            | Self::Plain(queue)
            | Self::Exchange(queue)
            | Self::Existing(queue)
            | Self::Later { queue, .. }
            | Self::Bound { queue, .. } => queue,
        }
    }
}

/// Declares.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    turns: Turns,
    /// Queues that this process has seen. One that goes is noticed by who uses it, and forgotten.
    known: Arc<Mutex<HashSet<String>>>,
    patience: Duration,
}

impl Topology {
    pub(super) fn new(turns: Turns, patience: Duration) -> Self {
        Self { turns, known: Arc::default(), patience }
    }

    /// Makes sure that something is there.
    pub(super) async fn declare(&self, connection: &Connection, plan: &Plan) -> Result<(), Trouble> {
        match plan {
            Plan::Existing(queue) => self.find(connection, queue).await,
            Plan::Exchange(name) => self.exchange(connection, name).await,
            Plan::Later { queue, back } => self.quorum(connection, queue, Some(back)).await,
            Plan::Plain(queue) => self.quorum(connection, queue, None).await,
            Plan::WithDead(queue) => {
                // First where it leads to: at no time may something be thrown out to nowhere.
                let dead = names::dead(queue);
                self.quorum(connection, &dead, None).await?;
                self.quorum(connection, queue, Some(&dead)).await
            }
            Plan::Bound { queue, exchange } => {
                self.exchange(connection, exchange).await?;
                self.quorum(connection, queue, None).await?;
                let channel = in_time(self.patience, connection.create_channel()).await?;
                let (queue, exchange) = (queue.as_str().into(), exchange.as_str().into());
                let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
                let binding = channel.queue_bind(queue, exchange, "".into(), options, arguments);
                match in_time(self.patience, binding).await {
                    Err(Trouble::Said(error)) if is_missing(&error) => {
                        self.forget(plan.queue());
                        Err(Trouble::Missing)
                    }
                    other => other,
                }
            }
        }
    }

    async fn exchange(&self, connection: &Connection, name: &str) -> Result<(), Trouble> {
        let channel = in_time(self.patience, connection.create_channel()).await?;
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declaring =
            channel.exchange_declare(name.into(), ExchangeKind::Fanout, options, FieldTable::default());
        in_time(self.patience, declaring).await
    }

    /// Makes sure that a queue is there, without making it; [`Trouble::Missing`] if it is not.
    pub(super) async fn find(&self, connection: &Connection, queue: &str) -> Result<(), Trouble> {
        if self.knows(queue) {
            return Ok(());
        }
        let Some(turn) = self.turns.wait(connection, || !self.knows(queue)).await? else { return Ok(()) };
        let found = self.look(connection, queue).await;
        turn.end().await;
        found.inspect(|()| self.know(queue))
    }

    /// It has gone: the next who needs it looks, or makes it.
    pub(super) fn forget(&self, queue: &str) {
        let mut known = self.known.lock();
        known.remove(queue);
        known.remove(&names::dead(queue));
    }

    fn knows(&self, queue: &str) -> bool {
        self.known.lock().contains(queue)
    }

    fn know(&self, queue: &str) {
        self.known.lock().insert(queue.to_owned());
    }

    async fn look(&self, connection: &Connection, queue: &str) -> Result<(), Trouble> {
        let channel = in_time(self.patience, connection.create_channel()).await?;
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        match in_time(self.patience, channel.queue_declare(queue.into(), options, FieldTable::default()))
            .await
        {
            Ok(_) => Ok(()),
            Err(Trouble::Said(error)) if is_missing(&error) => Err(Trouble::Missing),
            Err(trouble) => Err(trouble),
        }
    }

    async fn quorum(&self, connection: &Connection, name: &str, dead: Option<&str>) -> Result<(), Trouble> {
        if self.knows(name) {
            return Ok(());
        }
        let Some(turn) = self.turns.wait(connection, || !self.knows(name)).await? else { return Ok(()) };
        let declared = self.agree(connection, name, dead).await;
        turn.end().await;
        declared.inspect(|()| self.know(name))
    }

    async fn agree(&self, connection: &Connection, name: &str, dead: Option<&str>) -> Result<(), Trouble> {
        match self.try_quorum(connection, name, arguments(dead)).await {
            Err(Trouble::Said(error)) if is_otherwise(&error) => {
                // Somebody made it otherwise, and may have reasons. Whatever it is, it can be used.
                self.look(connection, name).await?;
                tracing::warn!(queue = name, %error, "a queue is not as documented; it is used as it is");
                Ok(())
            }
            other => other,
        }
    }

    async fn try_quorum(
        &self,
        connection: &Connection,
        name: &str,
        arguments: FieldTable,
    ) -> Result<(), Trouble> {
        // A channel of its own: a refusal closes it.
        let channel = in_time(self.patience, connection.create_channel()).await?;
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        in_time(self.patience, channel.queue_declare(name.into(), options, arguments)).await.map(drop)
    }
}

/// More deliveries than there will ever be. From RabbitMQ 4.0 on a queue that says nothing throws out after 20; and -1,
/// which lifts the limit there, is taken by RabbitMQ 3.10 for a limit that the first delivery is beyond.
const DELIVERIES: i32 = i32::MAX;

fn arguments(dead: Option<&str>) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    table.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERIES));
    if let Some(dead) = dead {
        table.insert("x-dead-letter-exchange".into(), text(""));
        table.insert("x-dead-letter-routing-key".into(), text(dead));
        // What is thrown out is kept until the other queue has confirmed it; RabbitMQ asks for the overflow with it.
        table.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        table.insert("x-overflow".into(), text("reject-publish"));
    }
    table
}
