//! Messages taken from a queue one at a time for a person to look at, held on a channel of their own: when that ends, whatever
//! was not acknowledged is back on the queue.

use std::time::Duration;

use bytes::Bytes;
use lapin::{
    BasicProperties, Channel,
    options::{BasicAckOptions, BasicGetOptions, BasicNackOptions},
};

use super::{
    link::Link,
    trouble::{Trouble, in_time, is_missing},
};

/// What is said of an end that nobody waits for.
const BYE: u16 = 200;

/// See the module.
pub(crate) struct Browse {
    channel: Channel,
    queue: String,
    patience: Duration,
}

/// A message in hand.
#[derive(Debug)]
pub(crate) struct Held {
    /// Names it on this channel.
    pub(crate) tag: u64,
    /// Its content.
    pub(crate) body: Bytes,
    /// What else was said of it.
    pub(crate) properties: BasicProperties,
}

impl Browse {
    pub(super) async fn open(link: &Link, queue: String, patience: Duration) -> Result<Self, Trouble> {
        let up = link.up(patience).await?;
        let channel = in_time(patience, up.connection.create_channel()).await?;
        Ok(Self { channel, queue, patience })
    }

    /// The next; none if there is none, or no such queue.
    pub(crate) async fn next(&mut self) -> Result<Option<Held>, Trouble> {
        let getting = self.channel.basic_get(self.queue.as_str().into(), BasicGetOptions::default());
        match in_time(self.patience, getting).await {
            Ok(got) => Ok(got.map(|got| {
                let delivery = got.delivery;
                Held {
                    tag: delivery.delivery_tag,
                    body: Bytes::from(delivery.data),
                    properties: delivery.properties,
                }
            })),
            Err(Trouble::Said(error)) if is_missing(&error) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Forgets one for ever. The broker answers nothing to it, so something is asked after it: an answer means that it was read.
    pub(crate) async fn ack(&mut self, tag: u64) -> Result<(), Trouble> {
        in_time(self.patience, self.channel.basic_ack(tag, BasicAckOptions::default())).await?;
        in_time(self.patience, self.channel.basic_qos(0, Default::default())).await
    }

    /// Gives back what is still in hand.
    pub(crate) async fn close(self) -> Result<(), Trouble> {
        if !self.channel.status().connected() {
            // It went back with the channel.
            return Ok(());
        }
        let all = BasicNackOptions { multiple: true, requeue: true };
        in_time(self.patience, self.channel.basic_nack(0, all)).await?;
        in_time(self.patience, self.channel.close(BYE, "looked".into())).await
    }
}
