//! Rows of others, what carriers write that cannot be read, and rows that wait no longer.

use anyhow::{Context, ensure};
use naru_shared::{
    domain::{MessageId, TableKey, TableMapping, Verdict},
    table::Turn,
};

use super::{Fixture, inserted, report, rows, told, words, work};

/// The column that says which message a row is of.
fn named(mapping: &TableMapping) -> anyhow::Result<&str> {
    match mapping.key {
        TableKey::Text => Ok(&mapping.columns.key),
        TableKey::Number => mapping.columns.id.as_deref().context("the id is named"),
    }
}

/// See the name.
pub async fn a_row_of_others_is_not_taken_for_ours<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    let mapping = bed.table().mapping();
    let (live, month) = (mapping.table.clone(), bed.month());
    let (year, month) = month.split_once('-').context("a month has a year")?;
    let log = mapping.log_of(year.parse()?, month.parse()?).context("there are log tables")?;
    // Another application's message of this month, with the number of ours where keys are numbers; ours was not touched.
    bed.agent(&format!("CREATE TABLE {log} AS SELECT * FROM {live}")).await?;
    bed.agent(&format!("UPDATE {log} SET {} = 'order-77'", named(mapping)?)).await?;
    report(bed, &log, true).await?;
    ensure!(told(bed, Turn::Quick).await?.is_empty() && told(bed, Turn::Whole).await?.is_empty());
    ensure!(bed.table().look_up(&work(1, 1)?).await?.is_none());
    report(bed, &live, false).await?;
    let ours = told(bed, Turn::Whole).await?;
    ensure!(ours.len() == 1 && ours[0].verdict == Verdict::Failed, "{ours:?}");
    Ok(())
}

/// See the name.
pub async fn a_key_that_another_row_has_is_passed_over<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    let mapping = bed.table().mapping();
    let (live, key) = (&mapping.table, &mapping.columns.key);
    if mapping.key == TableKey::Text {
        // What stands under our key already stays as it is.
        bed.agent(&format!("DELETE FROM {}", mapping.beside())).await?;
        bed.agent(&format!("UPDATE {live} SET {} = '7'", mapping.columns.status)).await?;
        inserted(bed.table(), vec![work(1, 1)?, work(2, 1)?]).await?;
        let kept = format!("SELECT count(*) FROM {live} WHERE {} = '7'", mapping.columns.status);
        ensure!(bed.agent(&kept).await? == "1" && rows(bed).await? == 2);
        return Ok(());
    }
    // Others have the next numbers, and one a little further on.
    let columns: Vec<&str> = mapping.definition.iter().filter_map(|line| line.split(' ').next()).collect();
    for on in [1, 2, 5] {
        let moved: Vec<String> = columns
            .iter()
            .map(|name| if name == key { format!("min({name}) + {on}") } else { format!("min({name})") })
            .collect();
        let (columns, moved) = (columns.join(", "), moved.join(", "));
        bed.agent(&format!("INSERT INTO {live} ({columns}) SELECT {moved} FROM {live}")).await?;
        let last = format!("SELECT max({key}) FROM {live}");
        let last = bed.agent(&last).await?;
        bed.agent(&format!("UPDATE {live} SET {} = 'order-{on}' WHERE {key} = {last}", named(mapping)?))
            .await?;
    }
    let all = (2..=9).map(|number| work(number, 1)).collect::<anyhow::Result<Vec<_>>>()?;
    inserted(bed.table(), all).await?;
    ensure!(rows(bed).await? == 12, "nine of ours, three of others");
    let theirs = format!("SELECT count(*) FROM {live} WHERE {} LIKE 'order-%'", named(mapping)?);
    ensure!(bed.agent(&theirs).await? == "3", "what others have was not overwritten");
    Ok(())
}

