//! What an operator sees of a message after the fact, one by one and counted.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use naru_shared::{
    domain::{Code, Environment, Next, State, Timestamp},
    ledger::{Disposition, Dossier, Keep, LedgerDesk, ReportRead, RowRef, Tally, TallyRange},
};

use super::bed::{Bed, LEASE, delivered, failed, live, retry};

async fn dossier(bed: &Bed, row: RowRef) -> Result<Dossier> {
    bed.engine.desk.dossier(row.id).await?.context("no dossier")
}

/// Taken in, begun, ended, labelled: each attempt that was not simply the first and the last.
pub async fn every_moment_of_a_message_s_life_is_kept(bed: &Bed) -> Result<()> {
    let taken_in = bed.now();
    let row = bed.start("acme").await?;
    bed.pass(Duration::from_secs(1));
    bed.settle(row, 1, retry(bed, Duration::ZERO, true)).await?;
    let in_doubt = bed.now();
    ensure!(bed.engine.ledger.wake(bed.now(), 10, false).await?.ready == 1);
    bed.pass(Duration::from_secs(1));
    let second = bed.now();
    ensure!(bed.take(1).await?.len() == 1);
    bed.pass(Duration::from_secs(1));
    let (state, code) = (State::Delivered, Code::Ok);
    let backend_id = Some("b-77".to_owned());
    bed.settle(row, 2, Next::Final { state, code, detail: String::new(), backend_id }).await?;
    let told = dossier(bed, row).await?;
    ensure!(told.taken_in_at == Some(taken_in) && told.backend_id.as_deref() == Some("b-77"), "{told:?}");
    let notes: Vec<_> = told
        .attempts_log
        .iter()
        .map(|note| {
            (note.attempt, note.began_at, note.at, note.possible_duplicate, note.backend_id.as_deref())
        })
        .collect();
    let first = (1, Some(taken_in), in_doubt, false, None);
    ensure!(notes == [first, (2, Some(second), bed.now(), true, Some("b-77"))], "{notes:?}");
    Ok(())
}

/// The moment at which a backend took it, and not that of its report.
pub async fn when_a_message_was_taken_whose_report_comes_later_is_kept(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    bed.pass(Duration::from_secs(2));
    let taken = bed.now();
    let sent = |bed: &Bed| Next::Sent { backend_id: Some("b-1".into()), look_at: bed.now().plus(LEASE) };
    bed.settle(row, 1, sent(bed)).await?;
    bed.pass(Duration::from_secs(2));
    bed.settle(row, 1, sent(bed)).await?;
    bed.settle(row, 1, delivered()).await?;
    let told = dossier(bed, row).await?;
    ensure!(told.taken_at == Some(taken) && told.view.final_at == Some(bed.now()), "{told:?}");
    Ok(())
}

/// With its moment; a newer revision is unread, and that an earlier one was read stays known.
pub async fn when_a_report_was_acknowledged_is_kept(bed: &Bed) -> Result<()> {
    let row = bed.start("acme").await?;
    ensure!(dossier(bed, row).await?.report_read == ReportRead::None);
    bed.settle(row, 1, failed()).await?;
    let ended = bed.now();
    let unread = ReportRead::Unread { from: ended, earlier: None };
    ensure!(dossier(bed, row).await?.report_read == unread);
    bed.pass(Duration::from_secs(5));
    let read = bed.now();
    let account = live("acme")?;
    ensure!(bed.engine.reads.acknowledge(&account, vec![(row.id, 1)]).await? == 1);
    bed.pass(Duration::from_secs(5));
    ensure!(bed.engine.reads.acknowledge(&account, vec![(row.id, 1)]).await? == 0);
    let told = dossier(bed, row).await?.report_read;
    // A message that is moved at that very moment is passed over: that it was read is known all the same.
    ensure!(matches!(told, ReportRead::Read { at } if at.is_none_or(|at| at == read)), "{told:?}");
    bed.settle(row, 1, delivered()).await?;
    let told = dossier(bed, row).await?.report_read;
    ensure!(matches!(told, ReportRead::Unread { from, .. } if from == bed.now()), "{told:?}");
    Ok(())
}

/// Whose, and when; a message is none.
pub async fn a_tombstone_is_told_of_and_a_message_is_none(bed: &Bed) -> Result<()> {
    let entry = bed.entry("acme", Disposition::Ready)?;
    let (id, account) = (entry.message.id, live("acme")?);
    ensure!(bed.engine.desk.tombstone(id).await?.is_none());
    bed.engine.reads.cancel(&account, id, bed.now(), false).await?;
    ensure!(bed.engine.desk.dossier(id).await?.is_none());
    ensure!(bed.engine.desk.tombstone(id).await? == Some((account, bed.now())));
    bed.intake(vec![entry]).await?;
    ensure!(bed.engine.desk.tombstone(id).await?.is_none());
    Ok(())
}

