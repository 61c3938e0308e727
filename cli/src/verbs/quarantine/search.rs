//! Finding packs that were set aside, on every lane of every route.

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use futures_util::{StreamExt, future::join_all, stream};
use naru_shared::{
    domain::{Lane, RouteName},
    ports::{self, AsidePorts},
    queue::{Aside, Finding, Quarantine, QueueError, QueueName, SetAside, Verifier},
};
use tokio::runtime::Handle;

use crate::{
    desk::Desk,
    exit::{Failure, unseen},
};

/// Looked at in a lane, at the most: what is not found among them is told as not found.
pub(super) const MOST: usize = 10_000;

/// Bytes of a lane that are kept in hand, and no page is begun beyond them.
const BYTES: usize = 64 << 20;

/// What is said if there are more than were looked at.
const PACK_AMONG: &str = "pack, among the first 10,000 (or 64 MiB) set aside in each lane, with the id";

/// Lanes that are looked at together.
const LANES: usize = 8;

/// Shown at once.
const PAGE: usize = 64;

/// Digits that name a pack well enough for a person.
const DIGITS: usize = 8;

/// The beginning of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    digits: [u8; 64],
    length: usize,
}

/// Text is not the beginning of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 8 to 64 hexadecimal digits, as `naru quarantine list` shows them")]
pub struct InvalidPrefix;

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut digits, length) = ([0; 64], text.len());
        if !(DIGITS..=64).contains(&length) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidPrefix);
        }
        digits[..length].copy_from_slice(text.to_ascii_lowercase().as_bytes());
        Ok(Self { digits, length })
    }
}

impl Prefix {
    fn begins(&self, id: &str) -> bool {
        id.as_bytes().starts_with(&self.digits[..self.length])
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.digits[..self.length]))
    }
}

/// What is looked for.
pub(super) enum Sought {
    All,
    These(Vec<Prefix>),
}

impl Sought {
    fn wants(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(prefixes) => prefixes.iter().any(|prefix| prefix.begins(id)),
        }
    }
}

/// A pack, and where it was set aside.
pub(super) struct Found {
    pub(super) queue: QueueName,
    pub(super) pack: SetAside,
}

/// Where packs are set aside, and how they are verified.
pub(super) struct Yard {
    quarantine: Arc<dyn Quarantine>,
    verifier: Verifier,
    queues: Vec<QueueName>,
}

/// What was found, still in hand.
pub(super) struct Looked {
    pub(super) packs: Vec<Found>,
    /// Whether there may be more in any lane than was looked at.
    pub(super) more: bool,
    asides: Vec<(QueueName, Box<dyn Aside>)>,
    /// Lanes that could not be looked at.
    unseen: Vec<(QueueName, QueueError)>,
}

/// How a look ended.
pub(super) struct Closed {
    /// Whether whoever receives knows of what was put back.
    pub(super) woken: bool,
    /// Lanes that could not be looked at, or to which something could not be given back: there it comes back by itself.
    unseen: Vec<(QueueName, QueueError)>,
}

impl Closed {
    /// # Errors
    /// If any lane could not be looked at.
    pub(super) fn sound(self) -> anyhow::Result<()> {
        unseen(self.unseen).map_or(Ok(()), Err)
    }
}

/// What a look at one lane came to: why it ended early, if it did.
struct OfLane {
    aside: Option<Box<dyn Aside>>,
    packs: Vec<SetAside>,
    more: bool,
    trouble: Option<QueueError>,
}

impl Yard {
    pub(super) async fn open(desk: &Desk, route: Option<&RouteName>) -> anyhow::Result<Self> {
        let keys = desk.own_keyring().await?.envelope_keys()?.knowing(desk.config.release.formats);
        let routes: Vec<RouteName> = match route {
            Some(route) => vec![desk.book()?.route(route).await?.name],
            None => desk.book()?.routes().await?.into_iter().map(|route| route.name).collect(),
        };
        let AsidePorts { quarantine, blobs } =
            ports::open_quarantine(&desk.config.engines(), desk.dir(), &Handle::current())?;
        let lanes = |route: RouteName| Lane::ALL.map(|lane| QueueName { route: route.clone(), lane });
        let queues = routes.into_iter().flat_map(lanes).collect();
        Ok(Self { quarantine, verifier: Verifier::new(keys, blobs), queues })
    }

    /// Whether it opens.
    pub(super) async fn verify(&self, pack: &SetAside) -> Finding {
        self.verifier.look(pack).await
    }

