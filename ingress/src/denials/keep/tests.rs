use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use naru_shared::{
    denials::{DenialSearch, DeniedMinute},
    domain::{CustomerId, SystemClock, Timestamp},
    ledger::LedgerError,
};

use super::*;
use crate::problem::Code;

/// Keeps in memory, or is away.
#[derive(Default)]
struct Book {
    away: AtomicBool,
    kept: Mutex<Vec<Counted>>,
}

#[async_trait::async_trait]
impl Denials for Book {
    async fn add(&self, counted: Counted) -> Result<(), LedgerError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(LedgerError::Unavailable("away".into()));
        }
        self.kept.lock().unwrap().push(counted);
        Ok(())
    }

    async fn denied(&self, _search: DenialSearch, _max: usize) -> Result<Vec<DeniedMinute>, LedgerError> {
        Ok(Vec::new())
    }

    async fn forget_denied(&self, _before: Timestamp, _most: u64) -> Result<bool, LedgerError> {
        Ok(false)
    }
}

fn acme() -> Whose {
    Whose::Customer("acme".parse().unwrap())
}

#[test]
fn a_minute_has_few_rows_and_every_denial_is_in_one() {
    let whose = |number| Whose::Customer(format!("c{number}").parse::<CustomerId>().unwrap());
    let mut counted: Vec<_> = (0..1_000).map(|number| ((whose(number), Code::RateLimited), 1)).collect();
    counted.push(((Whose::Unknown(None), Code::Unauthorized), 1));
    counted.push(((Whose::Others, Code::RateLimited), 1));
    let rows = gathered(&counted);
    assert_eq!(rows.len(), NAMED + 2);
    assert_eq!(rows.iter().map(|row| row.times).sum::<u64>(), 1_002);
    let others = rows.iter().find(|row| row.customer == "(others)").unwrap();
    assert_eq!(others.times, 1_000 - NAMED as u64 + 1);
}

#[tokio::test]
async fn what_cannot_be_kept_waits_in_a_bounded_number_and_is_kept_once() {
    let book = Arc::new(Book::default());
    let mut keeper = Keeper::new(Arc::<Book>::clone(&book), Arc::new(SystemClock));
    book.away.store(true, Ordering::SeqCst);
    for times in 0..WAITING as u64 + 5 {
        keeper.keep(&[((acme(), Code::RateLimited), times)]).await;
    }
    assert_eq!(keeper.waiting.len(), WAITING);
    book.away.store(false, Ordering::SeqCst);
    keeper.keep(&[]).await;
    keeper.keep(&[]).await;
    let kept: Vec<u64> = book.kept.lock().unwrap().iter().map(|counted| counted.denied[0].times).collect();
    assert_eq!(kept, (5..WAITING as u64 + 5).collect::<Vec<_>>());
}
