//! What is guaranteed of counts of denials.

use std::{sync::Arc, time::Duration};

use naru_shared::{
    denials::{Counted, DenialSearch, Denials, Denied, DeniedMinute},
    domain::Timestamp,
};

/// An engine with nothing in it.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn denials(&self) -> Arc<dyn Denials>;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! denials_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::denials,
            $fixture,
            [
                counts_of_all_processes_are_summed_by_minute,
                what_is_added_again_counts_once,
                a_search_holds_every_word_of_it,
                what_is_old_goes_and_beyond_the_bound_the_oldest,
            ]
        );
    };
}

const MINUTE: Duration = Duration::from_secs(60);

fn at(minute: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_040_000).plus(MINUTE * minute)
}

fn denied(customer: &str, code: &str, times: u64) -> Denied {
    Denied { customer: customer.to_owned(), code: code.to_owned(), times }
}

fn counted(minute: u32, process: &str, denied: Vec<Denied>) -> Counted {
    Counted { at: at(minute).plus(Duration::from_secs(7)), process: process.to_owned(), denied }
}

async fn found(denials: &dyn Denials, search: DenialSearch) -> anyhow::Result<Vec<(Timestamp, Denied)>> {
    let found: Vec<DeniedMinute> = denials.denied(search, 1_000).await?;
    Ok(found.into_iter().map(|row| (row.minute, row.denied)).collect())
}

/// An operator asks how many there were, not which process saw them.
///
/// # Errors
/// If the engine fails.
pub async fn counts_of_all_processes_are_summed_by_minute(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let book = fixture.denials();
    let of_acme = |times| denied("acme", "rate-limited", times);
    book.add(counted(1, "a", vec![of_acme(3), denied("(unknown)", "unauthorized", 1)])).await?;
    book.add(counted(1, "b", vec![of_acme(4)])).await?;
    book.add(counted(2, "a", vec![of_acme(1)])).await?;
    book.add(counted(3, "a", Vec::new())).await?;
    let all = found(book.as_ref(), DenialSearch::default()).await?;
    let expected =
        vec![(at(2), of_acme(1)), (at(1), of_acme(7)), (at(1), denied("(unknown)", "unauthorized", 1))];
    assert_eq!(all, expected);
    assert_eq!(book.denied(DenialSearch::default(), 1).await?.len(), 1);
    Ok(())
}

/// Whoever does not know whether it was kept repeats it.
///
/// # Errors
/// If the engine fails.
pub async fn what_is_added_again_counts_once(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let book = fixture.denials();
    let once = counted(1, "a", vec![denied("acme", "suspended", 5)]);
    book.add(once.clone()).await?;
    book.add(once).await?;
    assert_eq!(
        found(book.as_ref(), DenialSearch::default()).await?,
        [(at(1), denied("acme", "suspended", 5))]
    );
    Ok(())
}

/// All that is given must hold.
///
/// # Errors
/// If the engine fails.
pub async fn a_search_holds_every_word_of_it(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let book = fixture.denials();
    for minute in 1..=3 {
        let both = vec![denied("acme", "suspended", 1), denied("(unknown)", "unauthorized", 2)];
        book.add(counted(minute, "a", both)).await?;
    }
    let search = |customer: Option<&str>, code: Option<&str>, since| DenialSearch {
        customer: customer.map(str::to_owned),
        code: code.map(str::to_owned),
        since,
    };
    for (search, rows) in [
        (search(Some("acme"), None, None), 3),
        (search(None, Some("unauthorized"), None), 3),
        (search(Some("acme"), Some("unauthorized"), None), 0),
        (search(None, None, Some(at(3))), 2),
        (search(Some("(unknown)"), Some("unauthorized"), Some(at(2))), 2),
    ] {
        assert_eq!(found(book.as_ref(), search.clone()).await?.len(), rows, "{search:?}");
    }
    Ok(())
}

/// The table is bounded in time and in rows.
///
/// # Errors
/// If the engine fails.
pub async fn what_is_old_goes_and_beyond_the_bound_the_oldest(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let book = fixture.denials();
    for minute in 0..10 {
        book.add(counted(minute, "a", vec![denied("acme", "suspended", u64::from(minute) + 1)])).await?;
    }
    assert!(!book.forget_denied(at(3), 100).await?);
    let minutes = |all: Vec<(Timestamp, Denied)>| all.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    let left = minutes(found(book.as_ref(), DenialSearch::default()).await?);
    assert_eq!(left, (3..10).rev().map(at).collect::<Vec<_>>());
    assert!(!book.forget_denied(at(0), 2).await?);
    let left = minutes(found(book.as_ref(), DenialSearch::default()).await?);
    assert_eq!(left, [at(9), at(8)]);
    Ok(())
}
