//! What the callbacks' table guarantees.

mod backlog;

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::ensure;
pub use backlog::what_waits_for_all_together_is_told_with_the_oldest;
use naru_shared::{
    callbacks::{Among, Callback, CallbackEnd, CallbackState, Callbacks, Fate, NewCallback, Written},
    domain::{Clock, ManualClock, WebhookId},
};

/// An engine with nothing in it, and the clock that it counts by.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn callbacks(&self) -> Arc<dyn Callbacks>;

    /// The same as another process has it open.
    fn other(&self) -> impl Future<Output = anyhow::Result<Arc<dyn Callbacks>>> + Send;

    /// Its clock.
    fn clock(&self) -> Arc<ManualClock>;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! callbacks_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::callbacks,
            $fixture,
            [
                what_is_put_is_due_at_once_and_reads_back_as_it_was,
                what_waits_already_is_not_written_twice,
                what_is_claimed_is_not_claimed_again_within_its_lease,
                of_the_named_each_has_its_room,
                the_others_have_their_turns,
                what_is_delivered_is_forgotten_whoever_has_it_in_hand,
                a_failure_of_an_older_attempt_changes_nothing,
                what_failed_comes_again_when_it_is_due,
                failing_begins_with_the_first_failure_since_the_last_success,
                no_more_than_the_bound_waits_and_what_is_not_kept_is_counted,
                processes_that_claim_at_once_have_different_rows,
                what_waits_is_counted_whoever_puts_and_settles,
                what_is_given_up_is_forgotten_and_counted,
                what_waits_for_all_together_is_told_with_the_oldest,
                a_wait_ends_when_something_is_put_or_due,
                a_wait_is_not_ended_by_what_is_not_asked_for,
            ]
        );
    };
}

const LEASE: Duration = Duration::from_secs(60);
const BOUND: u64 = 1_000;

fn id(text: &str) -> anyhow::Result<WebhookId> {
    Ok(text.parse()?)
}

fn event(webhook: &str, event: &str) -> anyhow::Result<NewCallback> {
    let body = format!("{{\"id\":\"{event}\",\"data\":\"안녕 \\u0000 '\\\"\"}}");
    Ok(NewCallback { webhook: id(webhook)?, event: event.to_owned(), body })
}

fn everybody(each: usize) -> Among {
    Among::Others { except: Vec::new(), each, after: None }
}

async fn put(callbacks: &dyn Callbacks, webhook: &str, events: &[&str]) -> anyhow::Result<()> {
    let events = events.iter().map(|one| event(webhook, one)).collect::<anyhow::Result<Vec<_>>>()?;
    let count = events.len();
    let put = callbacks.put(events, BOUND).await?;
    ensure!(put.written == vec![Written::New; count] && put.newly_full.is_empty(), "{put:?}");
    Ok(())
}

async fn claim(callbacks: &dyn Callbacks, max: usize) -> anyhow::Result<Vec<Callback>> {
    Ok(callbacks.claim(&everybody(100), max, LEASE).await?)
}

fn end(callback: &Callback, fate: Fate, answer: &str) -> CallbackEnd {
    CallbackEnd {
        row: callback.row,
        webhook: callback.webhook.clone(),
        attempt: callback.attempt,
        fate,
        answer: answer.to_owned(),
    }
}

async fn state(callbacks: &dyn Callbacks, webhook: &str) -> anyhow::Result<CallbackState> {
    let states = callbacks.states(&[id(webhook)?]).await?;
    states.into_iter().next().ok_or_else(|| anyhow::anyhow!("nothing is known of {webhook}"))
}

fn events(callbacks: &[Callback]) -> Vec<&str> {
    callbacks.iter().map(|callback| callback.event.as_str()).collect()
}

/// Byte for byte.
pub async fn what_is_put_is_due_at_once_and_reads_back_as_it_was(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    ensure!(claim(&*callbacks, 10).await?.is_empty());
    put(&*callbacks, "acme/main", &["msg_a.1"]).await?;
    let other = fixture.other().await?;
    let claimed = claim(&*other, 10).await?;
    let expected = event("acme/main", "msg_a.1")?;
    ensure!(claimed.len() == 1 && claimed[0].attempt == 1, "{claimed:?}");
    ensure!(claimed[0].body == expected.body && claimed[0].webhook == expected.webhook, "{claimed:?}");
    ensure!(claimed[0].first_at == fixture.clock().now());
    Ok(())
}

