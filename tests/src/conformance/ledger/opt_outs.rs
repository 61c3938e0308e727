//! Recipients who want no messages.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use naru_shared::{
    domain::{Code, Message, Next, State},
    ledger::{
        Disposition, EndedOptOuts, IntakeEntry, IntakeVerdict, OptOut, OptOutSearch, Resolution, RowRef,
        TallyRange,
    },
};

use super::bed::{Bed, retry};

/// As a person writes it; messages go to `+821012345678`.
const WRITTEN: &str = "010-1234-5678";

fn out(bed: &Bed, customer: &str, channel: &str, recipient: &str) -> anyhow::Result<OptOut> {
    let named = |name: &str| (name != "*").then(|| name.to_owned());
    Ok(OptOut {
        customer: named(customer).map(|name| name.parse()).transpose()?,
        channel: named(channel).map(|name| name.parse()).transpose()?,
        recipient: recipient.parse()?,
        since: bed.now(),
    })
}

/// A message to somebody else.
fn to(entry: IntakeEntry, recipient: &str) -> IntakeEntry {
    let mut message = Message::clone(&entry.message);
    recipient.clone_into(&mut message.content.recipient);
    IntakeEntry { message: Arc::new(message), ..entry }
}

async fn end(bed: &Bed, recipient: Option<&str>) -> anyhow::Result<EndedOptOuts> {
    let recipient = recipient.map(str::parse).transpose()?;
    Ok(bed.engine.opt_outs.end_opted_out(recipient, bed.now(), false).await?)
}

async fn waits(bed: &Bed) -> anyhow::Result<u64> {
    // What an operator's face changed is counted from the next waking on.
    bed.engine.ledger.wake(bed.now(), 10, false).await?;
    Ok(bed.engine.ledger.waiting().await?.iter().map(|one| one.messages).sum())
}

/// Whatever was decided about it; the others of its batch are recorded as ever.
pub async fn what_comes_for_who_opted_out_is_rejected_with_a_report_and_not_charged(
    bed: &Bed,
) -> anyhow::Result<()> {
    assert_eq!(bed.engine.opt_outs.opt_out(vec![out(bed, "acme", "*", WRITTEN)?]).await?, 1);
    let entries = vec![
        bed.entry("acme", Disposition::Ready)?,
        bed.entry("acme", Disposition::Start)?,
        bed.entry("acme", Disposition::Schedule)?,
        to(bed.entry("acme", Disposition::Ready)?, "+821012345679"),
        bed.entry("other", Disposition::Start)?,
    ];
    let done = bed.intake(entries).await?;
    let states: Vec<State> = done
        .verdicts
        .iter()
        .map(|verdict| match verdict {
            IntakeVerdict::Recorded(_, state) => Ok(*state),
            other => anyhow::bail!("{other:?}"),
        })
        .collect::<anyhow::Result<_>>()?;
    use State::{Ready, Rejected, Sending};
    assert_eq!(states, [Rejected, Rejected, Rejected, Ready, Sending]);
    let reports = bed.unread("acme").await?;
    assert_eq!(reports.len(), 3);
    for report in reports {
        assert_eq!((report.status, report.code, report.charged), (Rejected, Code::OptedOut, false));
        assert_eq!(report.attempts, 0);
    }
    assert_eq!((bed.used("acme").await?, bed.used("other").await?), (1, 1));
    assert_eq!(bed.take(10).await?.len(), 1);
    Ok(())
}

/// And everybody's list is of every customer.
pub async fn a_list_is_of_its_customer_and_channel_or_of_all(bed: &Bed) -> anyhow::Result<()> {
    let lists =
        [("acme", "sms", "1"), ("acme", "lms", "2"), ("*", "*", "3"), ("*", "lms", "4"), ("other", "*", "5")];
    let recipient = |last: &str| format!("+82101111000{last}");
    for (customer, channel, last) in lists {
        bed.engine.opt_outs.opt_out(vec![out(bed, customer, channel, &recipient(last))?]).await?;
    }
    for (last, reached) in [("1", false), ("2", true), ("3", false), ("4", true), ("5", true), ("6", true)] {
        let row = bed.record(to(bed.entry("acme", Disposition::Ready)?, &recipient(last))).await?;
        let expected = if reached { State::Ready } else { State::Rejected };
        assert_eq!(bed.state("acme", row).await?, expected, "{last}");
    }
    Ok(())
}

