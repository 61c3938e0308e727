//! What a table of messages guarantees, whichever the database and the mapping.

mod strange;

use std::sync::Arc;

use anyhow::{Context, ensure};
use naru_shared::{
    domain::{
        Account, Clock, Content, Environment, Fingerprint, Lane, Message, MessageId, SystemClock, TableKey,
        TableMapping, Units, Verdict,
    },
    ledger::{RowRef, Work},
    table::{MessageTable, TableError, Told, Turn},
};

pub use strange::{
    a_key_that_another_row_has_is_passed_over, a_row_of_others_is_not_taken_for_ours,
    a_row_that_waits_is_withdrawn_and_one_that_was_taken_is_not,
    a_state_that_is_not_quite_one_holds_up_no_other, what_the_carrier_says_is_told_in_one_line,
};

/// A table in an empty database.
pub trait Fixture: Sized + Send {
    /// Whether the database refuses text that is longer than its column.
    const BOUNDS_TEXT: bool;

    /// Makes one, by any mapping.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn table(&self) -> &MessageTable;

    /// The same as another process has it open.
    fn other(&self) -> anyhow::Result<MessageTable>;

    /// The present month, as the mapping's zone has it: `2026-11`.
    fn month(&self) -> String;

    /// What the carrier's agent does: statements of its own, and their first field.
    fn agent(&self, statement: &str) -> impl Future<Output = anyhow::Result<String>> + Send;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! table_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::table,
            $fixture,
            [
                what_is_inserted_waits_to_be_taken,
                a_message_is_inserted_once_however_often_it_is_tried,
                what_its_owner_moved_away_is_not_inserted_again,
                a_row_that_is_refused_holds_up_no_other,
                processes_that_insert_at_once_insert_each_message_once,
                a_report_is_told_until_it_was_taken,
                what_is_not_final_is_not_told,
                a_correction_is_told_by_itself,
                a_report_in_a_log_table_is_told,
                a_later_attempt_is_told_once_more,
                a_row_says_what_became_of_it_when_it_is_asked,
                one_process_collects,
                another_process_collects_once_the_lease_has_run_out,
                a_row_of_others_is_not_taken_for_ours,
                a_key_that_another_row_has_is_passed_over,
                a_state_that_is_not_quite_one_holds_up_no_other,
                what_the_carrier_says_is_told_in_one_line,
                a_row_that_waits_is_withdrawn_and_one_that_was_taken_is_not,
                making_it_again_changes_nothing,
            ]
        );
    };
}

/// An attempt at the message of that number.
///
/// # Errors
/// If there is no such number of a row.
pub fn work(number: u128, attempt: u32) -> anyhow::Result<Work> {
    let content = Content {
        channel: "sms".parse()?,
        recipient: "+821012345678".to_owned(),
        sender: Some("+8215880000".to_owned()),
        subject: None,
        body: format!("안녕 '{number}' \\ \""),
        attachments: Vec::new(),
        data: serde_json::Map::new(),
        reference: None,
        send_at: None,
        ttl: None,
        simulate: None,
    };
    let message = Message {
        id: MessageId::from_bytes(number.to_be_bytes()),
        key: None,
        fingerprint: Fingerprint::of(&content, Lane::Express),
        units: Units::ONE,
        accepted_at: SystemClock.now(),
        traceparent: None,
        again: None,
        content,
    };
    Ok(Work {
        row: RowRef { row: i64::try_from(number)?, id: message.id },
        account: Account { customer: "c".parse()?, environment: Environment::Live },
        route: "r".parse()?,
        lane: Lane::Express,
        attempt,
        possible_duplicate: false,
        expires_at: message.expires_at(Lane::Express),
        backend_id: None,
        message: Arc::new(message),
    })
}

async fn insert(table: &MessageTable, work: Vec<Work>) -> anyhow::Result<Vec<Result<(), TableError>>> {
    let drafts = work.into_iter().map(|work| {
        let draft = table.draft(&work, None).map_err(anyhow::Error::msg)?;
        Ok((work, draft))
    });
    let drafts = drafts.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(table.insert(&drafts).await)
}

async fn inserted(table: &MessageTable, work: Vec<Work>) -> anyhow::Result<()> {
    for answer in insert(table, work).await? {
        answer?;
    }
    Ok(())
}

async fn rows<F: Fixture>(bed: &F) -> anyhow::Result<u64> {
    let mapping = bed.table().mapping();
    Ok(bed.agent(&format!("SELECT count(*) FROM {}", mapping.table)).await?.parse()?)
}

/// The values that say that it arrived, and that it did not.
fn words(mapping: &TableMapping, well: bool) -> (String, String) {
    let states = &mapping.status;
    match states.reported.first() {
        Some(reported) => {
            let arrived = mapping.results.delivered.first().cloned().unwrap_or_default();
            (reported.clone(), if well { arrived } else { "9".to_owned() })
        }
        None => {
            let state = if well { &states.delivered } else { &states.failed };
            (state.first().cloned().unwrap_or_default(), if well { "0" } else { "9" }.to_owned())
        }
    }
}

