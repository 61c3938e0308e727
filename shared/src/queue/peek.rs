//! A look at what lies on the queues from beside the processes that work on them: counts, nothing else.

use std::path::Path;

use super::{Depth, Queue, QueueError, QueueName, sqlite::queue_name};
use crate::{
    domain::{Lane, RouteName, Timestamp},
    sqlite::{DbError, connect},
};

/// What lies on a queue, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QueueStatus {
    /// Of which route.
    pub route: RouteName,
    /// In which lane.
    pub lane: Lane,
    /// Packs that no worker has seen, or that are in hand.
    pub packs: u64,
    /// Packs set aside because they could not be opened.
    pub quarantined: u64,
    /// When the oldest was published.
    pub oldest: Option<Timestamp>,
}

/// Every queue of these routes that holds anything, as its engine tells; and which could not be asked, with what the last said.
pub async fn ask(
    queue: &dyn Queue,
    routes: impl IntoIterator<Item = RouteName>,
) -> (Vec<QueueStatus>, Vec<(QueueName, QueueError)>) {
    let (mut found, mut silent) = (Vec::new(), Vec::new());
    for route in routes {
        for lane in Lane::ALL {
            let name = QueueName { route: route.clone(), lane };
            match queue.depth(&name).await {
                Ok(Depth { packs, quarantined, oldest }) => {
                    if packs + quarantined > 0 {
                        found.push(QueueStatus { route: route.clone(), lane, packs, quarantined, oldest });
                    }
                }
                Err(error) => silent.push((name, error)),
            }
        }
    }
    (found, silent)
}

/// Every queue of the embedded engine's file that holds anything, by route and lane.
///
/// # Errors
/// If the file cannot be read.
pub fn peek(path: &Path) -> Result<Vec<QueueStatus>, DbError> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    let mut statement = connection.prepare(
        "SELECT route, lane, sum(packs), sum(quarantined), min(oldest) FROM (
            SELECT route, lane, count(*) AS packs, 0 AS quarantined, min(published_at) AS oldest
                FROM pack GROUP BY route, lane
            UNION ALL
            SELECT route, lane, 0, count(*), NULL FROM quarantine GROUP BY route, lane)
         GROUP BY route, lane ORDER BY route, lane",
    )?;
    let rows = statement.query_map([], |row| {
        let name = queue_name(row.get_ref(0)?.as_str()?, row.get(1)?)?;
        let oldest: Option<i64> = row.get(4)?;
        Ok(QueueStatus {
            route: name.route,
            lane: name.lane,
            packs: row.get(2)?,
            quarantined: row.get(3)?,
            oldest: oldest.map(Timestamp::from_millis),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
