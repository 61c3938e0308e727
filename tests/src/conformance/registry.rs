//! What a registry guarantees.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use naru_shared::{
    catalog::Entry,
    domain::{Customer, CustomerId},
    registry::{Profile, Registry, RegistryError},
};

use super::{
    samples::{assignment, credential, customer, quota, route, signer, subscription},
    times::SOON,
};

/// A registry that knows nothing.
pub trait Fixture: Sized + Send {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn registry(&self) -> Arc<dyn Registry>;

    /// Brings documents in, as whatever follows the catalog does; `complete`: up to `version` all are here.
    fn apply(
        &self,
        entries: Vec<Entry>,
        complete: bool,
        version: u64,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! registry_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::registry,
            $fixture,
            [
                unknown_is_believed_only_of_a_complete_registry,
                what_is_known_is_answered_before_it_is_complete,
                once_complete_the_last_known_copy_rules,
                a_revoked_credential_stays_as_a_tombstone,
                a_credential_is_known_with_all_its_keys,
                a_late_change_does_not_undo_a_newer_one,
                a_profile_is_whole_in_whatever_order_its_documents_come,
                a_changed_document_changes_the_profile,
                a_channel_of_its_own_goes_before_the_route_of_all,
                routes_are_listed_by_name,
                subscribers_are_counted_until_they_end,
                weight_is_one_where_it_is_not_known,
                the_suspended_are_known_until_they_are_resumed,
                the_version_only_grows,
                whoever_waits_for_a_change_is_woken,
            ]
        );
    };
}

async fn profile(registry: &dyn Registry, id: &str) -> anyhow::Result<Arc<Profile>> {
    let found = registry.profile(&id.parse::<CustomerId>()?).await?;
    found.ok_or_else(|| anyhow::anyhow!("`{id}` is not known"))
}

async fn is_revoked(registry: &dyn Registry, id: &str) -> anyhow::Result<bool> {
    let found = registry.credential(id).await?;
    Ok(found.ok_or_else(|| anyhow::anyhow!("`{id}` is not known"))?.revoked_at.is_some())
}

/// Else it is an outage, never a refusal.
pub async fn unknown_is_believed_only_of_a_complete_registry(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let registry = fixture.registry();
    let (id, name) = ("acme".parse()?, "carrier-a".parse()?);
    assert!(!registry.is_complete());
    assert_eq!(registry.credential("acme-1").await, Err(RegistryError));
    assert_eq!(registry.profile(&id).await, Err(RegistryError));
    assert_eq!(registry.route(&name).await, Err(RegistryError));
    assert_eq!(registry.routes().await, Err(RegistryError));
    fixture.apply(Vec::new(), true, 0).await?;
    assert!(registry.is_complete());
    assert_eq!(registry.credential("acme-1").await, Ok(None));
    assert_eq!(registry.credential("no id at all").await, Ok(None));
    assert_eq!(registry.profile(&id).await, Ok(None));
    assert_eq!(registry.route(&name).await, Ok(None));
    assert_eq!(registry.routes().await, Ok(Vec::new()));
    Ok(())
}

/// A customer need not wait for the others.
pub async fn what_is_known_is_answered_before_it_is_complete(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    fixture.apply(vec![credential("acme-1", "acme", false, 1)?, customer("acme", "", 2)?], false, 2).await?;
    let registry = fixture.registry();
    assert!(!registry.is_complete());
    assert!(!is_revoked(&*registry, "acme-1").await?);
    profile(&*registry, "acme").await?;
    assert_eq!(registry.credential("acme-2").await, Err(RegistryError));
    fixture.apply(vec![route("a", 1, 3)?], false, 3).await?;
    assert!(registry.route(&"a".parse()?).await?.is_some());
    assert_eq!(registry.routes().await, Err(RegistryError), "there may be others");
    Ok(())
}

/// A page that is not the last does not take that back.
pub async fn once_complete_the_last_known_copy_rules(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    fixture.apply(vec![customer("acme", "", 1)?], true, 1).await?;
    fixture.apply(vec![customer("other", "", 2)?], false, 2).await?;
    let registry = fixture.registry();
    assert!(registry.is_complete());
    assert_eq!(registry.profile(&"none".parse()?).await, Ok(None));
    Ok(())
}