/// Neither in one call nor in two; the same event for two webhooks is two.
pub async fn what_waits_already_is_not_written_twice(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    let twice = vec![event("a/x", "e.1")?, event("a/x", "e.1")?, event("a/y", "e.1")?];
    let first = callbacks.put(twice.clone(), BOUND).await?;
    ensure!(first.written == [Written::New, Written::Known, Written::New], "{first:?}");
    let again = callbacks.put(twice, BOUND).await?;
    ensure!(again.written == [Written::Known; 3], "{again:?}");
    ensure!(claim(&*callbacks, 10).await?.len() == 2 && state(&*callbacks, "a/x").await?.waiting == 1);
    Ok(())
}

/// After it, it is the next attempt.
pub async fn what_is_claimed_is_not_claimed_again_within_its_lease(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    put(&*callbacks, "a/x", &["e.1"]).await?;
    ensure!(claim(&*callbacks, 10).await?.len() == 1);
    fixture.clock().advance(LEASE - Duration::from_millis(1));
    ensure!(claim(&*callbacks, 10).await?.is_empty());
    fixture.clock().advance(Duration::from_millis(1));
    let again = claim(&*callbacks, 10).await?;
    ensure!(again.len() == 1 && again[0].attempt == 2, "{again:?}");
    Ok(())
}

/// And nobody else is claimed for.
pub async fn of_the_named_each_has_its_room(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    for webhook in ["a/x", "a/y", "a/z"] {
        put(&*callbacks, webhook, &["e.1", "e.2", "e.3"]).await?;
    }
    let among = Among::Only(vec![(id("a/x")?, 2), (id("a/z")?, 0), (id("b/none")?, 5)]);
    let claimed = callbacks.claim(&among, 10, LEASE).await?;
    ensure!(claimed.len() == 2 && claimed.iter().all(|one| one.webhook.to_string() == "a/x"), "{claimed:?}");
    let among = Among::Only(vec![(id("a/y")?, 3), (id("a/z")?, 3)]);
    ensure!(callbacks.claim(&among, 4, LEASE).await?.len() == 4, "no more than were asked for");
    Ok(())
}

