//! What the watch over what comes, waits and ends guarantees.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use naru_shared::{
    domain::{Event, kinds},
    ledger::{Disposition, Settled},
    watch::{AlarmChange, Flow, Raised, STEP_MS, Watch},
};
use serde_json::json;

use super::ledger::{Bed, delivered, failed, retry};

/// An engine with nothing in it.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn watch(&self) -> Arc<dyn Watch>;

    /// The same as another process has it open.
    fn other(&self) -> impl Future<Output = anyhow::Result<Arc<dyn Watch>>> + Send;

    /// The ledger beside it, and the clock that it counts by.
    fn bed(&self) -> &Bed;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! watch_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::watch,
            $fixture,
            [
                what_came_and_ended_is_counted_once_written_down,
                what_has_waited_longest_is_told_for_each_place,
                an_alarm_is_raised_once_and_cleared_once_whoever_sees_it,
                what_is_calm_is_remembered,
                one_has_the_turn_until_it_is_over,
                a_gap_without_anybody_is_told,
            ]
        );
    };
}

/// Whichever way an outcome takes through the engine.
pub async fn what_came_and_ended_is_counted_once_written_down<F: Fixture>(
    fixture: &mut F,
) -> anyhow::Result<()> {
    let (bed, watch) = (fixture.bed(), fixture.watch());
    ensure!(!watch.note_flow().await?, "nothing has come");
    let (one, two) = (bed.start("acme").await?, bed.start("acme").await?);
    bed.record(bed.entry("bolt", Disposition::Ready)?).await?;
    ensure!(bed.settle(one, 1, delivered()).await? == Settled::Applied);
    ensure!(bed.settle(two, 1, failed()).await? == Settled::Applied);
    ensure!(watch.note_flow().await?);
    ensure!(!watch.note_flow().await?, "it was written down");
    bed.pass(Duration::from_secs(3_600));
    let three = bed.start("acme").await?;
    ensure!(bed.settle(three, 1, delivered()).await? == Settled::Applied);
    ensure!(watch.note_flow().await?);
    let steps = fixture.other().await?.flow(bed.now().minus(Duration::from_secs(2 * 3_600))).await?;
    let told: Vec<(&str, Flow)> = steps.iter().map(|step| (step.customer.as_str(), step.flow)).collect();
    let first = ("acme", Flow { taken_in: 2, delivered: 1, failed: 1, other: 0 });
    let bolt = ("bolt", Flow { taken_in: 1, ..Flow::default() });
    let last = ("acme", Flow { taken_in: 1, delivered: 1, ..Flow::default() });
    ensure!(told == [first, bolt, last], "{told:?}");
    ensure!(watch.flow(bed.now()).await?.len() == 1);
    ensure!(steps.iter().all(|step| step.at.as_millis() % STEP_MS == 0));
    let came = watch.last_came().await?;
    let acme = came.iter().find(|one| one.customer.as_str() == "acme").context("acme came")?;
    ensure!(acme.at == bed.now() && came.len() == 2, "{came:?}");
    Ok(())
}

/// Of what is ready, and of what is tried again.
pub async fn what_has_waited_longest_is_told_for_each_place<F: Fixture>(
    fixture: &mut F,
) -> anyhow::Result<()> {
    let (bed, watch) = (fixture.bed(), fixture.watch());
    ensure!(watch.oldest().await?.is_empty());
    let begun = bed.now();
    for customer in ["acme", "bolt"] {
        bed.record(bed.entry(customer, Disposition::Ready)?).await?;
        bed.pass(Duration::from_secs(60));
        bed.record(bed.entry(customer, Disposition::Ready)?).await?;
    }
    let row = bed.start("cord").await?;
    bed.settle(row, 1, retry(bed, Duration::from_secs(5), false)).await?;
    let told: Vec<(String, u64)> = watch
        .oldest()
        .await?
        .into_iter()
        .map(|one| (one.customer.to_string(), one.since.since(begun).as_secs()))
        .collect();
    let expected = [("acme".to_owned(), 0), ("bolt".to_owned(), 60), ("cord".to_owned(), 120)];
    ensure!(told == expected, "{told:?}");
    Ok(())
}

