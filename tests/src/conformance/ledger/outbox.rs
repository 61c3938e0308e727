//! The outbox.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{Code, Event, Next, State, kinds},
    ledger::{Disposition, Settlement},
};

use super::bed::{Bed, LEASE, delivered, failed, live};

async fn settle_with_event(bed: &Bed, count: usize) -> Result<()> {
    for _ in 0..count {
        let row = bed.start("acme").await?;
        let batch = vec![Settlement { row, attempt: 1, next: delivered() }];
        bed.engine.ledger.settle(batch, bed.now(), true).await?;
    }
    Ok(())
}

/// One for each report revision if events are wanted, none if not.
pub async fn an_outbox_row_exists_exactly_when_its_state_does(bed: &Bed) -> Result<()> {
    let (ledger, outbox) = (&bed.engine.ledger, &bed.engine.outbox);
    let quiet = bed.start("acme").await?;
    bed.settle(quiet, 1, delivered()).await?;
    ensure!(outbox.claim(10, LEASE).await?.is_empty());
    let row = bed.start("acme").await?;
    for next in [failed(), failed(), delivered(), delivered()] {
        ledger.settle(vec![Settlement { row, attempt: 1, next }], bed.now(), true).await?;
    }
    let refused = Disposition::Finish(State::Rejected, Code::Suspended);
    let mut batch = bed.batch(vec![bed.entry("acme", refused)?, bed.entry("acme", Disposition::Ready)?]);
    batch.emit = true;
    ledger.intake(batch).await?;
    let ready = bed.take(1).await?[0].row;
    ledger.give_back(vec![(ready, 1)]).await?;
    bed.engine.reads.cancel(&live("acme")?, ready.id, bed.now(), true).await?;
    let doubtful = bed.start("acme").await?;
    let mut events = outbox.claim(10, LEASE).await?;
    events.sort_by_key(|event| event.row);
    let told: Vec<_> = events.iter().map(|row| row.event.kind.as_str()).collect();
    let expected =
        ["failed", "delivered", "rejected", "cancelled"].map(|word| format!("naru.message.{word}"));
    ensure!(told == expected, "{told:?}");
    ensure!(events[0].event.id == format!("{}.1", row.id) && events[1].event.id == format!("{}.2", row.id));
    ensure!(events[1].event.data["charged"] == true && events[1].event.data["customer"] == "acme");
    bed.pass(Duration::from_secs(601));
    ledger.wake(bed.now(), 10, true).await?;
    ensure!(bed.state("acme", doubtful).await? == State::Sending);
    Ok(())
}

/// Once for each attempt that is in doubt, and for what a copy brought back; no webhook of a customer wants its kind.
pub async fn operators_are_told_of_what_waits_for_a_person(bed: &Bed) -> Result<()> {
    let (ledger, outbox) = (&bed.engine.ledger, &bed.engine.outbox);
    let quiet = bed.start("acme").await?;
    bed.settle(quiet, 1, Next::Held { detail: "cut".to_owned() }).await?;
    ensure!(outbox.claim(10, LEASE).await?.is_empty(), "nobody listens");
    let row = bed.start("acme").await?;
    for _ in 0..2 {
        let held = Settlement { row, attempt: 1, next: Next::Held { detail: "cut".to_owned() } };
        ledger.settle(vec![held], bed.now(), true).await?;
    }
    let mut batch = bed.batch(vec![bed.entry("acme", Disposition::Hold(Code::Restored))?]);
    batch.emit = true;
    let restored = batch.entries[0].message.id;
    ledger.intake(batch).await?;
    let mut events = outbox.claim(10, LEASE).await?;
    events.sort_by_key(|event| event.row);
    let told: Vec<_> = events.iter().map(|row| (row.event.kind.as_str(), row.event.id.clone())).collect();
    let kind = kinds::HELD.name;
    let expected = [(kind, format!("{}.held.1", row.id)), (kind, format!("{restored}.held.0"))];
    ensure!(told == expected, "{told:?}");
    let (first, second) = (&events[0].event, &events[1].event);
    ensure!(first.subject == format!("held/{}", row.id), "a message's own events are others");
    ensure!((&first.data["code"], &first.data["detail"]) == (&"uncertain".into(), &"cut".into()));
    ensure!(second.data["code"] == "restored" && second.data["customer"] == "acme");
    Ok(())
}

