//! Shares of couriers, quiet hours, and other routes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use naru_shared::{
    domain::{Hushed, Lane, QuietHours, QuietRules, State, Timestamp},
    ledger::{Disposition, IntakeEntry, Quiet, Reroute, Shares, TakeRequest, Taken},
};

use super::bed::{Bed, delivered, live, retry};

/// Takes by these shares.
async fn take_by(bed: &Bed, max: usize, shares: Shares) -> Result<Taken> {
    let request = TakeRequest { shares, ..bed.request(max, |_| 1)? };
    Ok(bed.engine.ledger.take(request).await?)
}

fn shares(each: usize, held: &[(&str, usize)], beyond: usize) -> Result<Shares> {
    let held =
        held.iter().map(|(who, count)| Ok((who.parse()?, *count))).collect::<Result<BTreeMap<_, _>>>()?;
    Ok(Shares { each, held: Arc::new(held), beyond })
}

fn count(taken: &Taken, customer: &str) -> usize {
    taken.work.iter().filter(|work| work.account.customer.as_str() == customer).count()
}

/// Whichever lane, and whatever its turn.
pub async fn nobody_is_given_more_than_its_share_while_others_wait(bed: &Bed) -> Result<()> {
    for lane in Lane::ALL {
        bed.intake(bed.entries("hog", lane, &Disposition::Ready, 60)?).await?;
    }
    bed.intake(bed.entries("a", Lane::Express, &Disposition::Ready, 30)?).await?;
    bed.intake(bed.entries("z", Lane::Bulk, &Disposition::Ready, 30)?).await?;
    let taken = take_by(bed, 12, shares(4, &[], 12)?).await?;
    ensure!(taken.work.len() == 12 && taken.more);
    ensure!((count(&taken, "hog"), count(&taken, "a"), count(&taken, "z")) == (4, 4, 4), "each its share");
    let taken = take_by(bed, 3, shares(4, &[("hog", 4), ("a", 3), ("z", 1)], 3)?).await?;
    ensure!(taken.work.len() == 3 && count(&taken, "hog") == 0 && count(&taken, "a") <= 1);
    let taken = take_by(bed, 8, shares(4, &[("hog", 9), ("a", 1), ("z", 1)], 0)?).await?;
    ensure!((count(&taken, "hog"), count(&taken, "a"), count(&taken, "z")) == (0, 3, 3));
    ensure!(taken.more, "something is left");
    Ok(())
}

/// A courier is not idle while only those wait who have their share, unless it is kept.
pub async fn what_others_leave_goes_to_who_has_its_share(bed: &Bed) -> Result<()> {
    bed.intake(bed.entries("hog", Lane::Express, &Disposition::Ready, 40)?).await?;
    bed.intake(bed.entries("few", Lane::Express, &Disposition::Ready, 2)?).await?;
    let taken = take_by(bed, 10, shares(4, &[("hog", 4)], 10)?).await?;
    ensure!((count(&taken, "few"), count(&taken, "hog")) == (2, 8));
    let taken = take_by(bed, 10, shares(4, &[("hog", 12)], 3)?).await?;
    ensure!(count(&taken, "hog") == 3 && taken.more, "as many as are not kept");
    bed.intake(bed.entries("few", Lane::Bulk, &Disposition::Ready, 1)?).await?;
    let taken = take_by(bed, 10, shares(4, &[("hog", 12)], 0)?).await?;
    ensure!((count(&taken, "few"), count(&taken, "hog")) == (1, 0));
    Ok(())
}

fn quiet(bed: &Bed, customer: &str, channel: Option<&str>, lane: Hushed) -> Result<(Quiet, Timestamp)> {
    // The bed's clock begins at nine in the morning.
    let channel = channel.map(str::parse).transpose()?;
    let rule = QuietHours { channel, hours: "08:30-10:00".parse()?, time_zone: "UTC".parse()?, lane };
    let rules = Arc::new(QuietRules(vec![rule]));
    let until = rules.0[0].until(bed.now()).unwrap_or_default();
    Ok((Arc::new(BTreeMap::from([(customer.parse()?, rules)])), until))
}

