//! Messages taken from a queue for a person to look at, and put on another, without an [`End`](super::End).

use std::{sync::Arc, time::Duration};

use super::{
    address::Address,
    hand::Item,
    letter::{self, Letter},
    over, receiving,
    trouble::SqsTrouble,
};

/// How long a question waits: without any, SQS asks only some of its machines.
const WAIT: Duration = Duration::from_secs(1);

impl Address {
    /// Up to so many messages, and ten at the most, in hand for this long.
    pub(crate) async fn browse(&self, most: usize, visibility: Duration) -> Result<Vec<Item>, SqsTrouble> {
        receiving::fetch(self, most, WAIT, visibility).await
    }

    /// Sends one; `Ok`: SQS has it.
    pub(crate) async fn send_one(&self, letter: Letter) -> Result<(), SqsTrouble> {
        letter::send(self, vec![letter]).await.into_iter().collect()
    }

    /// Forgets one for ever. One that is gone already is forgotten.
    pub(crate) async fn forget(&self, handle: Arc<str>) -> Result<(), SqsTrouble> {
        over::delete(self, vec![handle]).await.into_iter().collect()
    }

    /// Lets these be received again at once.
    pub(crate) async fn give_back(&self, handles: Vec<Arc<str>>) -> Result<(), SqsTrouble> {
        let handles = handles.into_iter().map(|handle| (handle, Duration::ZERO)).collect();
        over::release(self, handles).await.into_iter().collect()
    }
}