/// By whomever.
pub async fn what_is_claimed_is_not_claimed_again_within_its_lease(bed: &Bed) -> Result<()> {
    settle_with_event(bed, 6).await?;
    let outbox = &bed.engine.outbox;
    let (a, b) = tokio::join!(outbox.claim(4, LEASE), outbox.claim(4, LEASE));
    let (a, b) = (a?, b?);
    let mut rows: Vec<_> = a.iter().chain(&b).map(|row| row.row).collect();
    rows.sort_unstable();
    rows.dedup();
    ensure!(rows.len() == 6 && a.len() + b.len() == 6);
    ensure!(outbox.claim(4, LEASE).await?.is_empty());
    Ok(())
}

/// The same event, with the same id.
pub async fn what_is_not_deleted_is_claimed_again(bed: &Bed) -> Result<()> {
    settle_with_event(bed, 3).await?;
    let outbox = &bed.engine.outbox;
    let first = outbox.claim(10, LEASE).await?;
    outbox.delete(vec![first[1].row]).await?;
    bed.pass(LEASE);
    let second = outbox.claim(10, LEASE).await?;
    let ids: Vec<_> = second.iter().map(|row| &row.event).collect();
    ensure!(ids == [&first[0].event, &first[2].event]);
    Ok(())
}

/// And deletes nothing else.
pub async fn delete_is_idempotent(bed: &Bed) -> Result<()> {
    settle_with_event(bed, 2).await?;
    let outbox = &bed.engine.outbox;
    let claimed = outbox.claim(1, LEASE).await?;
    for _ in 0..2 {
        outbox.delete(vec![claimed[0].row]).await?;
    }
    settle_with_event(bed, 1).await?;
    outbox.delete(vec![claimed[0].row]).await?;
    ensure!(outbox.claim(10, LEASE).await?.len() == 2, "a number is not given to another event");
    Ok(())
}

/// No wake-up is missed, and what is there is not waited for.
pub async fn a_relay_wakes_when_an_event_is_written(bed: &Bed) -> Result<()> {
    let outbox = Arc::clone(&bed.engine.outbox);
    let waiter = tokio::spawn(async move { outbox.await_events(Duration::from_secs(30)).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    settle_with_event(bed, 1).await?;
    tokio::time::timeout(Duration::from_secs(5), waiter).await.context("not woken")??;
    let there = bed.engine.outbox.await_events(Duration::from_secs(30));
    tokio::time::timeout(Duration::from_secs(5), there).await.context("waits")?;
    Ok(())
}

/// However often it is put, in one call or in several, one waits; what is claimed meanwhile counts as waiting.
pub async fn an_event_that_is_put_twice_waits_once(bed: &Bed) -> Result<()> {
    let outbox = &bed.engine.outbox;
    let event = |subject: &str, sequence| {
        let data = serde_json::json!({ "route": subject });
        Event::about(subject, sequence, "naru.test.put".to_owned(), bed.now(), data)
    };
    let (a, b) = (event("a", 1), event("b", 1));
    outbox.put(Vec::new()).await?;
    outbox.put(vec![a.clone(), b.clone(), a.clone()]).await?;
    outbox.put(vec![b.clone()]).await?;
    let claimed = outbox.claim(10, LEASE).await?;
    let events: Vec<_> = claimed.iter().map(|row| &row.event).collect();
    ensure!(events == [&a, &b], "{events:?}");
    outbox.put(vec![a.clone(), event("a", 2)]).await?;
    let more = outbox.claim(10, LEASE).await?;
    ensure!(more.len() == 1 && more[0].event.id == "a.2", "{more:?}");
    outbox.delete(claimed.iter().chain(&more).map(|row| row.row).collect()).await?;
    outbox.put(vec![a.clone()]).await?;
    let again = outbox.claim(10, LEASE).await?;
    ensure!(again.len() == 1 && again[0].event == a, "one that was published is published again: {again:?}");
    Ok(())
}

/// As by one that a message wrote.
pub async fn a_relay_wakes_when_an_event_is_put(bed: &Bed) -> Result<()> {
    let outbox = Arc::clone(&bed.engine.outbox);
    let waiter = tokio::spawn(async move { outbox.await_events(Duration::from_secs(30)).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let event = Event::about("a", 1, "naru.test.put".to_owned(), bed.now(), serde_json::json!({}));
    bed.engine.outbox.put(vec![event]).await?;
    tokio::time::timeout(Duration::from_secs(1), waiter).await.context("not woken")??;
    Ok(())
}
