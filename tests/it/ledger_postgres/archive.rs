//! What has ended lies in the archive, and is as known as before.

use std::sync::Arc;

use anyhow::{Context, ensure};
use naru_shared::{
    domain::{Code, Fingerprint, Lane, Next, State},
    ledger::{Disposition, IntakeVerdict, Search, Settled},
};
use naru_tests::conformance::ledger::live;

use super::{DAY, MINUTE, tidy, with_bed};
use crate::{postgres::psql, stage::beside_others};

fn delivered() -> Next {
    Next::end(State::Delivered, Code::Ok, "")
}

#[tokio::test]
async fn a_message_that_was_moved_is_neither_sent_nor_charged_again() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, _ledger, settings| {
        Box::pin(async move {
            let entry = bed.entry("acme", Disposition::Start)?;
            let row = bed.record(entry.clone()).await?;
            bed.settle(row, 1, delivered()).await?;
            tidy(bed).await?;
            let places = "SELECT (SELECT count(*) FROM naru.message), (SELECT count(*) FROM naru.content), \
                 (SELECT count(*) FROM naru.archive WHERE message IS NOT NULL)";
            ensure!(psql(&settings, places)? == "1|1|0", "minutes have not passed");
            bed.pass(6 * MINUTE);
            tidy(bed).await?;
            ensure!(psql(&settings, places)? == "0|0|1");
            // The envelope is delivered again, and the customer tries its key again: the same id, another token.
            for _ in 0..2 {
                ensure!(bed.intake(vec![entry.clone()]).await?.verdicts == [IntakeVerdict::Duplicate]);
            }
            let mut other = entry.clone();
            let message = Arc::make_mut(&mut other.message);
            message.content.body = "something else".to_owned();
            message.fingerprint = Fingerprint::of(&message.content, Lane::Express);
            let fresh = bed.entry("acme", Disposition::Ready)?;
            let mixed = bed.intake(vec![other, fresh, entry.clone()]).await?.verdicts;
            ensure!(mixed[0] == IntakeVerdict::Conflict && mixed[2] == IntakeVerdict::Duplicate, "{mixed:?}");
            ensure!(matches!(mixed[1], IntakeVerdict::Recorded(_, State::Ready)));
            ensure!(psql(&settings, places)? == "1|1|1", "nothing of it stayed");
            ensure!(bed.used("acme").await? == 2 && bed.take(10).await?.len() == 1);
            ensure!(bed.engine.ledger.lost(bed.me, 10).await?.iter().all(|work| work.row.id != row.id));
            Ok(())
        })
    })
    .await
}

#[tokio::test]
async fn what_lies_in_the_archive_is_read_found_and_corrected() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, _ledger, settings| {
        Box::pin(async move {
            let row = bed.start("acme").await?;
            bed.settle(row, 1, Next::end(State::Failed, Code::Uncertain, "cut")).await?;
            let before = bed.view("acme", row).await?;
            bed.pass(6 * MINUTE);
            tidy(bed).await?;
            ensure!(psql(&settings, "SELECT count(*) FROM naru.message")? == "0");
            ensure!(bed.view("acme", row).await? == before);
            let search = Search { customer: Some("acme".parse()?), limit: 10, ..Search::default() };
            ensure!(bed.engine.desk.find(search).await?.messages.len() == 1);
            let reports = bed.unread("acme").await?;
            ensure!(reports.len() == 1 && reports[0].revision == 1 && !reports[0].charged);
            let cancelled = bed.engine.reads.cancel(&live("acme")?, row.id, bed.now(), false).await?;
            ensure!(matches!(cancelled, naru_shared::ledger::Cancelled::TooLate(_)));
            let failed = Next::end(State::Failed, Code::BackendRefused, "no");
            ensure!(bed.settle(row, 1, failed).await? == Settled::Evidence);
            ensure!(psql(&settings, "SELECT count(*) FROM naru.message")? == "0", "evidence moves nothing");
            ensure!(bed.settle(row, 1, delivered()).await? == Settled::Corrected);
            let reports = bed.unread("acme").await?;
            ensure!(reports.len() == 1 && reports[0].revision == 2 && reports[0].charged);
            ensure!(bed.used("acme").await? == 1);
            bed.pass(6 * MINUTE);
            tidy(bed).await?;
            ensure!(psql(&settings, "SELECT count(*) FROM naru.archive WHERE message IS NOT NULL")? == "1");
            let dossier = bed.engine.desk.dossier(row.id).await?.context("it is known")?;
            ensure!(dossier.earlier_reports.len() == 1 && dossier.attempts_log.len() == 2);
            ensure!(bed.engine.reads.acknowledge(&live("acme")?, vec![(row.id, 2)]).await? == 1);
            Ok(())
        })
    })
    .await
}

#[tokio::test]
async fn texts_are_removed_in_time_and_months_are_dropped_whole() -> anyhow::Result<()> {
    let _beside = beside_others();
    with_bed(|bed, _ledger, settings| {
        Box::pin(async move {
            let old = bed.entry("acme", Disposition::Start)?;
            let row = bed.record(old.clone()).await?;
            bed.settle(row, 1, delivered()).await?;
            bed.pass(29 * DAY);
            tidy(bed).await?;
            let kept = "SELECT recipient, message IS NULL FROM naru.archive ORDER BY row";
            ensure!(psql(&settings, kept)? == "+821012345678|f");
            bed.pass(DAY + MINUTE);
            tidy(bed).await?;
            ensure!(psql(&settings, kept)? == "***********78|t");
            ensure!(bed.view("acme", row).await?.recipient == "***********78");
            ensure!(
                bed.intake(vec![old.clone()]).await?.verdicts == [IntakeVerdict::Duplicate],
                "still known"
            );
            let young = bed.start("acme").await?;
            bed.settle(young, 1, delivered()).await?;
            // March is dropped when its last day is older than sixty days: on the 31st of May.
            bed.pass(50 * DAY);
            tidy(bed).await?;
            ensure!(psql(&settings, "SELECT count(*) FROM naru.archive")? == "2", "the month is not over");
            bed.pass(2 * DAY);
            tidy(bed).await?;
            ensure!(psql(&settings, "SELECT count(*) FROM naru.archive")? == "1");
            ensure!(bed.engine.reads.view(&live("acme")?, row.id).await?.is_none());
            ensure!(bed.unread("acme").await?.len() == 1, "what was never read goes with its month");
            ensure!(psql(&settings, "SELECT count(*) FROM naru.unread")? == "1");
            Ok(())
        })
    })
    .await
}