/// It is known, and known to be revoked.
pub async fn a_revoked_credential_stays_as_a_tombstone(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    fixture.apply(vec![credential("acme-1", "acme", false, 1)?], true, 1).await?;
    assert!(!is_revoked(&*fixture.registry(), "acme-1").await?);
    fixture.apply(vec![credential("acme-1", "acme", true, 2)?], true, 2).await?;
    assert!(is_revoked(&*fixture.registry(), "acme-1").await?);
    Ok(())
}

/// As they were written, public ones and sealed ones.
pub async fn a_credential_is_known_with_all_its_keys(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let written = signer("acme-1", "acme", 1)?;
    fixture.apply(vec![written.clone()], true, 1).await?;
    let known = fixture.registry().credential("acme-1").await?;
    assert_eq!(known.map(|known| Entry::Credential((*known).clone())), Some(written));
    Ok(())
}

/// For every kind of document.
pub async fn a_late_change_does_not_undo_a_newer_one(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let state = |n: u64| {
        anyhow::Ok(vec![
            credential("acme-1", "acme", n > 10, n)?,
            customer("acme", &n.to_string(), n + 1)?,
            route("carrier-a", u32::try_from(n)?, n + 2)?,
            assignment("acme", None, if n > 10 { "carrier-a" } else { "carrier-b" }, n + 3)?,
            quota("acme", None, n, n + 4)?,
            subscription("archive", n > 10, n + 5)?,
        ])
    };
    fixture.apply(state(20)?, true, 25).await?;
    fixture.apply(state(1)?, true, 25).await?;
    let registry = fixture.registry();
    assert!(is_revoked(&*registry, "acme-1").await?);
    let profile = profile(&*registry, "acme").await?;
    assert_eq!((profile.customer.title.as_str(), profile.quotas[0].limit), ("20", 20));
    assert_eq!(profile.quotas.len(), 1);
    assert_eq!(profile.route(&"sms".parse()?).map(ToString::to_string), Some("carrier-a".to_owned()));
    let route = registry.route(&"carrier-a".parse()?).await?;
    assert_eq!(route.map(|route| route.concurrency), Some(20));
    assert!(!registry.has_subscribers());
    Ok(())
}

/// Its customer may come last.
pub async fn a_profile_is_whole_in_whatever_order_its_documents_come(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    fixture.apply(vec![quota("acme", None, 10, 1)?, assignment("acme", None, "r", 2)?], false, 2).await?;
    let registry = fixture.registry();
    assert_eq!(registry.profile(&"acme".parse()?).await, Err(RegistryError));
    fixture.apply(vec![customer("acme", "t", 3)?, quota("acme", Some("sms"), 5, 4)?], true, 4).await?;
    let profile = profile(&*registry, "acme").await?;
    assert_eq!((profile.quotas.len(), profile.assignments.len()), (2, 1));
    Ok(())
}

/// The rest of it stays.
pub async fn a_changed_document_changes_the_profile(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    fixture.apply(vec![customer("acme", "old", 1)?, quota("acme", None, 1, 2)?], true, 2).await?;
    let registry = fixture.registry();
    fixture.apply(vec![quota("acme", None, 7, 3)?], true, 3).await?;
    let after = profile(&*registry, "acme").await?;
    assert_eq!((after.customer.title.as_str(), after.quotas[0].limit), ("old", 7));
    fixture.apply(vec![customer("acme", "new", 4)?], true, 4).await?;
    let after = profile(&*registry, "acme").await?;
    assert_eq!((after.customer.title.as_str(), after.quotas[0].limit), ("new", 7));
    Ok(())
}

/// And the route of all is for the others.
pub async fn a_channel_of_its_own_goes_before_the_route_of_all(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let entries = vec![
        customer("acme", "", 1)?,
        assignment("acme", None, "all", 2)?,
        assignment("acme", Some("sms"), "own", 3)?,
    ];
    fixture.apply(entries, true, 3).await?;
    let profile = profile(&*fixture.registry(), "acme").await?;
    let route = |channel: &str| anyhow::Ok(profile.route(&channel.parse()?).map(ToString::to_string));
    assert_eq!((route("sms")?.as_deref(), route("lms")?.as_deref()), (Some("own"), Some("all")));
    Ok(())
}

