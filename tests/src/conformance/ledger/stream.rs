//! A stop while others take, wake, give back and record.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Result, ensure};
use naru_shared::{
    domain::{Lane, MessageId, State},
    ledger::{Disposition, IntakeVerdict, RowRef, StopEnd},
};
use parking_lot::Mutex;

use super::{
    bed::{Bed, delivered, retry},
    stops::{carry_out, counts, end, of, order},
};

/// What takers begin, by message.
#[derive(Default)]
struct Seen {
    begun: Mutex<BTreeMap<MessageId, u32>>,
    delivered: Mutex<BTreeSet<MessageId>>,
    returned: AtomicBool,
    ended: AtomicBool,
}

/// Takes, wakes, settles by turns in every way, and gives back, until it is told to end.
async fn work(bed: &Bed, seen: &Seen, number: usize) -> Result<()> {
    let mut turn = number;
    while !seen.ended.load(Ordering::Acquire) {
        let after = seen.returned.load(Ordering::Acquire);
        bed.engine.ledger.wake(bed.now(), 16, false).await?;
        let work = bed.take(8).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        for one in work {
            let matches = one.account.customer.as_str() == "acme";
            ensure!(!(after && matches), "{} begins after the stop had returned", one.row.id);
            turn += 1;
            match turn % 4 {
                0 => bed.engine.ledger.give_back(vec![(one.row, one.attempt)]).await?,
                1 => drop(bed.settle(one.row, one.attempt, retry(bed, Duration::ZERO, false)).await?),
                _ => {
                    *seen.begun.lock().entry(one.row.id).or_default() += 1;
                    bed.settle(one.row, one.attempt, delivered()).await?;
                    ensure!(seen.delivered.lock().insert(one.row.id), "{} is delivered twice", one.row.id);
                }
            }
        }
    }
    Ok(())
}

/// Records messages of both customers, half of them begun at once.
async fn arrive(bed: &Bed, seen: &Seen, recorded: &Mutex<Vec<RowRef>>) -> Result<()> {
    let mut turn = 0_u32;
    while !seen.ended.load(Ordering::Acquire) && turn < 60 {
        turn += 1;
        let after = seen.returned.load(Ordering::Acquire);
        let how = if turn.is_multiple_of(2) { Disposition::Start } else { Disposition::Ready };
        let mut entries = bed.entries("acme", Lane::Bulk, &how, 4)?;
        entries.extend(bed.entries("other", Lane::Bulk, &Disposition::Ready, 2)?);
        let done = bed.intake(entries.clone()).await?;
        for (entry, verdict) in entries.iter().zip(done.verdicts) {
            let IntakeVerdict::Recorded(row, state) = verdict else { anyhow::bail!("{verdict:?}") };
            let matches = entry.account.customer.as_str() == "acme";
            ensure!(!(after && matches && state != State::Stopped), "{} is {state:?}", row.id);
            if matches {
                recorded.lock().push(row);
            }
            if state == State::Sending {
                *seen.begun.lock().entry(row.id).or_default() += 1;
                bed.settle(row, 1, delivered()).await?;
                seen.delivered.lock().insert(row.id);
            }
        }
    }
    Ok(())
}

/// However many take, wake, give back and record meanwhile; and every one is counted.
pub async fn nothing_that_matches_begins_once_a_stop_has_returned(bed: &Bed) -> Result<()> {
    let (seen, recorded) = (Seen::default(), Mutex::new(Vec::new()));
    let waiting = bed.intake(bed.entries("acme", Lane::Bulk, &Disposition::Ready, 300)?).await?;
    recorded.lock().extend(waiting.verdicts.iter().filter_map(|verdict| match verdict {
        IntakeVerdict::Recorded(row, _) => Some(*row),
        _ => None,
    }));
    let stop = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let number = order(bed, of("acme")?).await?;
        carry_out(bed, number, 20).await?;
        while !bed.engine.mends.flights(number).await?.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        seen.returned.store(true, Ordering::Release);
        tokio::time::sleep(Duration::from_millis(100)).await;
        seen.ended.store(true, Ordering::Release);
        Ok(number)
    };
    let (number, ..) = tokio::try_join!(
        stop,
        work(bed, &seen, 0),
        work(bed, &seen, 1),
        work(bed, &seen, 2),
        arrive(bed, &seen, &recorded)
    )?;
    let recorded = recorded.into_inner();
    let mut stands = 0;
    for row in &recorded {
        match bed.state("acme", *row).await? {
            State::Stopped => stands += 1,
            State::Delivered => {}
            state => anyhow::bail!("{} is {state:?}", row.id),
        }
    }
    let found = counts(bed, number).await?;
    ensure!(found.stands == stands && stands > 0, "{stands}: {found:?}");
    ensure!(found.stopped + found.arrived + found.came_back == stands, "{stands}: {found:?}");
    end(bed, number, StopEnd::Undo, 7).await?;
    loop {
        bed.engine.ledger.wake(bed.now(), 100, false).await?;
        let work = bed.take(50).await?;
        if work.is_empty() {
            break;
        }
        for one in work {
            bed.settle(one.row, one.attempt, delivered()).await?;
            ensure!(seen.delivered.lock().insert(one.row.id), "{} is delivered twice", one.row.id);
        }
    }
    ensure!(recorded.iter().all(|row| seen.delivered.lock().contains(&row.id)), "not all went on");
    ensure!(bed.used("acme").await? == recorded.len() as u64);
    Ok(())
}
