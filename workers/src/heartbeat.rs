//! Says that this process lives, and takes another name when it was not heard for too long.

use std::{sync::Arc, time::Instant};

use futures_util::FutureExt;

use crate::{
    crew::Crew,
    patience::{self, rest},
    shell::{Progress, Routine},
};

/// Beats in a lease: five may be lost.
const BEATS_IN_LEASE: u32 = 6;

/// The actor of the heartbeat.
pub(crate) fn routine(crew: &Arc<Crew>) -> Routine {
    let beating = Arc::clone(crew);
    Routine {
        name: "heartbeat",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&beating), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    let pause = crew.config.lease() / BEATS_IN_LEASE;
    let mut quiet = false;
    while !crew.end.is_cancelled() {
        progress.mark();
        let sent = Instant::now();
        // Others may have taken what this process held: from here on it works under another name, and the fence keeps
        // late outcomes of the old one safe. Where no other process can be, the name stays.
        let renewed = !crew.is_trusted();
        let name = if renewed { crew.incarnations.next() } else { crew.incarnations.current() };
        match patience::ledger(crew.deps.ledger.beat(name)).await {
            Ok(()) => {
                if renewed {
                    crew.incarnations.renew();
                    tracing::warn!("not heard for a lease: rows are taken in another name from now on");
                }
                crew.incarnations.beaten(sent);
                quiet = false;
            }
            Err(error) => {
                if !quiet {
                    tracing::warn!(%error, "the heartbeat is not heard");
                }
                quiet = true;
            }
        }
        rest(if quiet { pause.min(std::time::Duration::from_secs(1)) } else { pause }, &crew.end).await;
    }
}