/// All of them.
pub async fn routes_are_listed_by_name(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    fixture.apply(vec![route("b", 1, 1)?, route("a", 1, 2)?, route("c", 1, 3)?], true, 3).await?;
    let names: Vec<_> =
        fixture.registry().routes().await?.iter().map(|route| route.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    Ok(())
}

/// The last to go switches events off.
pub async fn subscribers_are_counted_until_they_end(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let registry = fixture.registry();
    assert!(!registry.has_subscribers());
    fixture.apply(vec![subscription("a", false, 1)?, subscription("b", false, 2)?], true, 2).await?;
    assert!(registry.has_subscribers());
    fixture.apply(vec![subscription("a", true, 3)?], true, 3).await?;
    assert!(registry.has_subscribers());
    fixture.apply(vec![subscription("b", true, 4)?], true, 4).await?;
    assert!(!registry.has_subscribers());
    Ok(())
}

/// Nobody is left out because it is not known yet.
pub async fn weight_is_one_where_it_is_not_known(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    fixture.apply(vec![customer("acme", "", 1)?, quota("early", None, 1, 2)?], true, 2).await?;
    let registry = fixture.registry();
    let weights = [registry.weight(&"acme".parse()?), registry.weight(&"early".parse()?)];
    assert_eq!((weights, registry.weight(&"none".parse()?)), ([3, 1], 1));
    Ok(())
}

/// Whatever else changes of them, and however late an older document comes.
pub async fn the_suspended_are_known_until_they_are_resumed(
    fixture: &mut impl Fixture,
) -> anyhow::Result<()> {
    let registry = fixture.registry();
    let stands = |id, suspended, version| {
        let entry = customer(id, "", version)?;
        let Entry::Customer(known) = entry else { anyhow::bail!("not a customer: {entry:?}") };
        anyhow::Ok(Entry::Customer(Customer { suspended, ..known }))
    };
    let names =
        |set: Arc<BTreeSet<CustomerId>>| -> Vec<String> { set.iter().map(ToString::to_string).collect() };
    let documents = vec![stands("a", true, 1)?, stands("b", false, 2)?, stands("c", true, 3)?];
    fixture.apply(documents, true, 3).await?;
    assert_eq!(names(registry.suspended()), ["a", "c"]);
    fixture.apply(vec![quota("a", None, 1, 4)?], true, 4).await?;
    let before = registry.suspended();
    fixture.apply(vec![stands("a", false, 5)?, stands("b", true, 6)?], true, 6).await?;
    assert_eq!(names(registry.suspended()), ["b", "c"]);
    assert_eq!(names(before), ["a", "c"], "what was handed out stays");
    fixture.apply(vec![stands("a", true, 1)?], true, 6).await?;
    assert_eq!(names(registry.suspended()), ["b", "c"]);
    Ok(())
}

/// Also when an older page comes late.
pub async fn the_version_only_grows(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let registry = fixture.registry();
    for (given, expected) in [(5, 5), (3, 5), (8, 8)] {
        fixture.apply(Vec::new(), true, given).await?;
        assert_eq!(registry.version(), expected);
    }
    Ok(())
}

/// At once if it has come already.
pub async fn whoever_waits_for_a_change_is_woken(fixture: &mut impl Fixture) -> anyhow::Result<()> {
    let registry = fixture.registry();
    fixture.apply(Vec::new(), true, 5).await?;
    tokio::time::timeout(SOON, registry.changed(4)).await?;
    let early = tokio::time::timeout(Duration::from_millis(50), registry.changed(5)).await;
    assert!(early.is_err(), "nothing had changed");
    let waiting = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { tokio::time::timeout(SOON, registry.changed(5)).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let applied = Instant::now();
    fixture.apply(Vec::new(), true, 6).await?;
    waiting.await??;
    assert!(applied.elapsed() < SOON / 5);
    Ok(())
}
