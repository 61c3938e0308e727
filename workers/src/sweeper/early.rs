//! Looks again at reports that came before anything was known of their messages.

use std::{collections::BTreeMap, sync::Arc};

use naru_shared::{
    domain::{Notice, RouteName},
    ledger::{LedgerError, ParkedNotice},
};

use crate::{
    crew::Crew,
    intake::{Fate, apply, unmatched},
    patience,
    shell::Progress,
};

/// Notices in one turn.
const NOTICES: usize = 256;

/// What is known by now is settled; what nothing came to be known of in time is told, once it is kept no more.
pub(super) async fn look(crew: &Arc<Crew>, progress: &Progress) -> Result<(), LedgerError> {
    let due = patience::ledger(crew.deps.ledger.parked(crew.now(), NOTICES)).await?;
    let mut by_route: BTreeMap<RouteName, Vec<ParkedNotice>> = BTreeMap::new();
    for parked in due {
        by_route.entry(parked.route.clone()).or_default().push(parked);
    }
    for (route, parked) in by_route {
        progress.mark();
        let notices: Vec<Notice> = parked.iter().map(|parked| parked.notice.clone()).collect();
        let fates = apply(crew, &route, &notices).await?;
        let now = crew.now();
        let (mut done, mut over) = (Vec::new(), Vec::new());
        for (parked, fate) in parked.into_iter().zip(fates) {
            match fate {
                Fate::Matched => done.push(parked),
                Fate::Unknown if now > parked.until => over.push(parked),
                Fate::Unknown => {}
            }
        }
        done.extend(over.iter().cloned());
        if !done.is_empty() {
            patience::ledger(crew.deps.ledger.unpark(done)).await?;
        }
        over.iter()
            .for_each(|parked| unmatched(crew, parked, "nothing came to be known of its message in time"));
    }
    Ok(())
}