/// It keeps its time to live, its charge and its place, and holds up nobody.
pub async fn what_would_begin_in_quiet_hours_is_scheduled_until_they_end(bed: &Bed) -> Result<()> {
    bed.intake(bed.entries("night", Lane::Bulk, &Disposition::Ready, 29)?).await?;
    let first = IntakeEntry { lane: Lane::Bulk, ..bed.entry("night", Disposition::Ready)? };
    let first = bed.record(first).await?;
    bed.intake(bed.entries("night", Lane::Express, &Disposition::Ready, 2)?).await?;
    bed.intake(bed.entries("day", Lane::Bulk, &Disposition::Ready, 5)?).await?;
    let (quiet, until) = quiet(bed, "night", None, Hushed::Bulk)?;
    let take = |quiet: &Quiet| {
        let request =
            bed.request(100, |_| 1).map(|request| TakeRequest { quiet: Arc::clone(quiet), ..request });
        async move { anyhow::Ok(bed.engine.ledger.take(request?).await?) }
    };
    let taken = take(&quiet).await?;
    ensure!((count(&taken, "night"), count(&taken, "day")) == (2, 5), "{}", taken.work.len());
    ensure!(
        taken.work.iter().all(|work| work.lane == Lane::Express || work.account.customer.as_str() == "day")
    );
    let waiting = bed.engine.ledger.waiting().await?;
    ensure!(waiting.iter().map(|one| one.messages).sum::<u64>() == 30, "they still wait: {waiting:?}");
    ensure!(bed.state("night", first).await? == State::Scheduled);
    ensure!(take(&quiet).await?.work.is_empty());
    bed.pass(until.since(bed.now()));
    let woken = bed.engine.ledger.wake(bed.now(), 100, false).await?;
    ensure!((woken.ready, woken.expired) == (30, 0), "{woken:?}");
    let work = take(&quiet).await?.work;
    ensure!(work.len() == 30);
    let ttl = Duration::from_secs(u64::from(Lane::Bulk.default_ttl_seconds()));
    // Accepted at nine, quiet until ten, and again for an hour and a half of the next morning.
    let spent = Duration::from_secs(3_600 + 5_400);
    let message = &work[0].message;
    ensure!(work[0].expires_at == message.accepted_at.plus(ttl + spent), "{}", work[0].expires_at);
    Ok(())
}

/// Decided by intake, which knows when they end.
pub async fn what_comes_in_quiet_hours_waits_until_they_end(bed: &Bed) -> Result<()> {
    let until = bed.now().plus(Duration::from_secs(7_200));
    let mut entry = bed.entry("acme", Disposition::Quiet(until))?;
    entry.quiet = Duration::from_secs(7_200);
    let expires_at = entry.expires_at();
    let row = bed.record(entry).await?;
    ensure!(bed.state("acme", row).await? == State::Scheduled && bed.take(1).await?.is_empty());
    bed.pass(Duration::from_secs(7_199));
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await? == naru_shared::ledger::Woken::default());
    bed.pass(Duration::from_secs(1));
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await?.ready == 1);
    let work = bed.take(1).await?;
    ensure!(work[0].expires_at == expires_at, "ten minutes by the clock that stood still");
    Ok(())
}

fn to_b(max: usize) -> Result<Reroute> {
    Ok(Reroute { from: "r".parse()?, to: "b".parse()?, accepted_by: Timestamp::MAX, max })
}

