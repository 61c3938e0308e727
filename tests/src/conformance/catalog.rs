//! What a catalog guarantees.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use naru_shared::{
    catalog::{Actor, Catalog, CatalogError, Entry, Kind},
    domain::{CredentialKind, SecretHash},
};

use super::samples::{assignment, credential, customer, quota, route, signer, subscription, webhook};

/// An engine with nothing in it.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn catalog(&self) -> Arc<dyn Catalog>;

    /// The same catalog as another process has it open.
    fn other(&self) -> impl Future<Output = anyhow::Result<Arc<dyn Catalog>>> + Send;

    /// As after a crash of every process involved.
    fn restart(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! catalog_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::catalog,
            $fixture,
            [
                an_empty_catalog_has_version_zero_and_no_changes,
                every_kind_of_document_reads_back_as_it_was_put,
                a_document_carries_the_version_it_was_written_at,
                a_stale_version_is_a_conflict_and_changes_nothing,
                a_new_document_that_exists_is_a_conflict,
                a_conflict_in_one_leaves_all_as_they_were,
                a_document_twice_in_one_call_is_a_conflict,
                of_many_at_once_with_the_same_version_one_wins,
                changes_come_in_order_and_complete,
                a_changed_document_moves_to_the_end_of_the_feed,
                a_list_goes_by_key_page_by_page,
                documents_of_every_kind_are_in_one_order_of_changes,
                what_another_process_changes_is_seen,
                what_was_put_survives_a_restart,
                acts_are_written_with_their_change_only_while_somebody_listens,
                an_act_says_who_did_what_and_holds_no_secret,
                acts_are_claimed_by_lease_and_forgotten_once_published,
            ]
        );
    };
}

async fn get(catalog: &dyn Catalog, kind: Kind, key: &str) -> anyhow::Result<Entry> {
    let found = catalog.get(kind, key).await?;
    found.ok_or_else(|| anyhow::anyhow!("{} `{key}` is not there", kind.as_str()))
}

fn is_conflict(result: &Result<u64, CatalogError>, wanted: &str) -> bool {
    matches!(result, Err(CatalogError::Conflict { key, .. }) if key == wanted)
}

async fn feed(catalog: &dyn Catalog, page: usize) -> anyhow::Result<Vec<(u64, String)>> {
    let (mut all, mut since) = (Vec::new(), 0);
    loop {
        let changes = catalog.changes(since, page).await?;
        assert!(changes.len() <= page);
        let last = changes.len() < page;
        since = changes.last().map_or(since, Entry::version);
        all.extend(changes.into_iter().map(|entry| (entry.version(), entry.key())));
        if last {
            return Ok(all);
        }
    }
}

/// And no documents.
pub async fn an_empty_catalog_has_version_zero_and_no_changes(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    assert_eq!(catalog.version().await?, 0);
    assert!(catalog.changes(0, 10).await?.is_empty());
    assert!(catalog.get(Kind::Route, "a").await?.is_none());
    assert!(catalog.list(Kind::Customer, "", "", 10).await?.is_empty());
    Ok(())
}

/// Every field of it.
pub async fn every_kind_of_document_reads_back_as_it_was_put(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    let documents = [
        customer("acme", "Acme \"안녕\" \u{0}", 0)?,
        credential("acme-1", "acme", true, 0)?,
        signer("acme-2", "acme", 0)?,
        route("carrier-a", 8, 0)?,
        assignment("acme", Some("sms"), "carrier-a", 0)?,
        assignment("acme", None, "carrier-a", 0)?,
        quota("acme", None, u64::from(u32::MAX), 0)?,
        subscription("archive", false, 0)?,
        webhook("acme", "main", 0)?,
    ];
    catalog.put(documents.to_vec()).await?;
    for document in documents {
        let found = get(&*catalog, document.kind(), &document.key()).await?;
        assert_eq!(found.at_version(0), document);
    }
    Ok(())
}

