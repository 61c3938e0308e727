//! Take, and what waits.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{Lane, State},
    ledger::{Disposition, PassedOver, Waiting, Work},
};

use super::bed::{Bed, delivered, live};

fn nobody() -> PassedOver {
    PassedOver::default()
}

fn by_customer(work: &[Work]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for one in work {
        *counts.entry(one.account.customer.as_str()).or_default() += 1;
    }
    counts
}

/// A flood of one does not delay the few of the others.
pub async fn customers_take_turns_among_what_is_ready(bed: &Bed) -> Result<()> {
    bed.intake(bed.entries("flood", Lane::Express, &Disposition::Ready, 500)?).await?;
    for customer in ["a", "m", "z"] {
        bed.intake(bed.entries(customer, Lane::Express, &Disposition::Ready, 3)?).await?;
    }
    let work = bed.take(16).await?;
    ensure!(work.len() == 16);
    let counts = by_customer(&work);
    ensure!(["a", "m", "z"].iter().all(|name| counts.get(name) == Some(&3)), "{counts:?}");
    Ok(())
}

/// Over many takes, while both wait.
pub async fn a_customer_s_weight_is_its_share(bed: &Bed) -> Result<()> {
    for customer in ["heavy", "light"] {
        bed.intake(bed.entries(customer, Lane::Express, &Disposition::Ready, 200)?).await?;
    }
    let mut given = Vec::new();
    for _ in 0..20 {
        given.extend(bed.take_weighted(7, |id| if id.as_str() == "heavy" { 9 } else { 3 }).await?);
    }
    let counts = by_customer(&given);
    let (heavy, light) = (counts["heavy"], counts["light"]);
    ensure!(given.len() == 140 && heavy.abs_diff(105) <= 9, "{heavy} and {light}");
    Ok(())
}

/// Of every eight at least one is bulk, and all the others are express.
pub async fn express_goes_first_and_bulk_is_not_starved(bed: &Bed) -> Result<()> {
    bed.intake(bed.entries("acme", Lane::Bulk, &Disposition::Ready, 50)?).await?;
    bed.intake(bed.entries("acme", Lane::Express, &Disposition::Ready, 50)?).await?;
    ensure!(bed.take(1).await?[0].lane == Lane::Express);
    let mut given = Vec::new();
    for _ in 0..13 {
        given.extend(bed.take(3).await?);
    }
    let bulk = given.iter().filter(|work| work.lane == Lane::Bulk).count();
    ensure!((4..=6).contains(&bulk), "{bulk} of {}", given.len());
    ensure!(bed.take(200).await?.len() == 60, "what is left comes whatever its lane");
    Ok(())
}

/// They wait, whoever has the turn, and nobody else waits for them; nothing is announced that would not be given.
pub async fn a_customer_who_is_passed_over_waits_and_holds_up_nobody(bed: &Bed) -> Result<()> {
    for lane in Lane::ALL {
        for customer in ["a", "b", "c", "d"] {
            bed.intake(bed.entries(customer, lane, &Disposition::Ready, 20)?).await?;
        }
    }
    // The turn stands in the middle of what `a` has.
    ensure!(bed.take(2).await?.iter().all(|work| work.account.customer.as_str() == "a"));
    let without = |names: &[&str]| -> Result<PassedOver> {
        let names: std::result::Result<_, _> = names.iter().map(|name| name.parse()).collect();
        Ok(Arc::new(names?))
    };
    let (work, more) = bed.take_without(200, &without(&["a", "b", "d", "nobody"])?).await?;
    ensure!(work.len() == 40 && !more, "{} and {more}", work.len());
    ensure!(work.iter().all(|work| work.account.customer.as_str() == "c"));
    let (ledger, route) = (&bed.engine.ledger, "r".parse()?);
    let (all, wait) = (without(&["a", "b", "d"])?, Duration::from_millis(50));
    ensure!(!ledger.await_ready(&route, &all, wait).await, "nothing that would be given");
    ensure!(bed.take_without(10, &all).await?.0.is_empty());
    let (work, more) = bed.take_without(10, &without(&["a", "b"])?).await?;
    ensure!(work.len() == 10 && more && work.iter().all(|work| work.account.customer.as_str() == "d"));
    ensure!(ledger.await_ready(&route, &without(&["a", "b"])?, wait).await);
    ensure!(bed.take(200).await?.len() == 38 + 40 + 30, "what waited is there");
    Ok(())
}

/// What a customer has waiting who is passed over is not looked through, and still expires.
pub async fn what_waits_of_a_customer_who_is_passed_over_expires(bed: &Bed) -> Result<()> {
    let row = bed.record(bed.entry("suspended", Disposition::Ready)?).await?;
    let passed_over: PassedOver = Arc::new(["suspended".parse()?].into());
    ensure!(bed.take_without(10, &passed_over).await?.0.is_empty());
    ensure!(bed.state("suspended", row).await? == State::Ready);
    bed.pass(Duration::from_secs(601));
    ensure!(bed.take_without(10, &passed_over).await?.0.is_empty());
    bed.engine.ledger.wake(bed.now(), 10, false).await?;
    ensure!(bed.state("suspended", row).await? == State::Expired);
    Ok(())
}

