//! The actor of a route's couriers.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{Desk, attempt, feeder};
use crate::{crew::Crew, shell::Routine};

/// Feeds the desk, and ends attempts that stand still.
pub(crate) fn routine(crew: &Arc<Crew>, desk: &Arc<Desk>) -> Routine {
    let (feeding, fed) = (Arc::clone(crew), Arc::clone(desk));
    let (watching, watched) = (Arc::clone(crew), Arc::clone(desk));
    Routine {
        name: "courier",
        of: desk.name.to_string(),
        run: Box::new(move |progress| {
            // A life before this one may have taken rows that nobody holds.
            feeding.suspect();
            feeder::run(Arc::clone(&feeding), Arc::clone(&fed), progress).boxed()
        }),
        watch: Box::new(move || {
            attempt::reap(&watching, &watched);
            watched.gauge();
        }),
        stuck: crew.config.stuck(),
        stop: crew.stop.clone(),
    }
}