/// Once the attempt under way has ended without having been taken, it ends too.
pub async fn what_waits_for_who_opted_out_ends_and_what_is_under_way_does_not_begin_again(
    bed: &Bed,
) -> anyhow::Result<()> {
    let sending = bed.start("acme").await?;
    let retrying = bed.start("acme").await?;
    bed.settle(retrying, 1, retry(bed, Duration::from_secs(1), false)).await?;
    let ready = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let mut later = bed.entry("acme", Disposition::Schedule)?;
    let mut message = Message::clone(&later.message);
    message.content.send_at = Some(bed.now().plus(Duration::from_secs(60)));
    later.message = Arc::new(message);
    let scheduled = bed.record(later).await?;
    let others = bed.record(to(bed.entry("acme", Disposition::Ready)?, "+821012345679")).await?;
    assert_eq!(waits(bed).await?, 4);
    bed.engine.opt_outs.opt_out(vec![out(bed, "*", "*", WRITTEN)?]).await?;
    let ended = end(bed, Some(WRITTEN)).await?;
    assert_eq!(ended, EndedOptOuts { rejected: 3, uncertain: 0, in_flight: 1 });
    for row in [retrying, ready, scheduled] {
        let view = bed.view("acme", row).await?;
        assert_eq!((view.status, view.code), (State::Rejected, Some(Code::OptedOut)));
    }
    assert_eq!(waits(bed).await?, 1);
    assert_eq!(end(bed, None).await?, EndedOptOuts { in_flight: 1, ..EndedOptOuts::default() });
    bed.settle(sending, 1, retry(bed, Duration::from_secs(1), false)).await?;
    bed.pass(Duration::from_secs(2));
    bed.engine.ledger.wake(bed.now(), 10, false).await?;
    assert_eq!(bed.view("acme", sending).await?.code, Some(Code::OptedOut));
    let taken = bed.take(10).await?;
    assert_eq!(taken.iter().map(|work| work.row.id).collect::<Vec<_>>(), [others.id]);
    assert_eq!(bed.used("acme").await?, 1);
    assert_eq!(bed.unread("acme").await?.len(), 4);
    assert_eq!(end(bed, None).await?, EndedOptOuts::default());
    Ok(())
}

/// It may have been sent: it is not told that it was refused.
pub async fn doubt_about_who_opted_out_ends_as_uncertain(bed: &Bed) -> anyhow::Result<()> {
    let first = bed.start("acme").await?;
    bed.settle(first, 1, retry(bed, Duration::from_secs(1), true)).await?;
    let second = bed.start("acme").await?;
    bed.engine.opt_outs.opt_out(vec![out(bed, "acme", "sms", WRITTEN)?]).await?;
    assert_eq!(end(bed, Some(WRITTEN)).await?, EndedOptOuts { rejected: 0, uncertain: 1, in_flight: 1 });
    bed.settle(second, 1, retry(bed, Duration::from_secs(1), true)).await?;
    bed.pass(Duration::from_secs(2));
    bed.engine.ledger.wake(bed.now(), 10, false).await?;
    for row in [first, second] {
        let view = bed.view("acme", row).await?;
        assert_eq!((view.status, view.code), (State::Failed, Some(Code::Uncertain)));
        assert!(view.detail.is_some_and(|detail| detail.contains("opted out")));
    }
    assert!(bed.take(10).await?.is_empty());
    Ok(())
}

/// Nor by a decision about what waited for it.
pub async fn a_person_s_retry_does_not_reach_who_opted_out(bed: &Bed) -> anyhow::Result<()> {
    let row = bed.start("acme").await?;
    bed.settle(row, 1, Next::Held { detail: "cut".to_owned() }).await?;
    bed.engine.opt_outs.opt_out(vec![out(bed, "acme", "*", WRITTEN)?]).await?;
    assert_eq!(end(bed, None).await?, EndedOptOuts::default(), "a person decides");
    let decided = bed.engine.desk.resolve(vec![row.id], Resolution::Retry, bed.now(), false).await?;
    assert_eq!(decided, [row.id]);
    let view = bed.view("acme", row).await?;
    assert_eq!((view.status, view.code), (State::Failed, Some(Code::Uncertain)));
    assert!(bed.take(10).await?.is_empty());
    Ok(())
}

/// What was taken and never begun counts as under way until then.
pub async fn what_is_given_back_does_not_reach_who_opted_out(bed: &Bed) -> anyhow::Result<()> {
    let row = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    let taken = bed.take(10).await?;
    assert_eq!(taken.len(), 1);
    bed.engine.opt_outs.opt_out(vec![out(bed, "acme", "*", WRITTEN)?]).await?;
    assert_eq!(end(bed, None).await?.in_flight, 1);
    bed.engine.ledger.give_back(vec![(row, 1)]).await?;
    assert!(bed.take(10).await?.is_empty(), "it is not ready");
    bed.engine.ledger.wake(bed.now(), 10, false).await?;
    let view = bed.view("acme", row).await?;
    assert_eq!((view.status, view.code, view.attempts), (State::Rejected, Some(Code::OptedOut), 0));
    Ok(())
}