    /// Looks at up to `most` in each lane, and keeps those that are sought in hand. An id that begins several different packs is
    /// refused. A lane that cannot be looked at keeps nobody from the others.
    pub(super) async fn look(&self, sought: &Sought, most: usize) -> anyhow::Result<Looked> {
        let lanes = stream::iter(&self.queues).map(|queue| self.look_at(queue, sought, most));
        let lanes: Vec<OfLane> = lanes.buffered(LANES).collect().await;
        let mut looked = Looked { packs: Vec::new(), more: false, asides: Vec::new(), unseen: Vec::new() };
        for (queue, OfLane { aside, packs, more, trouble }) in self.queues.iter().zip(lanes) {
            looked.packs.extend(packs.into_iter().map(|pack| Found { queue: queue.clone(), pack }));
            looked.more |= more;
            looked.asides.extend(aside.map(|aside| (queue.clone(), aside)));
            looked.unseen.extend(trouble.map(|error| (queue.clone(), error)));
        }
        match looked.ambiguous(sought) {
            Some(prefix) => {
                looked.close().await.sound()?;
                Err(Failure::Usage(format!("several ids begin with {prefix}: give more digits")).into())
            }
            None => Ok(looked),
        }
    }

    async fn look_at(&self, queue: &QueueName, sought: &Sought, most: usize) -> OfLane {
        let mut of = OfLane { aside: None, packs: Vec::new(), more: false, trouble: None };
        let mut aside = match self.quarantine.aside(queue).await {
            Ok(aside) => aside,
            Err(error) => return OfLane { trouble: Some(error), ..of },
        };
        let (mut seen, mut bytes) = (0, 0);
        loop {
            of.more = seen >= most || bytes >= BYTES;
            if of.more {
                break;
            }
            match aside.next(PAGE.min(most - seen)).await {
                Ok(page) if page.is_empty() => break,
                Ok(page) => {
                    seen += page.len();
                    let wanted = page.into_iter().filter(|pack| sought.wants(&pack.id().to_string()));
                    of.packs.extend(wanted.inspect(|pack| bytes += pack.envelope.0.len()));
                }
                Err(error) => {
                    of.trouble = Some(error);
                    break;
                }
            }
        }
        of.packs.sort_by_key(|pack| pack.at);
        of.aside = Some(aside);
        of
    }
}

impl Looked {
    fn ids(&self) -> BTreeSet<String> {
        self.packs.iter().map(|found| found.pack.id().to_string()).collect()
    }

    fn ambiguous(&self, sought: &Sought) -> Option<Prefix> {
        let Sought::These(prefixes) = sought else { return None };
        let ids = self.ids();
        prefixes.iter().find(|prefix| ids.iter().filter(|id| prefix.begins(id)).count() > 1).copied()
    }

    /// The first of these that nothing begins with.
    pub(super) fn not_found(&self, sought: &Sought) -> Option<Prefix> {
        let Sought::These(prefixes) = sought else { return None };
        let ids = self.ids();
        prefixes.iter().find(|prefix| !ids.iter().any(|id| prefix.begins(id))).copied()
    }

    /// Gives everything back; there is no such pack, as far as could be seen.
    pub(super) async fn missing(self, id: &Prefix) -> anyhow::Error {
        let more = self.more;
        match self.close().await.sound() {
            Err(error) => error.context(format!("{id} was not found, and not every lane could be looked at")),
            Ok(()) if more => Failure::NotFound(PACK_AMONG, id.to_string()).into(),
            Ok(()) => Failure::NotFound("pack set aside with the id", id.to_string()).into(),
        }
    }

    /// The look that has it in hand.
    pub(super) fn aside(&mut self, found: &Found) -> anyhow::Result<&mut dyn Aside> {
        let aside = self.asides.iter_mut().find(|(queue, _)| *queue == found.queue);
        let aside = aside.ok_or_else(|| anyhow::anyhow!("nobody looks at that lane"))?;
        Ok(aside.1.as_mut())
    }

    /// Gives back what is still in hand.
    pub(super) async fn close(self) -> Closed {
        let closing = self.asides.into_iter().map(async |(queue, aside)| (queue, aside.close().await));
        let mut closed = Closed { woken: true, unseen: self.unseen };
        for (queue, result) in join_all(closing).await {
            match result {
                Ok(woken) => closed.woken &= woken,
                Err(error) => closed.unseen.push((queue, error)),
            }
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_id_is_digits_enough() {
        let prefix: Prefix = "DEADbeef".parse().unwrap();
        assert!(prefix.begins("deadbeef00") && !prefix.begins("deadbee"));
        assert_eq!(prefix.to_string(), "deadbeef");
        for wrong in ["", "deadbee", "deadbeeg", &"a".repeat(65)] {
            assert_eq!(wrong.parse::<Prefix>(), Err(InvalidPrefix), "{wrong}");
        }
    }
}
