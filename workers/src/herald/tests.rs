use std::{collections::BTreeSet, future::poll_fn, task::Poll, time::Duration};

use async_trait::async_trait;
use naru_shared::{
    domain::{SystemClock, kinds},
    outbox::OutboxRow,
    registry::MemoryRegistry,
};

use super::*;

/// An outbox that is away, or takes its time.
#[derive(Default)]
struct Slow {
    taken: Mutex<Vec<Event>>,
    away: bool,
}

#[async_trait]
impl Outbox for Slow {
    async fn claim(&self, _: usize, _: Duration) -> Result<Vec<OutboxRow>, LedgerError> {
        Err(LedgerError::Unavailable("away".into()))
    }
    async fn delete(&self, _: Vec<i64>) -> Result<(), LedgerError> {
        Err(LedgerError::Unavailable("away".into()))
    }
    async fn put(&self, events: Vec<Event>) -> Result<(), LedgerError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if self.away {
            return Err(LedgerError::Unavailable("away".into()));
        }
        self.taken.lock().extend(events);
        Ok(())
    }
    async fn await_events(&self, _: Duration) {}
}

fn herald(away: bool) -> (Arc<Herald>, Arc<Slow>) {
    let outbox = Arc::new(Slow { away, ..Slow::default() });
    let herald = Herald::new(Arc::new(SystemClock), MemoryRegistry::new(), Arc::<Slow>::clone(&outbox));
    (Arc::new(herald), outbox)
}

fn sign(kind: EventKind, subject: &str, number: u64) -> Sign {
    Sign { kind, subject: subject.to_owned(), data: json!({ "number": number }) }
}

fn count(events: &[Event]) -> u64 {
    events.iter().filter_map(|event| event.data["count"].as_u64()).sum()
}

fn untold(herald: &Herald) -> u64 {
    herald.seen.lock().minutes.values().filter_map(|minute| minute.untold.as_ref()).map(|(_, n)| *n).sum()
}

#[test]
fn however_many_are_seen_few_are_told_and_they_stand_for_all() {
    let ((herald, _), begin) = (herald(true), Instant::now());
    for number in 0..100_000 {
        herald.tell_at(sign(kinds::QUARANTINED, "queue/a/bulk", number), begin);
    }
    herald.tell_at(sign(kinds::RESTING, "route/a", 0), begin);
    herald.tell_at(sign(kinds::QUARANTINED, "queue/b/bulk", 0), begin);
    let first = PER_MINUTE as usize + 2;
    assert_eq!(herald.seen.lock().ready.len(), first, "neither kinds nor things silence one another");
    assert_eq!(herald.sum_up(begin), Some(begin + MINUTE));
    assert_eq!(herald.sum_up(begin + MINUTE), None);
    let ready = herald.seen.lock().ready.clone();
    assert_eq!((ready.len(), count(&ready)), (first + 1, 100_002));
    let last = ready.last().unwrap();
    assert_eq!(
        (&last.data["number"], last.subject.as_str()),
        (&json!(99_999), "queue/a/bulk"),
        "the last of them"
    );
}

#[test]
fn however_many_things_there_are_what_is_kept_of_them_is_bounded() {
    let ((herald, _), begin) = (herald(true), Instant::now());
    for number in 0..10_000 {
        herald.tell_at(sign(kinds::RESTING, &format!("route/{number}"), number), begin);
    }
    let seen = herald.seen.lock();
    assert!(seen.minutes.len() <= THINGS + kinds::ALL.len() && seen.ready.len() <= WAITING);
    drop(seen);
    let ready = herald.seen.lock().ready.clone();
    assert_eq!(count(&ready) + untold(&herald), 10_000);
    herald.seen.lock().ready.clear();
    assert_eq!(herald.sum_up(begin + MINUTE), None);
    assert_eq!(herald.sum_up(begin + MINUTE * 2), None);
    assert!(herald.seen.lock().minutes.is_empty(), "what is over is forgotten");
}

#[tokio::test]
async fn while_the_outbox_is_away_what_waits_is_bounded_and_none_goes_uncounted() {
    let ((herald, _), mut now, mut all) = (herald(true), Instant::now(), 0);
    for _ in 0..200 {
        for number in 0..20 {
            herald.tell_at(sign(kinds::QUARANTINED, "queue/a/bulk", number), now);
            all += 1;
        }
        now += MINUTE;
        herald.sum_up(now);
        assert!(herald.seen.lock().ready.len() <= WAITING);
    }
    assert!(herald.write().await.is_err());
    let ready = herald.seen.lock().ready.clone();
    assert_eq!(count(&ready) + untold(&herald), all);
}

#[tokio::test]
async fn what_two_write_at_once_is_written_once_and_what_comes_meanwhile_is_not_forgotten() {
    let (herald, outbox) = herald(false);
    let begin = Instant::now();
    for number in 0..3 {
        herald.tell_at(sign(kinds::RESTING, "route/a", number), begin);
    }
    let later = async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        herald.tell_at(sign(kinds::RECOVERED, "route/a", 3), begin);
    };
    let (first, second, ()) = tokio::join!(herald.write(), herald.write(), later);
    assert!(first.is_ok() && second.is_ok());
    herald.write().await.unwrap();
    assert!(herald.seen.lock().ready.is_empty());
    let taken = outbox.taken.lock().clone();
    let ids: BTreeSet<_> = taken.iter().map(|event| event.id.clone()).collect();
    assert_eq!((taken.len(), ids.len()), (4, 4));
}

#[tokio::test]
async fn a_writer_that_was_cut_off_leaves_the_same_events_to_the_next() {
    let (herald, outbox) = herald(false);
    herald.tell_at(sign(kinds::RESTING, "route/a", 0), Instant::now());
    let id = herald.seen.lock().ready[0].id.clone();
    let mut cut_off = Box::pin(herald.write());
    assert!(poll_fn(|context| Poll::Ready(cut_off.as_mut().poll(context).is_pending())).await);
    drop(cut_off);
    herald.write().await.unwrap();
    assert_eq!(outbox.taken.lock().iter().map(|event| event.id.clone()).collect::<Vec<_>>(), [id]);
}