/// However they meet: once both have ended, nothing is left that could begin.
pub async fn an_intake_under_way_knows_of_whoever_opted_out_before_it_ended(bed: &Bed) -> anyhow::Result<()> {
    for round in 0..25_u32 {
        let recipient = format!("+8210{:08}", 20_000_000 + round);
        let mut entries = Vec::new();
        for number in 0..40_u32 {
            let whom =
                if number % 8 == 0 { recipient.clone() } else { format!("+8210{:08}", 30_000_000 + number) };
            entries.push(to(bed.entry("acme", Disposition::Ready)?, &whom));
        }
        let batch = bed.batch(entries);
        let ledger = Arc::clone(&bed.engine.ledger);
        let intake = tokio::spawn(async move { ledger.intake(batch).await });
        tokio::time::sleep(Duration::from_micros(u64::from(round) * 150)).await;
        bed.engine.opt_outs.opt_out(vec![out(bed, "acme", "*", &recipient)?]).await?;
        end(bed, Some(&recipient)).await?;
        let done = intake.await??;
        let theirs: Vec<RowRef> = done
            .verdicts
            .iter()
            .step_by(8)
            .filter_map(|verdict| match verdict {
                IntakeVerdict::Recorded(row, _) => Some(*row),
                _ => None,
            })
            .collect();
        assert_eq!(theirs.len(), 5);
        for row in theirs {
            assert_eq!(bed.state("acme", row).await?, State::Rejected, "round {round}");
        }
    }
    assert_eq!(waits(bed).await?, 25 * 35);
    Ok(())
}

/// What was rejected stays so.
pub async fn whoever_opts_in_again_is_reached(bed: &Bed) -> anyhow::Result<()> {
    let lists = &bed.engine.opt_outs;
    let entry = out(bed, "acme", "*", WRITTEN)?;
    assert_eq!(lists.opt_out(vec![entry.clone(), entry.clone()]).await?, 1);
    assert_eq!(lists.opt_out(vec![entry.clone()]).await?, 0);
    let before = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    assert_eq!(lists.opt_in(vec![out(bed, "acme", "sms", WRITTEN)?]).await?, 0, "another list");
    assert_eq!(lists.opt_in(vec![entry.clone()]).await?, 1);
    assert_eq!(lists.opt_in(vec![entry]).await?, 0);
    let after = bed.record(bed.entry("acme", Disposition::Ready)?).await?;
    assert_eq!(bed.state("acme", before).await?, State::Rejected);
    assert_eq!(bed.state("acme", after).await?, State::Ready);
    Ok(())
}

/// A recipient is found on every list.
pub async fn lists_are_read_in_order_and_from_where_one_ended(bed: &Bed) -> anyhow::Result<()> {
    let lists = &bed.engine.opt_outs;
    let mut all = Vec::new();
    for number in (0..25).rev() {
        all.push(out(bed, "acme", "*", &format!("+82101111{number:04}"))?);
        all.push(out(bed, "acme", "sms", &format!("+82101111{number:04}"))?);
    }
    all.push(out(bed, "*", "sms", "+821011110007")?);
    all.push(out(bed, "other", "*", "+821011119999")?);
    assert_eq!(lists.opt_out(all.clone()).await?, 52);
    let mut read: Vec<OptOut> = Vec::new();
    loop {
        let search = OptOutSearch::List(Some("acme".parse()?), read.last().cloned());
        let page = lists.opted_out(search, 7).await?;
        ensure!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    let acme = Some("acme".parse()?);
    let mut expected: Vec<OptOut> = all.iter().filter(|entry| entry.customer == acme).cloned().collect();
    expected.sort_by_key(|entry| (entry.recipient.clone(), entry.channel.is_some()));
    assert_eq!(read, expected);
    assert_eq!(lists.opted_out(OptOutSearch::List(None, None), 7).await?.len(), 1);
    let found = lists.opted_out(OptOutSearch::Recipient("010-1111-0007".parse()?), 7).await?;
    assert_eq!(found.len(), 3);
    assert_eq!(found.first().context("none")?.customer, None);
    Ok(())
}

/// Whatever its route says later.
pub async fn the_class_of_prices_stays_with_a_message(bed: &Bed) -> anyhow::Result<()> {
    let entry = IntakeEntry { class: Some("ad".parse()?), ..bed.entry("acme", Disposition::Start)? };
    let (ad, plain) = (bed.record(entry).await?, bed.start("acme").await?);
    bed.settle(ad, 1, super::bed::delivered()).await?;
    let class = async |row: RowRef| {
        let dossier = bed.engine.desk.dossier(row.id).await?.context("it is not there")?;
        anyhow::Ok(dossier.class)
    };
    assert_eq!(class(ad).await?.as_deref(), Some("ad"));
    assert_eq!(class(plain).await?, None);
    // Both are counted, each with its own.
    bed.pass(Duration::from_secs(1));
    let range = TallyRange { from: bed.now().minus(Duration::from_secs(86_400)), until: bed.now() };
    let (mut counted, mut from) = (BTreeMap::<_, (u64, u64)>::new(), None);
    loop {
        let page = bed.engine.desk.tally(range, from).await?;
        for cell in page.cells {
            let sum = counted.entry(cell.class).or_default();
            sum.0 += cell.tally.submitted;
            sum.1 += cell.tally.units_captured;
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(counted, BTreeMap::from([(Some("ad".to_owned()), (1, 1)), (None, (1, 0))]));
    Ok(())
}