/// The carrier reports every row of a table.
async fn report<F: Fixture>(bed: &F, table: &str, well: bool) -> anyhow::Result<()> {
    let mapping = bed.table().mapping();
    let (status, result) = words(mapping, well);
    let columns = &mapping.columns;
    let result_column = columns.result.as_ref().context("there is a result")?;
    let mut set = format!("{} = '{status}', {result_column} = '{result}'", columns.status);
    if let Some(revision) = &columns.report_rev {
        set.push_str(&format!(", {revision} = {revision} + 1"));
    }
    bed.agent(&format!("UPDATE {table} SET {set}")).await.map(drop)
}

async fn told<F: Fixture>(bed: &F, turn: Turn) -> anyhow::Result<Vec<Told>> {
    Ok(bed.table().collect(turn, 1_000).await?)
}

/// See the name.
pub async fn what_is_inserted_waits_to_be_taken<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    let mapping = bed.table().mapping();
    let columns = &mapping.columns;
    let ask = |column: &str| format!("SELECT {column} FROM {}", mapping.table);
    ensure!(bed.agent(&ask(&columns.status)).await? == mapping.status.ready);
    ensure!(bed.agent(&ask(&columns.body)).await? == "안녕 '1' \\ \"");
    let national = mapping.national.is_some();
    let expected = if national { "01012345678" } else { "+821012345678" };
    ensure!(bed.agent(&ask(&columns.recipient)).await? == expected);
    let id = MessageId::from_bytes(1_u128.to_be_bytes()).to_string();
    let named = if mapping.key == TableKey::Text { Some(&columns.key) } else { columns.id.as_ref() };
    ensure!(bed.agent(&ask(named.context("the id is named")?)).await? == id);
    Ok(())
}

/// See the name.
pub async fn a_message_is_inserted_once_however_often_it_is_tried<F: Fixture>(
    bed: &mut F,
) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?, work(2, 1)?, work(1, 1)?]).await?;
    inserted(bed.table(), vec![work(2, 2)?, work(3, 1)?, work(1, 2)?]).await?;
    ensure!(rows(bed).await? == 3);
    Ok(())
}

/// See the name.
pub async fn what_its_owner_moved_away_is_not_inserted_again<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    bed.agent(&format!("DELETE FROM {}", bed.table().mapping().table)).await?;
    inserted(bed.table(), vec![work(1, 2)?, work(2, 1)?]).await?;
    ensure!(rows(bed).await? == 1);
    Ok(())
}

/// See the name.
pub async fn a_row_that_is_refused_holds_up_no_other<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for number in 1..=20 {
        let mut work = work(number, 1)?;
        if number == 7 {
            let mut message = (*work.message).clone();
            message.content.recipient = "+82".repeat(100);
            work.message = Arc::new(message);
        }
        all.push(work);
    }
    let answers = insert(bed.table(), all).await?;
    let refused: Vec<usize> = answers
        .iter()
        .enumerate()
        .filter_map(|(at, answer)| {
            matches!(answer, Err(TableError::Refused { taken: false, .. })).then_some(at)
        })
        .collect();
    if F::BOUNDS_TEXT {
        ensure!(refused == [6], "{answers:?}");
        ensure!(answers.iter().filter(|answer| answer.is_ok()).count() == 19, "{answers:?}");
        ensure!(rows(bed).await? == 19);
    } else {
        ensure!(rows(bed).await? == 20);
    }
    Ok(())
}

/// See the name.
pub async fn processes_that_insert_at_once_insert_each_message_once<F: Fixture>(
    bed: &mut F,
) -> anyhow::Result<()> {
    let other = bed.other()?;
    let all = |attempt| (1..=200).map(|number| work(number, attempt)).collect::<anyhow::Result<Vec<_>>>();
    for _ in 0..3 {
        let (one, two) = tokio::join!(insert(bed.table(), all(1)?), insert(&other, all(2)?));
        // A database may end one of two that are in each other's way; then it is tried again.
        for answer in one?.into_iter().chain(two?) {
            ensure!(matches!(answer, Ok(()) | Err(TableError::Away(_))), "{answer:?}");
        }
    }
    inserted(bed.table(), all(3)?).await?;
    ensure!(rows(bed).await? == 200);
    Ok(())
}

/// See the name.
pub async fn a_report_is_told_until_it_was_taken<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?, work(2, 3)?]).await?;
    ensure!(told(bed, Turn::Quick).await?.is_empty());
    let table = bed.table().mapping().table.clone();
    report(bed, &table, true).await?;
    let mut first = told(bed, Turn::Quick).await?;
    first.sort_by_key(|told| told.row.row);
    ensure!(first.len() == 2, "{first:?}");
    ensure!(first[0].row == work(1, 1)?.row && first[0].attempt == 1 && first[1].attempt == 3, "{first:?}");
    ensure!(first.iter().all(|told| told.verdict == Verdict::Delivered));
    bed.table().taken(&first[..1]).await?;
    let again = told(bed, Turn::Quick).await?;
    ensure!(again.len() == 1 && again[0].row == first[1].row, "{again:?}");
    bed.table().taken(&again).await?;
    ensure!(told(bed, Turn::Quick).await?.is_empty() && told(bed, Turn::Whole).await?.is_empty());
    Ok(())
}

