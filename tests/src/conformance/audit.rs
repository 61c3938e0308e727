//! What a record of acts guarantees.

use std::sync::Arc;

use futures_util::future::join_all;
use naru_shared::{
    audit::{Act, Audit, AuditKey, Link, Record, Verifier},
    keys::Secret,
};
use serde_json::json;

/// A store with nothing in it, and its record.
pub trait Fixture: Sized + Send + Sync {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port, over a store whose acts are recorded under [`key`].
    fn audit(&self) -> Arc<dyn Audit>;

    /// The same as another process has it open.
    fn other(&self) -> impl Future<Output = anyhow::Result<Arc<dyn Audit>>> + Send;

    /// Does something to the store that is an act.
    fn act(&self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Tries to, and is refused or changes nothing.
    fn nothing(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! audit_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::audit,
            $fixture,
            [
                a_new_record_has_neither_head_nor_links,
                what_is_appended_verifies_and_reads_back,
                a_store_s_own_act_is_recorded_with_it_and_what_was_refused_is_not,
                many_processes_at_once_make_one_chain_without_a_gap,
                another_process_goes_on_where_the_first_ended,
                links_come_page_by_page,
                another_key_verifies_nothing,
            ]
        );
    };
}

/// The key under which fixtures record.
#[must_use]
pub fn key() -> AuditKey {
    AuditKey::new(&Secret::new([9; 32]))
}

fn act(number: usize) -> Act {
    Act::new("naru.customer.changed", &format!("catalog/customer/c{number}"), json!({ "number": number }))
}

async fn all(audit: &dyn Audit) -> anyhow::Result<Vec<Link>> {
    Ok(audit.links(i64::MIN, 10_000).await?)
}

/// Every record, once the chain is verified from its first link to its head.
async fn verified(audit: &dyn Audit) -> anyhow::Result<Vec<Record>> {
    let (key, links) = (key(), all(audit).await?);
    let mut verifier = Verifier::new(&key, audit.chain(), &[]);
    let records = links.iter().map(|link| verifier.take(link)).collect::<Result<Vec<_>, _>>()?;
    let (head, end) = (audit.head().await?, verifier.end()?);
    assert_eq!(head.as_ref().map(|head| &head.hash), end.head.as_ref());
    assert_eq!(head.map_or(0, |head| head.sequence), end.records);
    Ok(records)
}

/// Nothing is made up.
///
/// # Errors
/// If the engine fails.
pub async fn a_new_record_has_neither_head_nor_links(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let audit = fixture.audit();
    assert_eq!(audit.head().await?, None);
    assert!(all(audit.as_ref()).await?.is_empty());
    audit.append(Vec::new()).await?;
    assert_eq!(audit.head().await?, None);
    Ok(())
}

/// In the order in which it was appended, with who did it.
///
/// # Errors
/// If the engine fails.
pub async fn what_is_appended_verifies_and_reads_back(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let audit = fixture.audit();
    audit.append(vec![act(1), act(2)]).await?;
    audit.append(vec![act(3)]).await?;
    let records = verified(audit.as_ref()).await?;
    let targets: Vec<&str> = records.iter().map(|record| record.target.as_str()).collect();
    assert_eq!(targets, ["catalog/customer/c1", "catalog/customer/c2", "catalog/customer/c3"]);
    assert_eq!((records[0].what.as_str(), records[0].who()), ("customer.changed", "kim"));
    assert_eq!(records[2].detail, json!({ "number": 3 }));
    Ok(())
}

/// The record and what it tells of are there together, or neither is.
///
/// # Errors
/// If the engine fails.
pub async fn a_store_s_own_act_is_recorded_with_it_and_what_was_refused_is_not(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    fixture.nothing().await?;
    assert_eq!(fixture.audit().head().await?, None);
    fixture.act().await?;
    fixture.act().await?;
    let records = verified(fixture.audit().as_ref()).await?;
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record.who() == "kim"), "{records:?}");
    Ok(())
}

/// One chain, whoever writes to it.
///
/// # Errors
/// If the engine fails.
pub async fn many_processes_at_once_make_one_chain_without_a_gap(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    const EACH: usize = 8;
    let mut processes = vec![fixture.audit()];
    for _ in 0..3 {
        processes.push(fixture.other().await?);
    }
    let appends = processes.iter().enumerate().map(|(process, audit)| async move {
        for number in 0..EACH {
            audit.append(vec![act(process * 100 + number), act(process * 100 + number)]).await?;
        }
        anyhow::Ok(())
    });
    let acts = async {
        for _ in 0..EACH {
            fixture.act().await?;
        }
        anyhow::Ok(())
    };
    let (appended, acted) = tokio::join!(join_all(appends), acts);
    acted?;
    appended.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
    assert_eq!(verified(fixture.audit().as_ref()).await?.len(), processes.len() * EACH * 2 + EACH);
    Ok(())
}

/// Nothing is kept in memory.
///
/// # Errors
/// If the engine fails.
pub async fn another_process_goes_on_where_the_first_ended(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    fixture.audit().append(vec![act(1)]).await?;
    let other = fixture.other().await?;
    other.append(vec![act(2)]).await?;
    fixture.audit().append(vec![act(3)]).await?;
    assert_eq!(verified(other.as_ref()).await?.len(), 3);
    Ok(())
}

/// By number, none twice.
///
/// # Errors
/// If the engine fails.
pub async fn links_come_page_by_page(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let audit = fixture.audit();
    audit.append((0..5).map(act).collect()).await?;
    let (mut after, mut seen) = (i64::MIN, Vec::new());
    loop {
        let page = audit.links(after, 2).await?;
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = last.sequence;
        seen.extend(page.iter().map(|link| link.sequence));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    Ok(())
}

/// Whoever lacks the key makes no link that is believed.
///
/// # Errors
/// If the engine fails.
pub async fn another_key_verifies_nothing(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let audit = fixture.audit();
    audit.append(vec![act(1)]).await?;
    let other = AuditKey::new(&Secret::new([8; 32]));
    let link = all(audit.as_ref()).await?.remove(0);
    let broken = Verifier::new(&other, audit.chain(), &[]).take(&link).err();
    assert_eq!(broken.map(|broken| broken.row), Some(1));
    Ok(())
}
