//! What is stopped, and how it goes on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{Code, Lane, Next, State},
    ledger::{
        Disposition, IntakeEntry, IntakeVerdict, LedgerMends, Resolution, RowRef, StopCounts, StopEnd,
        StopFilter, StopOrder, StopPhase,
    },
};

use super::bed::{Bed, delivered, live, retry};

/// A rule about a customer's messages, in force.
pub(super) async fn order(bed: &Bed, filter: StopFilter) -> Result<i64> {
    let order = StopOrder {
        filter,
        actor: "test".to_owned(),
        reason: Some("a mistake".to_owned()),
        made_at: bed.now(),
        ended_at: None,
        counts: None,
    };
    Ok(bed.engine.mends.stop(order).await?.number)
}

/// What belongs to this customer.
pub(super) fn of(customer: &str) -> Result<StopFilter> {
    Ok(StopFilter { customer: Some(customer.parse()?), ..StopFilter::default() })
}

/// Returns when every change that was under way has ended.
async fn settled(mends: &dyn LedgerMends) -> Result<()> {
    let mark = mends.mark().await?;
    while !mends.is_past(mark).await? {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Carries a rule out as an operator's command does, in steps of that size.
pub(super) async fn carry_out(bed: &Bed, number: i64, step: usize) -> Result<()> {
    let mends = bed.engine.mends.as_ref();
    settled(mends).await?;
    mends.note_flights(number).await?;
    loop {
        let (mut from, mut found) = (None, 0);
        loop {
            let swept = mends.sweep(number, from, step, bed.now()).await?;
            found += swept.found;
            from = swept.next;
            if from.is_none() {
                break;
            }
        }
        if found == 0 {
            break;
        }
    }
    mends.note_flights(number).await?;
    Ok(mends.stand(number).await?)
}

/// Ends a rule as an operator's command does, in steps of that size.
pub(super) async fn end(bed: &Bed, number: i64, end: StopEnd, step: usize) -> Result<()> {
    let mends = bed.engine.mends.as_ref();
    mends.stop_ends(number, end).await?.context("the rule is gone")?;
    settled(mends).await?;
    while mends.release(number, step, bed.now(), true).await? > 0 {}
    Ok(mends.stop_over(number, bed.now()).await?)
}

/// What a rule did.
pub(super) async fn counts(bed: &Bed, number: i64) -> Result<StopCounts> {
    Ok(bed.engine.mends.stop_counts(number).await?)
}

/// One that is ready, one with its time ahead, one that waits for another attempt, one under way.
async fn four(bed: &Bed) -> Result<[RowRef; 4]> {
    let ready = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let mut later = bed.entry("acme", Disposition::Schedule)?;
    let mut message = (*later.message).clone();
    message.content.send_at = Some(bed.now().plus(Duration::from_secs(7_200)));
    later.message = Arc::new(message);
    let later = bed.record(later).await?;
    let again = bed.start("acme").await?;
    bed.settle(again, 1, retry(bed, Duration::from_secs(300), false)).await?;
    let flies = bed.start("acme").await?;
    Ok([ready, later, again, flies])
}

async fn states(bed: &Bed, rows: &[RowRef]) -> Result<Vec<State>> {
    let mut states = Vec::new();
    for row in rows {
        states.push(bed.state("acme", *row).await?);
    }
    Ok(states)
}

/// Whatever it waits for; what is under way goes on, and is stopped where it would be tried again.
pub async fn what_waits_and_matches_is_stopped_and_counted(bed: &Bed) -> Result<()> {
    let rows = four(bed).await?;
    let other = bed.record(bed.entry("other", Disposition::Ready)?).await?;
    let number = order(bed, of("acme")?).await?;
    carry_out(bed, number, 2).await?;
    let stopped = [State::Stopped, State::Stopped, State::Stopped, State::Sending];
    ensure!(states(bed, &rows).await? == stopped, "{:?}", states(bed, &rows).await?);
    ensure!(bed.state("other", other).await? == State::Ready);
    let found = counts(bed, number).await?;
    ensure!((found.stopped, found.in_flight, found.stands) == (3, 1, 3), "{found:?}");
    ensure!(bed.used("acme").await? == 4, "charges stay reserved");
    let flights = bed.engine.mends.flights(number).await?;
    ensure!(flights == [(bed.me, 1)], "{flights:?}");
    bed.settle(rows[3], 1, retry(bed, Duration::ZERO, false)).await?;
    ensure!(bed.engine.mends.flights(number).await?.is_empty());
    bed.pass(Duration::from_secs(30 * 86_400));
    let woken = bed.engine.ledger.wake(bed.now(), 100, false).await?;
    ensure!(woken.expired == 1, "the other's, and what is stopped does not expire: {woken:?}");
    ensure!(states(bed, &rows).await? == [State::Stopped; 4]);
    ensure!(bed.take(10).await?.is_empty());
    let found = counts(bed, number).await?;
    ensure!((found.stopped, found.came_back, found.stands) == (3, 1, 4), "{found:?}");
    ensure!(found.in_flight_now == BTreeMap::from([("stopped".to_owned(), 1)]), "{found:?}");
    Ok(())
}

/// Neither started nor refused, its units reserved; what ends at intake ends as it would have.
pub async fn what_arrives_later_and_matches_is_stopped_as_it_comes(bed: &Bed) -> Result<()> {
    let number = order(bed, of("acme")?).await?;
    let entries = vec![
        bed.entry("acme", Disposition::Start)?,
        bed.entry("acme", Disposition::Ready)?,
        bed.entry("acme", Disposition::Finish(State::Rejected, Code::Suspended))?,
        bed.entry("other", Disposition::Ready)?,
    ];
    let done = bed.intake(entries).await?;
    let became: Vec<_> = done
        .verdicts
        .iter()
        .map(|verdict| match verdict {
            IntakeVerdict::Recorded(_, state) => Some(*state),
            _ => None,
        })
        .collect();
    let expected = [State::Stopped, State::Stopped, State::Rejected, State::Ready].map(Some);
    ensure!(became == expected, "{became:?}");
    ensure!(bed.used("acme").await? == 2);
    ensure!(bed.take(10).await?.len() == 1, "the other's");
    carry_out(bed, number, 10).await?;
    let found = counts(bed, number).await?;
    ensure!((found.arrived, found.stopped, found.stands) == (2, 0, 2), "{found:?}");
    Ok(())
}

/// While a rule is being carried out, what it has not come to yet does not begin either.
pub async fn nothing_begins_that_a_rule_has_not_come_to_yet(bed: &Bed) -> Result<()> {
    let row = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let other = bed.record(bed.entry("other", Disposition::Ready)?).await?;
    let number = order(bed, of("acme")?).await?;
    let taken = bed.take(10).await?;
    ensure!(taken.len() == 1 && taken[0].row == other, "{taken:?}");
    ensure!(bed.state("acme", row).await? == State::Stopped);
    ensure!(counts(bed, number).await?.stopped == 1);
    Ok(())
}

/// What was given back, what a person sends again.
pub async fn what_comes_back_is_stopped(bed: &Bed) -> Result<()> {
    let back = bed.start("acme").await?;
    let held = bed.start("acme").await?;
    bed.settle(held, 1, Next::Held { detail: String::new() }).await?;
    let number = order(bed, of("acme")?).await?;
    carry_out(bed, number, 10).await?;
    bed.engine.ledger.give_back(vec![(back, 1)]).await?;
    bed.engine.desk.resolve(vec![held.id], Resolution::Retry, bed.now(), false).await?;
    ensure!(states(bed, &[back, held]).await? == [State::Stopped; 2]);
    let found = counts(bed, number).await?;
    ensure!((found.came_back, found.stands) == (2, 2), "{found:?}");
    end(bed, number, StopEnd::Commit, 10).await?;
    ensure!(states(bed, &[back, held]).await? == [State::Cancelled, State::Failed], "one is in doubt");
    Ok(())
}

/// By every word of a rule, and by all of them together.
pub async fn a_rule_stops_what_matches_all_its_words_and_nothing_else(bed: &Bed) -> Result<()> {
    let early = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    bed.pass(Duration::from_secs(10));
    let since = bed.now();
    let late = bed.entry("acme", Disposition::Ready)?;
    let reference = late.message.content.reference.clone();
    let bulk = IntakeEntry { lane: Lane::Bulk, ..bed.entry("acme", Disposition::Ready)? };
    let elsewhere = IntakeEntry { route: "elsewhere".parse()?, ..bed.entry("acme", Disposition::Ready)? };
    let mut rows = vec![early];
    for entry in [late, bulk, elsewhere] {
        rows.push(bed.record(entry).await?);
    }
    let nothing = StopFilter::default();
    let filters: [(StopFilter, [bool; 4]); 6] = [
        (StopFilter { since: Some(since), ..nothing.clone() }, [false, true, true, true]),
        (StopFilter { reference, ..nothing.clone() }, [false, true, false, false]),
        (StopFilter { lane: Some(Lane::Bulk), ..of("acme")? }, [false, false, true, false]),
        (StopFilter { route: Some("elsewhere".parse()?), ..nothing.clone() }, [false, false, false, true]),
        (StopFilter { channel: Some("sms".parse()?), ..nothing.clone() }, [true; 4]),
        (StopFilter { channel: Some("lms".parse()?), ..nothing }, [false; 4]),
    ];
    for (filter, expected) in filters {
        let number = order(bed, filter.clone()).await?;
        carry_out(bed, number, 10).await?;
        let stopped: Vec<bool> =
            states(bed, &rows).await?.into_iter().map(|state| state == State::Stopped).collect();
        ensure!(stopped == expected, "{filter:?}: {stopped:?}");
        end(bed, number, StopEnd::Undo, 10).await?;
        ensure!(states(bed, &rows).await? == [State::Ready; 4]);
    }
    Ok(())
}

/// As before: ready, scheduled, retrying, each with its time, and the time given back in which it was stopped.
pub async fn what_is_undone_waits_as_before_with_its_time_given_back(bed: &Bed) -> Result<()> {
    let [ready, later, again, flies] = four(bed).await?;
    bed.settle(flies, 1, delivered()).await?;
    let number = order(bed, of("acme")?).await?;
    carry_out(bed, number, 10).await?;
    bed.pass(Duration::from_secs(3_000));
    end(bed, number, StopEnd::Undo, 2).await?;
    let expected = [State::Ready, State::Scheduled, State::Ready, State::Delivered];
    let found = states(bed, &[ready, later, again, flies]).await?;
    ensure!(found == expected, "{found:?}");
    // Express messages live for ten minutes: without the time given back both would be over.
    let work = bed.take(10).await?;
    ensure!(work.len() == 2, "{work:?}");
    ensure!(work.iter().all(|one| one.expires_at.since(bed.now()) == Duration::from_secs(600)), "{work:?}");
    for one in work {
        bed.settle(one.row, one.attempt, delivered()).await?;
    }
    let found = counts(bed, number).await?;
    ensure!((found.stopped, found.undone, found.stands) == (3, 3, 0), "{found:?}");
    let rule = bed.engine.mends.stops(Some(number)).await?.pop().context("the rule is gone")?;
    ensure!(rule.phase == StopPhase::Ended && rule.order.reason.as_deref() == Some("a mistake"), "{rule:?}");
    let next = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    ensure!(bed.state("acme", next).await? == State::Ready, "the rule is over");
    Ok(())
}

/// With a report each, its units released, however often the command is repeated.
pub async fn what_is_committed_is_cancelled_once_and_not_paid_for(bed: &Bed) -> Result<()> {
    let rows = four(bed).await?;
    bed.settle(rows[3], 1, delivered()).await?;
    let number = order(bed, of("acme")?).await?;
    carry_out(bed, number, 10).await?;
    bed.unread("acme").await?;
    let mends = &bed.engine.mends;
    mends.stop_ends(number, StopEnd::Commit).await?;
    // The command is killed after its first step, and its answer was lost.
    ensure!(mends.release(number, 1, bed.now(), true).await? == 1);
    mends.stop_over(number, bed.now()).await?;
    let ends = mends.stop_ends(number, StopEnd::Undo).await?;
    ensure!(ends == Some(StopPhase::Committing), "it is decided already: {ends:?}");
    end(bed, number, StopEnd::Commit, 1).await?;
    end(bed, number, StopEnd::Commit, 1).await?;
    let reports = bed.unread("acme").await?;
    ensure!(reports.len() == 3, "{reports:?}");
    let recalled = |code| code == Code::Recalled;
    ensure!(reports.iter().all(|r| r.status == State::Cancelled && recalled(r.code) && r.revision == 1));
    ensure!(bed.used("acme").await? == 1, "only what was delivered is paid for");
    let found = counts(bed, number).await?;
    ensure!((found.stopped, found.cancelled, found.stands, found.in_flight) == (3, 3, 0, 0), "{found:?}");
    Ok(())
}

/// A row belongs to the first rule; undone, it is stopped by the other.
pub async fn of_two_rules_the_second_keeps_what_the_first_lets_go(bed: &Bed) -> Result<()> {
    let row = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let first = order(bed, of("acme")?).await?;
    carry_out(bed, first, 10).await?;
    let second = order(bed, StopFilter { route: Some("r".parse()?), ..StopFilter::default() }).await?;
    carry_out(bed, second, 10).await?;
    let (one, two) = (counts(bed, first).await?, counts(bed, second).await?);
    ensure!((one.stands, two.stands) == (1, 0), "{one:?} {two:?}");
    end(bed, first, StopEnd::Undo, 10).await?;
    ensure!(bed.state("acme", row).await? == State::Stopped);
    let (one, two) = (counts(bed, first).await?, counts(bed, second).await?);
    ensure!((one.undone, one.stands, two.taken_over, two.stands) == (1, 0, 1, 1), "{one:?} {two:?}");
    end(bed, second, StopEnd::Undo, 10).await?;
    ensure!(bed.state("acme", row).await? == State::Ready);
    Ok(())
}

/// By its customer, or by a late word of the backend.
pub async fn what_ends_while_it_is_stopped_stays_as_it_ended(bed: &Bed) -> Result<()> {
    let cancelled = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let late = bed.start("acme").await?;
    bed.settle(late, 1, retry(bed, Duration::ZERO, true)).await?;
    let number = order(bed, of("acme")?).await?;
    carry_out(bed, number, 10).await?;
    bed.engine.reads.cancel(&live("acme")?, cancelled.id, bed.now(), false).await?;
    bed.settle(late, 1, delivered()).await?;
    let found = counts(bed, number).await?;
    ensure!((found.stopped, found.stands, found.otherwise) == (2, 0, 2), "{found:?}");
    end(bed, number, StopEnd::Undo, 10).await?;
    ensure!(states(bed, &[cancelled, late]).await? == [State::Cancelled, State::Delivered]);
    let found = counts(bed, number).await?;
    ensure!((found.undone, found.otherwise) == (0, 2), "{found:?}");
    Ok(())
}