/// See the name.
pub async fn what_is_not_final_is_not_told<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    let mapping = bed.table().mapping();
    let (table, status) = (&mapping.table, &mapping.columns.status);
    let under_way = if mapping.status.ready == "READY" { "CLAIMED" } else { "9" };
    bed.agent(&format!("UPDATE {table} SET {status} = '{under_way}'")).await?;
    ensure!(told(bed, Turn::Quick).await?.is_empty() && told(bed, Turn::Whole).await?.is_empty());
    ensure!(bed.table().look_up(&work(1, 1)?).await?.is_none());
    Ok(())
}

/// See the name.
pub async fn a_correction_is_told_by_itself<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    let table = bed.table().mapping().table.clone();
    report(bed, &table, false).await?;
    let first = told(bed, Turn::Quick).await?;
    ensure!(first.len() == 1 && first[0].verdict == Verdict::Failed, "{first:?}");
    // What is corrected between the look and the word that it was taken is not lost.
    report(bed, &table, true).await?;
    bed.table().taken(&first).await?;
    let second = told(bed, Turn::Whole).await?;
    ensure!(second.len() == 1 && second[0].verdict == Verdict::Delivered, "{second:?}");
    bed.table().taken(&second).await?;
    ensure!(told(bed, Turn::Whole).await?.is_empty());
    Ok(())
}

/// See the name.
pub async fn a_report_in_a_log_table_is_told<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?, work(2, 1)?]).await?;
    let mapping = bed.table().mapping();
    let live = mapping.table.clone();
    let month = bed.month();
    let (year, month) = month.split_once('-').context("a month has a year")?;
    let log = mapping.log_of(year.parse()?, month.parse()?).context("there are log tables")?;
    report(bed, &live, true).await?;
    bed.agent(&format!("CREATE TABLE {log} AS SELECT * FROM {live}")).await?;
    bed.agent(&format!("DELETE FROM {live}")).await?;
    let found = told(bed, Turn::Whole).await?;
    ensure!(found.len() == 2 && found.iter().all(|told| told.verdict == Verdict::Delivered), "{found:?}");
    bed.table().taken(&found).await?;
    ensure!(told(bed, Turn::Whole).await?.is_empty());
    report(bed, &log, false).await?;
    let corrected = told(bed, Turn::Whole).await?;
    ensure!(corrected.len() == 2 && corrected.iter().all(|told| told.verdict == Verdict::Failed));
    Ok(())
}

/// See the name.
pub async fn a_later_attempt_is_told_once_more<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    let table = bed.table().mapping().table.clone();
    report(bed, &table, false).await?;
    let first = told(bed, Turn::Quick).await?;
    // The attempt of which it was told ended otherwise in the ledger, and another was begun.
    inserted(bed.table(), vec![work(1, 2)?]).await?;
    bed.table().taken(&first).await?;
    let again = told(bed, Turn::Whole).await?;
    ensure!(again.len() == 1 && again[0].attempt == 2, "{again:?}");
    bed.table().taken(&again).await?;
    ensure!(told(bed, Turn::Whole).await?.is_empty());
    Ok(())
}

/// See the name.
pub async fn a_row_says_what_became_of_it_when_it_is_asked<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    ensure!(bed.table().look_up(&work(1, 1)?).await?.is_none());
    let table = bed.table().mapping().table.clone();
    report(bed, &table, true).await?;
    let found = bed.table().look_up(&work(1, 1)?).await?.context("it was reported")?;
    ensure!(found.verdict == Verdict::Delivered);
    ensure!(bed.table().look_up(&work(2, 1)?).await?.is_none());
    Ok(())
}

/// See the name.
pub async fn one_process_collects<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    let other = bed.other()?;
    ensure!(bed.table().lease("a").await?);
    ensure!(!other.lease("b").await?);
    ensure!(bed.table().lease("a").await?);
    Ok(())
}

/// See the name.
pub async fn another_process_collects_once_the_lease_has_run_out<F: Fixture>(
    bed: &mut F,
) -> anyhow::Result<()> {
    let other = bed.other()?;
    ensure!(bed.table().lease("a").await? && !other.lease("b").await?);
    bed.agent(&format!("UPDATE {} SET lease_until = 1", bed.table().mapping().lease())).await?;
    ensure!(other.lease("b").await?, "nobody holds it");
    ensure!(!bed.table().lease("a").await?, "it was taken over");
    Ok(())
}

/// See the name.
pub async fn making_it_again_changes_nothing<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    ensure!(bed.table().lease("a").await?);
    bed.table().create(None).await?;
    ensure!(rows(bed).await? == 1 && !bed.table().lease("b").await?);
    inserted(bed.table(), vec![work(1, 2)?]).await?;
    ensure!(rows(bed).await? == 1);
    Ok(())
}