/// Whoever has many waiting does not have the turn of another.
pub async fn the_others_have_their_turns(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    let many: Vec<String> = (0..50).map(|number| format!("e.{number}")).collect();
    put(&*callbacks, "a/x", &many.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    for webhook in ["b/x", "c/x", "d/x"] {
        put(&*callbacks, webhook, &["e.1", "e.2"]).await?;
    }
    let mut after = None;
    let mut turns = Vec::new();
    for _ in 0..3 {
        let among = Among::Others { except: vec![id("d/x")?], each: 1, after: after.clone() };
        let claimed = callbacks.claim(&among, 2, LEASE).await?;
        ensure!(claimed.len() == 2, "{claimed:?}");
        let mut names: Vec<String> = claimed.iter().map(|one| one.webhook.to_string()).collect();
        names.sort_unstable();
        // The last that had its turn: the greater, unless it began anew.
        after = Some(id(if names == ["a/x", "c/x"] { "a/x" } else { &names[1] })?);
        turns.push(names.join(" "));
    }
    ensure!(turns == ["a/x b/x", "a/x c/x", "b/x c/x"], "{turns:?}");
    Ok(())
}

/// The target has it: nobody needs to call again.
pub async fn what_is_delivered_is_forgotten_whoever_has_it_in_hand(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    put(&*callbacks, "a/x", &["e.1"]).await?;
    let first = claim(&*callbacks, 1).await?;
    fixture.clock().advance(LEASE);
    let second = claim(&*callbacks, 1).await?;
    ensure!(callbacks.settle(vec![end(&first[0], Fate::Delivered, "HTTP 200")]).await? == [None]);
    let late = end(&second[0], Fate::Again(fixture.clock().now()), "timed out");
    ensure!(callbacks.settle(vec![late]).await? == [None], "nothing is left to fail");
    ensure!(claim(&*callbacks, 1).await?.is_empty());
    let state = state(&*callbacks, "a/x").await?;
    ensure!(state.waiting == 0 && state.given_up == 0, "{state:?}");
    ensure!(state.last_answer.as_deref() == Some("HTTP 200"), "{state:?}");
    Ok(())
}

/// Somebody else has it in hand.
pub async fn a_failure_of_an_older_attempt_changes_nothing(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    put(&*callbacks, "a/x", &["e.1"]).await?;
    let first = claim(&*callbacks, 1).await?;
    fixture.clock().advance(LEASE);
    ensure!(claim(&*callbacks, 1).await?.len() == 1);
    for fate in [Fate::Again(fixture.clock().now()), Fate::GivenUp] {
        callbacks.settle(vec![end(&first[0], fate, "timed out")]).await?;
        ensure!(claim(&*callbacks, 1).await?.is_empty(), "{fate:?} took it out of the other's hands");
    }
    ensure!(state(&*callbacks, "a/x").await?.waiting == 1);
    fixture.clock().advance(LEASE);
    ensure!(claim(&*callbacks, 1).await?.len() == 1);
    Ok(())
}

/// And not before.
pub async fn what_failed_comes_again_when_it_is_due(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    put(&*callbacks, "a/x", &["e.1"]).await?;
    let claimed = claim(&*callbacks, 1).await?;
    let due = fixture.clock().now().plus(Duration::from_secs(300));
    callbacks.settle(vec![end(&claimed[0], Fate::Again(due), "HTTP 500")]).await?;
    fixture.clock().advance(Duration::from_millis(299_999));
    ensure!(claim(&*callbacks, 1).await?.is_empty());
    fixture.clock().advance(Duration::from_millis(1));
    let again = claim(&*callbacks, 1).await?;
    ensure!(
        again.len() == 1 && again[0].attempt == 2 && again[0].first_at == claimed[0].first_at,
        "{again:?}"
    );
    Ok(())
}

/// Whichever event it was.
pub async fn failing_begins_with_the_first_failure_since_the_last_success(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    put(&*callbacks, "a/x", &["e.1", "e.2", "e.3", "e.4"]).await?;
    let claimed = claim(&*callbacks, 4).await?;
    let minute = Duration::from_secs(60);
    let later = fixture.clock().now().plus(100 * minute);
    let first = fixture.clock().now();
    for callback in &claimed[..2] {
        let since = callbacks.settle(vec![end(callback, Fate::Again(later), "HTTP 500")]).await?;
        ensure!(since == [Some(first)], "{since:?}");
        fixture.clock().advance(minute / 2);
    }
    ensure!(state(&*callbacks, "a/x").await?.failing_since == Some(first));
    ensure!(callbacks.settle(vec![end(&claimed[2], Fate::Delivered, "HTTP 204")]).await? == [None]);
    ensure!(state(&*callbacks, "a/x").await?.failing_since.is_none());
    let again = fixture.clock().now();
    let since = callbacks.settle(vec![end(&claimed[3], Fate::GivenUp, "HTTP 500")]).await?;
    ensure!(since == [Some(again)], "{since:?}");
    let state = state(&*callbacks, "a/x").await?;
    ensure!(state.given_up == 1 && state.waiting == 2 && state.last_at == Some(again), "{state:?}");
    Ok(())
}

/// A dead target does not fill the ledger, and nobody else's room is taken.
pub async fn no_more_than_the_bound_waits_and_what_is_not_kept_is_counted(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    let new = |count: usize, from: usize| {
        (from..from + count)
            .map(|number| event("a/x", &format!("e.{number}")))
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let mut batch = new(12, 0)?;
    batch.push(event("b/x", "e.0")?);
    let put = callbacks.put(batch, 10).await?;
    ensure!(put.written[..10] == [Written::New; 10] && put.written[10..12] == [Written::Full; 2], "{put:?}");
    ensure!(put.written[12] == Written::New && put.newly_full == [id("a/x")?], "{put:?}");
    let put = callbacks.put(new(1, 20)?, 10).await?;
    ensure!(put.written == [Written::Full] && put.newly_full.is_empty(), "it is told once: {put:?}");
    ensure!(callbacks.put(new(1, 3)?, 10).await?.written == [Written::Known]);
    for callback in callbacks.claim(&Among::Only(vec![(id("a/x")?, 5)]), 5, LEASE).await? {
        callbacks.settle(vec![end(&callback, Fate::Delivered, "HTTP 200")]).await?;
    }
    let put = callbacks.put(new(6, 30)?, 10).await?;
    ensure!(put.written[4..] == [Written::New, Written::Full] && put.newly_full == [id("a/x")?], "{put:?}");
    let state = state(&*callbacks, "a/x").await?;
    ensure!((state.waiting, state.not_kept) == (10, 4), "{state:?}");
    Ok(())
}

/// Each of them once.
pub async fn processes_that_claim_at_once_have_different_rows(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let both = [fixture.callbacks(), fixture.other().await?];
    for webhook in ["a/x", "b/x", "c/x"] {
        let ids: Vec<String> = (0..40).map(|number| format!("e.{number}")).collect();
        put(&*both[0], webhook, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    }
    let claims = (0..40_usize).map(|number| {
        let callbacks = Arc::clone(&both[number % 2]);
        tokio::spawn(async move { callbacks.claim(&everybody(3), 7, LEASE).await })
    });
    let (mut rows, mut count) = (HashSet::new(), 0);
    for claimed in futures_util::future::join_all(claims.collect::<Vec<_>>()).await {
        for callback in claimed?? {
            count += 1;
            rows.insert(callback.row);
        }
    }
    // What a claim passed over because another had it locked is there for the next one.
    loop {
        let rest = claim(&*both[0], 200).await?;
        if rest.is_empty() {
            break;
        }
        count += rest.len();
        rows.extend(rest.iter().map(|callback| callback.row));
    }
    ensure!((rows.len(), count) == (120, 120), "{} rows in {count} hands", rows.len());
    Ok(())
}

/// Exactly.
pub async fn what_waits_is_counted_whoever_puts_and_settles(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let both = [fixture.callbacks(), fixture.other().await?];
    let work = (0..20_usize).map(|number| {
        let callbacks = Arc::clone(&both[number % 2]);
        tokio::spawn(async move {
            for webhook in ["a/x", "b/x"] {
                let name = format!("e.{number}");
                put(&*callbacks, webhook, &[&name]).await?;
            }
            for callback in callbacks.claim(&everybody(1), 2, LEASE).await? {
                callbacks.settle(vec![end(&callback, Fate::Delivered, "HTTP 200")]).await?;
            }
            anyhow::Ok(())
        })
    });
    for done in futures_util::future::join_all(work.collect::<Vec<_>>()).await {
        done??;
    }
    let waiting = state(&*both[0], "a/x").await?.waiting + state(&*both[0], "b/x").await?.waiting;
    let left = claim(&*both[0], 1_000).await?;
    ensure!(waiting == u64::try_from(left.len())?, "{waiting} are counted, {} wait", left.len());
    Ok(())
}

/// Of one webhook, as many as were asked for.
pub async fn what_is_given_up_is_forgotten_and_counted(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    put(&*callbacks, "a/x", &["e.1", "e.2", "e.3"]).await?;
    put(&*callbacks, "b/x", &["e.1"]).await?;
    ensure!(callbacks.give_up(&id("a/x")?, 2).await? == 2);
    ensure!(callbacks.give_up(&id("a/x")?, 2).await? == 1);
    ensure!(callbacks.give_up(&id("a/x")?, 2).await? == 0 && callbacks.give_up(&id("c/x")?, 2).await? == 0);
    let gone = state(&*callbacks, "a/x").await?;
    ensure!((gone.waiting, gone.given_up) == (0, 3), "{gone:?}");
    ensure!(events(&claim(&*callbacks, 10).await?) == ["e.1"]);
    Ok(())
}

/// Within this process at once.
pub async fn a_wait_ends_when_something_is_put_or_due(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    let waiting = Arc::clone(&callbacks);
    let wait = tokio::spawn(async move { waiting.await_due(&[everybody(1)], LEASE).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    ensure!(!wait.is_finished(), "nothing waits");
    put(&*callbacks, "a/x", &["e.1"]).await?;
    tokio::time::timeout(Duration::from_secs(5), wait).await??;
    let among = [everybody(1)];
    let soon = callbacks.await_due(&among, LEASE);
    tokio::time::timeout(Duration::from_secs(5), soon).await?;
    let claimed = claim(&*callbacks, 1).await?;
    let due = fixture.clock().now().plus(Duration::from_millis(200));
    callbacks.settle(vec![end(&claimed[0], Fate::Again(due), "HTTP 500")]).await?;
    let until = callbacks.await_due(&among, LEASE);
    tokio::time::timeout(Duration::from_secs(5), until).await?;
    Ok(())
}

/// A webhook that has all the calls that it may have does not keep anybody awake.
pub async fn a_wait_is_not_ended_by_what_is_not_asked_for(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let callbacks = fixture.callbacks();
    put(&*callbacks, "a/x", &["e.1"]).await?;
    let others = Among::Others { except: vec![id("a/x")?], each: 1, after: None };
    let full = Among::Only(vec![(id("a/x")?, 0), (id("b/x")?, 4)]);
    let begun = std::time::Instant::now();
    callbacks.await_due(&[others, full], Duration::from_millis(300)).await;
    ensure!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    Ok(())
}