async fn count(desk: &dyn LedgerDesk, range: TallyRange) -> Result<BTreeMap<(String, bool), Tally>> {
    let (mut sums, mut from) = (BTreeMap::<_, Tally>::new(), None);
    loop {
        let page = desk.tally(range, from).await?;
        for cell in page.cells {
            let sandbox = cell.account.environment == Environment::Sandbox;
            sums.entry((cell.account.customer.to_string(), sandbox)).or_default().add(&cell.tally);
        }
        from = page.next;
        if from.is_none() {
            return Ok(sums);
        }
    }
}

/// Wherever it is kept, and its units are what the usage says.
pub async fn a_count_after_the_fact_agrees_to_the_row(bed: &Bed) -> Result<()> {
    let begun = bed.now();
    let mut rows = Vec::new();
    for number in 0..12_u32 {
        let customer = if number % 3 == 0 { "bolt" } else { "acme" };
        let row = bed.start(customer).await?;
        match number % 4 {
            0 => drop(bed.settle(row, 1, delivered()).await?),
            1 => drop(bed.settle(row, 1, failed()).await?),
            2 => drop(bed.settle(row, 1, retry(bed, Duration::from_secs(60), false)).await?),
            _ => {}
        }
        rows.push((customer, row, number % 4));
        bed.pass(Duration::from_secs(60));
    }
    let read: Vec<_> = rows.iter().filter(|(customer, _, what)| *customer == "acme" && *what == 0).collect();
    let acknowledged: Vec<_> = read.iter().map(|(_, row, _)| (row.id, 1)).collect();
    let count_read = bed.engine.reads.acknowledge(&live("acme")?, acknowledged).await? as u64;
    let range = TallyRange { from: begun, until: bed.now() };
    let sums = count(&*bed.engine.desk, range).await?;
    for customer in ["acme", "bolt"] {
        let tally = sums.get(&(customer.to_owned(), false)).copied().unwrap_or_default();
        let mine: Vec<_> = rows.iter().filter(|(whose, ..)| *whose == customer).collect();
        let of = |wanted: &[u32]| mine.iter().filter(|(.., what)| wanted.contains(what)).count() as u64;
        ensure!(tally.submitted == mine.len() as u64 && tally.accepted == tally.submitted, "{tally:?}");
        ensure!(tally.reported == of(&[0, 1]), "{tally:?}");
        ensure!(tally.acknowledged == if customer == "acme" { count_read } else { 0 }, "{tally:?}");
        let counts = [tally.units_captured, tally.units_released, tally.units_reserved];
        ensure!(counts == [of(&[0]), of(&[1]), of(&[2, 3])], "{tally:?}");
        ensure!(tally.units_captured + tally.units_reserved == bed.used(customer).await?);
    }
    // Its bounds: from then on, until before then.
    let one = TallyRange { from: begun, until: begun.plus(Duration::from_secs(60)) };
    let only: u64 = count(&*bed.engine.desk, one).await?.values().map(|tally| tally.submitted).sum();
    ensure!(only == 1, "{only}");
    Ok(())
}

/// So that nobody takes what is left for all there was.
pub async fn what_was_forgotten_is_known_to_be_missing(bed: &Bed) -> Result<()> {
    ensure!(bed.engine.desk.forgotten_before().await?.is_none());
    let row = bed.start("acme").await?;
    let accepted = bed.now();
    bed.settle(row, 1, delivered()).await?;
    bed.engine.reads.acknowledge(&live("acme")?, vec![(row.id, 1)]).await?;
    let keep = Keep { horizon: Duration::from_secs(86_400), texts: Duration::from_secs(86_400) };
    let late = bed.engine.ledger.capabilities().forgets_together.unwrap_or_default();
    bed.pass(keep.horizon + late + Duration::from_secs(86_400));
    for _ in 0..100 {
        bed.engine.ledger.forget(bed.now(), keep, 100).await?;
        if bed.engine.desk.dossier(row.id).await?.is_none() {
            break;
        }
    }
    let before: Option<Timestamp> = bed.engine.desk.forgotten_before().await?;
    ensure!(before.is_some_and(|before| before > accepted), "{before:?}");
    Ok(())
}