/// Two couriers at once never hold the same message.
pub async fn what_is_taken_is_not_taken_again(bed: &Bed) -> Result<()> {
    bed.intake(bed.entries("acme", Lane::Express, &Disposition::Ready, 40)?).await?;
    let (a, b, c) = tokio::join!(bed.take(15), bed.take(15), bed.take(15));
    let mut ids: Vec<_> = [a?, b?, c?].concat().iter().map(|work| work.row.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == 40);
    ensure!(bed.take(1).await?.is_empty());
    Ok(())
}

/// As if it had not been taken.
pub async fn what_is_given_back_is_ready_again_and_its_attempt_is_not_counted(bed: &Bed) -> Result<()> {
    let row = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let work = bed.take(1).await?;
    ensure!(work[0].attempt == 1);
    bed.engine.ledger.give_back(vec![(row, 7)]).await?;
    ensure!(bed.state("acme", row).await? == State::Sending, "another attempt's number gives nothing back");
    bed.engine.ledger.give_back(vec![(row, 1)]).await?;
    let view = bed.view("acme", row).await?;
    ensure!((view.status, view.attempts, view.sent_at) == (State::Ready, 0, None));
    let again = bed.take(1).await?;
    ensure!(again.len() == 1 && again[0].attempt == 1);
    Ok(())
}

/// No wake-up is missed, and a route that has something ready does not wait.
pub async fn a_take_wakes_when_something_becomes_ready(bed: &Bed) -> Result<()> {
    let route = "r".parse()?;
    let ledger = Arc::clone(&bed.engine.ledger);
    let waiter =
        tokio::spawn(async move { ledger.await_ready(&route, &nobody(), Duration::from_secs(30)).await });
    bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    ensure!(tokio::time::timeout(Duration::from_secs(5), waiter).await.context("not woken")??);
    let ledger = &bed.engine.ledger;
    let (route, passed_over, wait) = ("r".parse()?, nobody(), Duration::from_secs(30));
    let ready = ledger.await_ready(&route, &passed_over, wait);
    ensure!(tokio::time::timeout(Duration::from_secs(5), ready).await.context("waits")?);
    let none = "none".parse()?;
    ensure!(!ledger.await_ready(&none, &passed_over, Duration::from_millis(10)).await);
    Ok(())
}

/// In step with every change.
pub async fn what_waits_is_counted(bed: &Bed) -> Result<()> {
    let expected = |express: u64, bulk: u64| -> Result<Vec<Waiting>> {
        let lanes = [(Lane::Express, express), (Lane::Bulk, bulk)];
        let waiting = lanes.into_iter().filter(|(_, messages)| *messages > 0).map(|(lane, messages)| {
            Ok(Waiting { route: "r".parse()?, lane, account: live("acme")?, messages })
        });
        waiting.collect()
    };
    for express in [0, 5] {
        bed.intake(bed.entries("acme", Lane::Express, &Disposition::Ready, express)?).await?;
        bed.intake(bed.entries("acme", Lane::Bulk, &Disposition::Schedule, express)?).await?;
        let mut waiting = bed.engine.ledger.waiting().await?;
        waiting.sort_by_key(|one| one.lane);
        ensure!(waiting == expected(express as u64, express as u64)?, "{waiting:?}");
    }
    let row = bed.take(1).await?[0].row;
    ensure!(bed.engine.ledger.waiting().await?.iter().map(|w| w.messages).sum::<u64>() == 9);
    bed.engine.ledger.give_back(vec![(row, 1)]).await?;
    ensure!(bed.engine.ledger.waiting().await?.iter().map(|w| w.messages).sum::<u64>() == 10);
    bed.engine.reads.cancel(&live("acme")?, row.id, bed.now(), false).await?;
    for work in bed.take(100).await? {
        bed.settle(work.row, work.attempt, delivered()).await?;
    }
    let left = bed.engine.ledger.waiting().await?.iter().map(|w| w.messages).sum::<u64>();
    ensure!(left == 5, "{left}");
    Ok(())
}

/// Every field, whatever its characters.
pub async fn what_comes_out_is_what_went_in(bed: &Bed) -> Result<()> {
    let mut entry = bed.entry("acme", Disposition::Ready)?;
    let message = Arc::make_mut(&mut entry.message);
    message.key = Some("order 77".parse()?);
    message.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    message.content.body = "인증번호 [123]\u{0} '\"\\ \u{1f980}\r\n".to_owned();
    message.content.subject = Some(String::new());
    message.content.attachments = vec!["att_1".to_owned()];
    message.content.data.insert("a".to_owned(), serde_json::json!({ "b": [1, null, "c"] }));
    message.content.ttl = Some(60);
    bed.record(entry.clone()).await?;
    let work = bed.take(1).await?;
    ensure!(work[0].message == entry.message, "{:?}", work[0].message);
    ensure!(work[0].expires_at == entry.message.expires_at(Lane::Express));
    Ok(())
}