/// See the name.
pub async fn a_state_that_is_not_quite_one_holds_up_no_other<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    let all = (1..=5).map(|number| work(number, 1)).collect::<anyhow::Result<Vec<_>>>()?;
    inserted(bed.table(), all).await?;
    let mapping = bed.table().mapping();
    let (live, status) = (mapping.table.clone(), &mapping.columns.status);
    report(bed, &live, true).await?;
    // In other letters; where states are numbers, another number.
    let good = MessageId::from_bytes(3_u128.to_be_bytes()).to_string();
    let odd = match words(mapping, true).0.to_lowercase() {
        lower if lower == words(mapping, true).0 => "8".to_owned(),
        lower => lower,
    };
    bed.agent(&format!("UPDATE {live} SET {status} = '{odd}' WHERE {} <> '{good}'", named(mapping)?)).await?;
    // One at a time: what cannot be read does not stand before what can.
    let mut found = Vec::new();
    for _ in 0..6 {
        found.extend(bed.table().collect(Turn::Quick, 1).await?);
    }
    ensure!(found.iter().any(|told| told.row.id.to_string() == good), "{found:?}");
    ensure!(found.iter().all(|told| told.row.id.to_string() == good), "{found:?}");
    bed.table().taken(&found).await?;
    // Put right, it is told as anything else.
    report(bed, &live, true).await?;
    let rest = told(bed, Turn::Whole).await?;
    let others = rest.iter().filter(|told| told.row.id.to_string() != good).count();
    ensure!(others == 4, "{rest:?}");
    Ok(())
}

/// See the name.
pub async fn what_the_carrier_says_is_told_in_one_line<F: Fixture>(bed: &mut F) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?]).await?;
    let mapping = bed.table().mapping();
    let live = mapping.table.clone();
    if let Some(text) = &mapping.columns.result_text {
        let said = format!("a\nb \u{1b}[31m{}", "x".repeat(230));
        bed.agent(&format!("UPDATE {live} SET {text} = '{said}'")).await?;
    }
    report(bed, &live, false).await?;
    let found = told(bed, Turn::Quick).await?;
    let detail = &found.first().context("it was reported")?.detail;
    ensure!(!detail.chars().any(char::is_control), "{detail:?}");
    if mapping.columns.result_text.is_some() {
        ensure!(detail.starts_with(r"the carrier: 9 a\nb \u{1b}[31mxx"), "{detail:?}");
        ensure!((150..=220).contains(&detail.len()), "{detail:?}");
    } else {
        ensure!(detail == "the carrier: 9", "{detail:?}");
    }
    Ok(())
}

/// See the name.
pub async fn a_row_that_waits_is_withdrawn_and_one_that_was_taken_is_not<F: Fixture>(
    bed: &mut F,
) -> anyhow::Result<()> {
    inserted(bed.table(), vec![work(1, 1)?, work(2, 1)?, work(3, 1)?]).await?;
    let mapping = bed.table().mapping();
    let (live, status) = (&mapping.table, &mapping.columns.status);
    let Some(withdrawn) = &mapping.columns.withdrawn_at else {
        // Where there is no such column, nothing is changed.
        bed.table().withdraw(&work(1, 1)?).await?;
        let waits = format!("SELECT count(*) FROM {live} WHERE {status} = '{}'", mapping.status.ready);
        ensure!(bed.agent(&waits).await? == "3");
        return Ok(());
    };
    let taken = MessageId::from_bytes(2_u128.to_be_bytes()).to_string();
    bed.agent(&format!("UPDATE {live} SET {status} = 'CLAIMED' WHERE {} = '{taken}'", named(mapping)?))
        .await?;
    for number in [1, 2] {
        bed.table().withdraw(&work(number, 1)?).await?;
    }
    let which = format!("SELECT {} FROM {live} WHERE {withdrawn} IS NOT NULL", named(mapping)?);
    ensure!(bed.agent(&which).await? == MessageId::from_bytes(1_u128.to_be_bytes()).to_string());
    let count = format!("SELECT count(*) FROM {live} WHERE {withdrawn} IS NOT NULL");
    ensure!(bed.agent(&count).await? == "1");
    // When it was withdrawn does not change; and what is reported nevertheless is told.
    let when = format!("SELECT {withdrawn} FROM {live} WHERE {withdrawn} IS NOT NULL");
    let first = bed.agent(&when).await?;
    bed.table().withdraw(&work(1, 1)?).await?;
    ensure!(bed.agent(&when).await? == first);
    report(bed, live, true).await?;
    ensure!(told(bed, Turn::Quick).await?.len() == 3);
    // What is sent once more under its key waits again.
    inserted(bed.table(), vec![work(1, 2)?]).await?;
    ensure!(bed.agent(&count).await? == "0");
    Ok(())
}