fn raised(bed: &Bed, subject: &str) -> Raised {
    Raised {
        alarm: "it".to_owned(),
        subject: subject.to_owned(),
        raised_at: bed.now(),
        calm_since: None,
        data: json!({ "why": "안녕 '\"" }),
    }
}

fn event(bed: &Bed, id: &str) -> Event {
    Event::uncounted(id.to_owned(), "alarm/it", kinds::ALARM_RAISED, bed.now(), json!({}))
}

/// Two processes see the same; an event is written with each change that took effect, and with no other.
pub async fn an_alarm_is_raised_once_and_cleared_once_whoever_sees_it<F: Fixture>(
    fixture: &mut F,
) -> anyhow::Result<()> {
    let (bed, watch, other) = (fixture.bed(), fixture.watch(), fixture.other().await?);
    let first = raised(bed, "route/a");
    let done = watch.change(vec![AlarmChange::Raise(first.clone(), event(bed, "one"))], true).await?;
    ensure!(done.len() == 1);
    bed.pass(Duration::from_secs(1));
    let again = AlarmChange::Raise(raised(bed, "route/a"), event(bed, "two"));
    let beside = AlarmChange::Raise(raised(bed, "route/b"), event(bed, "three"));
    let done = other.change(vec![again, beside], true).await?;
    ensure!(matches!(done.as_slice(), [AlarmChange::Raise(one, _)] if one.subject == "route/b"), "{done:?}");
    ensure!(watch.raised().await?.first() == Some(&first));
    // What is cleared must be the one that was raised then.
    let stale = Raised { raised_at: bed.now(), ..first.clone() };
    ensure!(other.change(vec![AlarmChange::Clear(stale, event(bed, "four"))], true).await?.is_empty());
    let clear = || vec![AlarmChange::Clear(first.clone(), event(bed, "five"))];
    ensure!(other.change(clear(), true).await?.len() == 1 && watch.change(clear(), true).await?.is_empty());
    ensure!(watch.raised().await?.len() == 1);
    let quiet = AlarmChange::Raise(raised(bed, "route/c"), event(bed, "six"));
    ensure!(watch.change(vec![quiet], false).await?.len() == 1, "raised although nobody listens");
    let mut ids: Vec<String> = bed
        .engine
        .outbox
        .claim(10, Duration::from_secs(60))
        .await?
        .into_iter()
        .map(|row| row.event.id)
        .collect();
    ids.sort();
    ensure!(ids == ["five", "one", "three"], "{ids:?}");
    Ok(())
}

/// Until it is not any more.
pub async fn what_is_calm_is_remembered<F: Fixture>(fixture: &mut F) -> anyhow::Result<()> {
    let (bed, watch) = (fixture.bed(), fixture.watch());
    let one = raised(bed, "route/a");
    watch.change(vec![AlarmChange::Raise(one.clone(), event(bed, "one"))], false).await?;
    for since in [Some(bed.now()), None] {
        watch.change(vec![AlarmChange::Calm(one.clone(), since)], true).await?;
        ensure!(fixture.other().await?.raised().await?[0].calm_since == since);
    }
    ensure!(bed.engine.outbox.claim(10, Duration::from_secs(60)).await?.is_empty());
    Ok(())
}

/// Of two, whoever comes first.
pub async fn one_has_the_turn_until_it_is_over<F: Fixture>(fixture: &mut F) -> anyhow::Result<()> {
    let (bed, watch, other) = (fixture.bed(), fixture.watch(), fixture.other().await?);
    let turn = Duration::from_secs(10);
    let began = bed.now();
    ensure!(watch.take_turn(turn).await? == Some(began));
    ensure!(other.take_turn(turn).await?.is_none() && watch.take_turn(turn).await?.is_none());
    bed.pass(turn);
    ensure!(other.take_turn(turn).await? == Some(began), "since when somebody looks stays");
    ensure!(watch.take_turn(turn).await?.is_none());
    Ok(())
}

/// Nobody knows what did not come in it.
pub async fn a_gap_without_anybody_is_told<F: Fixture>(fixture: &mut F) -> anyhow::Result<()> {
    let (bed, watch) = (fixture.bed(), fixture.watch());
    watch.take_turn(Duration::from_secs(10)).await?;
    bed.pass(Duration::from_secs(3_600));
    ensure!(watch.take_turn(Duration::from_secs(10)).await? == Some(bed.now()));
    Ok(())
}