/// Both routes count it, and its report says where it went.
pub async fn what_was_certainly_not_taken_goes_on_to_another_route_and_nothing_else(bed: &Bed) -> Result<()> {
    let ledger = &bed.engine.ledger;
    let doubtful = bed.record(bed.entry("acme", Disposition::Start)?).await?;
    bed.settle(doubtful, 1, retry(bed, Duration::ZERO, true)).await?;
    let refused = bed.record(bed.entry("acme", Disposition::Start)?).await?;
    bed.settle(refused, 1, retry(bed, Duration::ZERO, false)).await?;
    ledger.wake(bed.now(), 10, false).await?;
    let fresh = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let begun = bed.record(bed.entry("acme", Disposition::Start)?).await?;
    let later =
        bed.record(bed.entry("acme", Disposition::Quiet(bed.now().plus(Duration::from_secs(60))))?).await?;
    ensure!(ledger.reroute(to_b(10)?, bed.now()).await? == 2);
    ensure!(ledger.reroute(to_b(10)?, bed.now()).await? == 0);
    for (row, route) in [(doubtful, "r"), (refused, "b"), (fresh, "b"), (begun, "r"), (later, "r")] {
        ensure!(bed.view("acme", row).await?.route.as_str() == route, "{route}");
    }
    let mut waiting: Vec<_> =
        ledger.waiting().await?.into_iter().map(|one| (one.route.to_string(), one.messages)).collect();
    waiting.sort();
    ensure!(waiting == [("b".to_owned(), 2), ("r".to_owned(), 2)], "{waiting:?}");
    let request = TakeRequest { route: "b".parse()?, ..bed.request(10, |_| 1)? };
    let work = ledger.take(request).await?.work;
    ensure!(work.len() == 2 && work.iter().all(|work| !work.possible_duplicate));
    let again = work.iter().find(|work| work.row == refused).map(|work| work.attempt);
    ensure!(again == Some(2), "attempts go on counting");
    for one in &work {
        bed.settle(one.row, one.attempt, delivered()).await?;
    }
    let reports = bed.unread("acme").await?;
    ensure!(reports.len() == 2 && reports.iter().all(|report| report.route.as_str() == "b"));
    let dossier = bed.engine.desk.dossier(fresh.id).await?.map(|dossier| dossier.attempts_log);
    let told = dossier.is_some_and(|notes| notes.iter().any(|note| note.outcome == "rerouted to b"));
    ensure!(told, "its timeline tells it");
    Ok(())
}

/// What came lately waits for its own route, and nobody's flood goes before the few of others.
pub async fn customers_go_on_in_turn_and_only_what_is_old_enough(bed: &Bed) -> Result<()> {
    let ledger = &bed.engine.ledger;
    bed.intake(bed.entries("flood", Lane::Express, &Disposition::Ready, 50)?).await?;
    bed.intake(bed.entries("small", Lane::Express, &Disposition::Ready, 2)?).await?;
    let old = bed.now();
    bed.pass(Duration::from_secs(5));
    bed.intake(bed.entries("small", Lane::Express, &Disposition::Ready, 3)?).await?;
    ensure!(ledger.reroute(Reroute { accepted_by: old, ..to_b(10)? }, bed.now()).await? == 7);
    let on_b = ledger.ready(&"b".parse()?, Lane::Express, 100).await?;
    ensure!(on_b.contains(&(live("small")?, 2)) && on_b.contains(&(live("flood")?, 5)), "{on_b:?}");
    Ok(())
}

/// Ready rows, and no others.
pub async fn what_is_ready_is_counted_by_account(bed: &Bed) -> Result<()> {
    bed.intake(bed.entries("acme", Lane::Express, &Disposition::Ready, 7)?).await?;
    bed.intake(bed.entries("other", Lane::Express, &Disposition::Ready, 3)?).await?;
    bed.intake(bed.entries("acme", Lane::Bulk, &Disposition::Ready, 5)?).await?;
    let until = bed.now().plus(Duration::from_secs(60));
    bed.intake(bed.entries("acme", Lane::Express, &Disposition::Quiet(until), 9)?).await?;
    let route = "r".parse()?;
    let ready = |max| bed.engine.ledger.ready(&route, Lane::Express, max);
    let mut counted = ready(100).await?;
    counted.sort_by(|a, b| a.0.customer.cmp(&b.0.customer));
    ensure!(counted == [(live("acme")?, 7), (live("other")?, 3)], "{counted:?}");
    ensure!(ready(4).await?.iter().map(|(_, count)| count).sum::<u64>() == 4, "no more are looked at");
    Ok(())
}