/// The last of them is what `put` and `version` say.
pub async fn a_document_carries_the_version_it_was_written_at(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    let last = catalog.put(vec![route("a", 1, 0)?, route("b", 1, 0)?]).await?;
    assert_eq!(catalog.version().await?, last);
    let (a, b) = (get(&*catalog, Kind::Route, "a").await?, get(&*catalog, Kind::Route, "b").await?);
    assert!(0 < a.version() && a.version() < b.version());
    assert_eq!(b.version(), last);
    Ok(())
}

/// Whoever has not read the last change cannot undo it unseen.
pub async fn a_stale_version_is_a_conflict_and_changes_nothing(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    let first = catalog.put(vec![route("a", 1, 0)?]).await?;
    let second = catalog.put(vec![route("a", 2, first)?]).await?;
    assert!(is_conflict(&catalog.put(vec![route("a", 3, first)?]).await, "a"));
    assert!(is_conflict(&catalog.put(vec![route("a", 3, second + 1)?]).await, "a"));
    assert!(is_conflict(&catalog.put(vec![route("none", 3, second)?]).await, "none"));
    assert_eq!(get(&*catalog, Kind::Route, "a").await?, route("a", 2, second)?);
    assert_eq!(catalog.version().await?, second);
    Ok(())
}

/// Version 0 says "new".
pub async fn a_new_document_that_exists_is_a_conflict(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    catalog.put(vec![customer("acme", "first", 0)?]).await?;
    let again = catalog.put(vec![customer("acme", "second", 0)?]).await;
    assert!(is_conflict(&again, "acme"));
    Ok(())
}

/// All or none.
pub async fn a_conflict_in_one_leaves_all_as_they_were(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    let version = catalog.put(vec![route("b", 1, 0)?]).await?;
    let together = vec![route("a", 1, 0)?, route("b", 2, 0)?, route("c", 1, 0)?];
    assert!(is_conflict(&catalog.put(together).await, "b"));
    assert_eq!(catalog.version().await?, version);
    assert_eq!(feed(&*catalog, 10).await?.len(), 1);
    Ok(())
}

/// Which of the two were meant cannot be known.
pub async fn a_document_twice_in_one_call_is_a_conflict(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    assert!(is_conflict(&catalog.put(vec![route("a", 1, 0)?, route("a", 2, 0)?]).await, "a"));
    assert_eq!(catalog.version().await?, 0);
    Ok(())
}

/// The others are told.
pub async fn of_many_at_once_with_the_same_version_one_wins(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let catalogs = [fixture.catalog(), fixture.other().await?];
    let version = catalogs[0].put(vec![route("a", 1, 0)?]).await?;
    let puts = (0..40_u32).map(|i| {
        let catalog = Arc::clone(&catalogs[i as usize % 2]);
        tokio::spawn(async move { anyhow::Ok(catalog.put(vec![route("a", 100 + i, version)?]).await) })
    });
    let mut won = 0;
    for put in join_all(puts.collect::<Vec<_>>()).await {
        match put?? {
            Ok(_) => won += 1,
            Err(CatalogError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    assert_eq!(won, 1);
    Ok(())
}

/// Whatever the page.
pub async fn changes_come_in_order_and_complete(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    let puts = (0..30).map(|i| {
        let catalog = Arc::clone(&catalog);
        tokio::spawn(async move {
            let entries =
                (0..3).map(|j| customer(&format!("c{i}-{j}"), "", 0)).collect::<anyhow::Result<_>>()?;
            anyhow::Ok(catalog.put(entries).await?)
        })
    });
    for put in join_all(puts.collect::<Vec<_>>()).await {
        put??;
    }
    for page in [1, 7, 90, 1_000] {
        let all = feed(&*catalog, page).await?;
        assert_eq!(all.len(), 90);
        assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "strictly growing versions");
        assert_eq!(all.last().map(|(version, _)| *version), Some(catalog.version().await?));
    }
    Ok(())
}

/// And is in it once.
pub async fn a_changed_document_moves_to_the_end_of_the_feed(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    catalog.put(vec![route("a", 1, 0)?, route("b", 1, 0)?]).await?;
    let a = get(&*catalog, Kind::Route, "a").await?;
    let version = catalog.put(vec![a]).await?;
    let keys: Vec<_> = feed(&*catalog, 10).await?.into_iter().map(|(_, key)| key).collect();
    assert_eq!(keys, ["b", "a"]);
    assert!(catalog.changes(version, 10).await?.is_empty());
    Ok(())
}

/// Wherever an engine keeps them.
pub async fn documents_of_every_kind_are_in_one_order_of_changes(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    catalog.put(vec![webhook("acme", "a", 0)?, route("r", 1, 0)?, webhook("acme", "b", 0)?]).await?;
    let a = get(&*catalog, Kind::Webhook, "acme/a").await?;
    assert!(is_conflict(&catalog.put(vec![route("s", 1, 0)?, webhook("acme", "a", 0)?]).await, "acme/a"));
    let version = catalog.put(vec![a, subscription("s", false, 0)?]).await?;
    for page in [1, 2, 10] {
        let all = feed(&*catalog, page).await?;
        let keys: Vec<&str> = all.iter().map(|(_, key)| key.as_str()).collect();
        assert_eq!(keys, ["r", "acme/b", "acme/a", "s"]);
        assert_eq!(all.last().map(|(version, _)| *version), Some(version));
    }
    let webhooks = catalog.list(Kind::Webhook, "acme/", "", 10).await?;
    assert_eq!(webhooks.iter().map(Entry::key).collect::<Vec<_>>(), ["acme/a", "acme/b"]);
    Ok(())
}

/// Of one kind, with one beginning.
pub async fn a_list_goes_by_key_page_by_page(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    let mut documents = vec![customer("acme", "", 0)?, route("acme", 1, 0)?];
    for (customer, channel) in
        [("acme", Some("sms")), ("acme", None), ("acme", Some("lms")), ("acme-2", None)]
    {
        documents.push(quota(customer, channel, 1, 0)?);
    }
    catalog.put(documents).await?;
    let keys = |page: Vec<Entry>| page.iter().map(Entry::key).collect::<Vec<_>>();
    let of_acme = catalog.list(Kind::Quota, "acme/", "", 10).await?;
    assert_eq!(keys(of_acme), ["acme/*", "acme/lms", "acme/sms"]);
    let first = keys(catalog.list(Kind::Quota, "", "", 2).await?);
    assert_eq!(first, ["acme-2/*", "acme/*"]);
    let rest = catalog.list(Kind::Quota, "", &first[1], 10).await?;
    assert_eq!(keys(rest), ["acme/lms", "acme/sms"]);
    assert_eq!(keys(catalog.list(Kind::Customer, "", "", 10).await?), ["acme"]);
    Ok(())
}

/// At once.
pub async fn what_another_process_changes_is_seen(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let (catalog, other) = (fixture.catalog(), fixture.other().await?);
    for round in 0..20 {
        let before = catalog.version().await?;
        let version = other.put(vec![route(&format!("r{round}"), 1, 0)?]).await?;
        assert_eq!(catalog.version().await?, version);
        assert_eq!(catalog.changes(before, 10).await?.len(), 1);
    }
    Ok(())
}

/// The version as well.
pub async fn what_was_put_survives_a_restart(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let version = fixture.catalog().put(vec![route("a", 5, 0)?]).await?;
    fixture.restart().await?;
    assert_eq!(fixture.catalog().version().await?, version);
    assert_eq!(get(&*fixture.catalog(), Kind::Route, "a").await?, route("a", 5, version)?);
    Ok(())
}

/// How long a claim lasts in these tests.
const LEASE: Duration = Duration::from_millis(300);

/// The subscription that begins to listen sees its own beginning; a change that was refused, and one that nobody listens to,
/// leave nothing.
pub async fn acts_are_written_with_their_change_only_while_somebody_listens(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    let first = catalog.put(vec![route("a", 1, 0)?]).await?;
    assert!(catalog.claim_acts(10, LEASE).await?.rows.is_empty(), "nobody listens");
    let listening = catalog.put(vec![subscription("archive", false, 0)?]).await?;
    let second = catalog.put(vec![route("a", 2, first)?, route("b", 1, 0)?]).await?;
    assert!(is_conflict(&catalog.put(vec![route("c", 1, 0)?, route("a", 3, first)?]).await, "a"));
    let rows = catalog.claim_acts(10, LEASE).await?.rows;
    let told: Vec<_> = rows.iter().map(|row| (row.event.kind.as_str(), row.event.sequence)).collect();
    let version = |version: u64| u32::try_from(version).unwrap_or_default();
    let expected = [
        ("naru.subscription.created", version(listening)),
        ("naru.route.changed", version(second) - 1),
        ("naru.route.created", version(second)),
    ];
    assert_eq!(told, expected);
    catalog.published_acts(rows.into_iter().map(|row| row.row).collect()).await?;
    catalog.put(vec![subscription("archive", true, listening)?]).await?;
    catalog.put(vec![route("d", 1, 0)?]).await?;
    assert!(catalog.claim_acts(10, LEASE).await?.rows.is_empty(), "nobody listens any more");
    Ok(())
}

/// Every kind of document.
pub async fn an_act_says_who_did_what_and_holds_no_secret(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let catalog = fixture.catalog();
    catalog.put(vec![subscription("archive", false, 0)?]).await?;
    let mut credential = credential("acme-live", "acme", false, 0)?;
    if let Entry::Credential(credential) = &mut credential {
        credential.kind = CredentialKind::Basic { secret: SecretHash([0xab; 32]), password: None };
    }
    let documents = vec![
        customer("acme", "Acme", 0)?,
        credential,
        signer("acme-tokens", "acme", 0)?,
        route("a", 1, 0)?,
        assignment("acme", None, "a", 0)?,
        webhook("acme", "main", 0)?,
        quota("acme", None, 100, 0)?,
    ];
    catalog.put_as(&Actor::operator("kim"), documents.clone()).await?;
    let rows = catalog.claim_acts(10, LEASE).await?.rows;
    assert_eq!(rows.len(), 1 + documents.len());
    assert_eq!(rows[0].event.data["actor"]["kind"], "process");
    for (row, document) in rows[1..].iter().zip(&documents) {
        let kind = document.kind().as_str();
        assert_eq!(row.event.kind, format!("naru.{kind}.created"));
        assert_eq!(row.event.subject, format!("catalog/{kind}/{}", document.key()));
        assert_eq!(
            (&row.event.data["actor"]["name"], &row.event.data["key"]),
            (&"kim".into(), &document.key().into())
        );
        let text = serde_json::to_string(&row.event)?;
        let secrets = ["secret", "171,171", "c2VhbGVk"];
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }
    Ok(())
}

/// By whichever process; one that died leaves them to the next.
pub async fn acts_are_claimed_by_lease_and_forgotten_once_published(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let (catalog, other) = (fixture.catalog(), fixture.other().await?);
    catalog.put(vec![subscription("archive", false, 0)?, route("a", 1, 0)?, route("b", 1, 0)?]).await?;
    let long = Duration::from_secs(30);
    let mine = other.claim_acts(2, long).await?;
    assert_eq!((mine.rows.len(), mine.left), (2, 1));
    let theirs = catalog.claim_acts(10, LEASE).await?;
    assert_eq!((theirs.rows.len(), theirs.left), (1, 2), "what is claimed is not claimed again");
    other.published_acts(mine.rows.iter().map(|row| row.row).collect()).await?;
    other.published_acts(mine.rows.iter().map(|row| row.row).collect()).await?;
    let none = catalog.claim_acts(10, LEASE).await?;
    assert_eq!((none.rows.len(), none.left), (0, 1));
    fixture.restart().await?;
    tokio::time::sleep(LEASE + Duration::from_millis(50)).await;
    let again = fixture.catalog().claim_acts(10, LEASE).await?;
    assert_eq!(again.rows.len(), 1, "what was not published comes again");
    assert_eq!((&again.rows[0].event, again.left), (&theirs.rows[0].event, 0));
    Ok(())
}
