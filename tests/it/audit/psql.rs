//! The same in PostgreSQL, by `psql`.

use std::sync::Arc;

use naru_shared::{
    audit::{Anchor, AnchorKind, Audit, Broken, Scribe, Verifier},
    catalog::{Actor, Catalog, Entry, PostgresCatalog, Subscription},
    domain::Timestamp,
    postgres::{PostgresSettings, migrate},
};
use naru_tests::conformance::audit::key;

use crate::{
    postgres::{database, psql, runtime},
    stage::beside_others,
};

/// A catalog in which five things were done, its record, and its anchored head.
async fn acted() -> anyhow::Result<(PostgresSettings, Arc<dyn Audit>, Anchor)> {
    let settings = database().await?;
    let scribe = Scribe::new(key(), Actor::operator("kim"));
    let open = || PostgresCatalog::open("test", &settings, runtime());
    let catalog = open()?.recorded_by(scribe.clone());
    for number in 0..5 {
        let name = format!("s{number}").parse()?;
        let entry = Subscription { name, ended: false, outside: false, version: 0 };
        catalog.put_as(&Actor::operator("kim"), vec![Entry::Subscription(entry)]).await?;
    }
    let audit: Arc<dyn Audit> = Arc::new(open()?.audit(scribe));
    let head = audit.head().await?.unwrap();
    let anchor = Anchor::new(&key(), AnchorKind::Head, audit.chain(), head, Timestamp::from_millis(1));
    Ok((settings, audit, anchor))
}

async fn verify(audit: &dyn Audit, anchor: &Anchor) -> anyhow::Result<Result<i64, Broken>> {
    let key = key();
    let mut verifier = Verifier::new(&key, audit.chain(), std::slice::from_ref(anchor));
    for link in audit.links(i64::MIN, 1_000).await? {
        if let Err(broken) = verifier.take(&link) {
            return Ok(Err(broken));
        }
    }
    Ok(verifier.end().map(|verified| verified.records))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_psql_does_to_the_table_is_found_at_its_row() -> anyhow::Result<()> {
    let _beside = beside_others();
    let harms = [
        ("UPDATE naru.audit SET record = replace(record, 'kim', 'lee') WHERE sequence = 3", 3, "edited"),
        ("DELETE FROM naru.audit WHERE sequence = 2", 2, "missing"),
        (
            "UPDATE naru.audit SET sequence = CASE sequence WHEN 2 THEN 13 ELSE 12 END WHERE sequence IN (2, 3); \
          UPDATE naru.audit SET sequence = sequence - 10 WHERE sequence > 10",
            2,
            "moved",
        ),
        ("DELETE FROM naru.audit WHERE sequence > 3", 4, "cut-off"),
        ("DELETE FROM naru.audit", 1, "cut-off"),
        (
            "INSERT INTO naru.audit SELECT chain, 6, at, replace(record, '\"sequence\":5', '\"sequence\":6'), hash \
          FROM naru.audit WHERE sequence = 5",
            6,
            "edited",
        ),
    ];
    for (statement, row, how) in harms {
        let (settings, audit, anchor) = acted().await?;
        assert_eq!(verify(audit.as_ref(), &anchor).await?, Ok(5));
        let harmed = settings.clone();
        tokio::task::spawn_blocking(move || psql(&harmed, statement)).await??;
        let broken = verify(audit.as_ref(), &anchor).await?.unwrap_err();
        assert_eq!((broken.row, broken.how), (row, how), "{statement}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_narrow_role_adds_counts_of_denials_and_reads_neither_those_nor_the_record() -> anyhow::Result<()>
{
    let _beside = beside_others();
    let settings = database().await?;
    migrate(&settings, Some("naru_ingress_audit")).await?;
    let as_narrow = move |statement: &str| {
        let (settings, statement) = (settings.clone(), format!("SET ROLE naru_ingress_audit; {statement}"));
        tokio::task::spawn_blocking(move || psql(&settings, &statement))
    };
    let insert = "INSERT INTO naru.denial (at, process, customer, code, times) VALUES (1, 'p', 'acme', 'suspended', 2) \
                  ON CONFLICT DO NOTHING";
    as_narrow(insert).await??;
    as_narrow(insert).await??;
    for refused in [
        "SELECT count(*) FROM naru.denial",
        "UPDATE naru.denial SET times = 0",
        "DELETE FROM naru.denial",
        "SELECT count(*) FROM naru.audit",
        "INSERT INTO naru.audit VALUES ('catalog', 1, 1, 'x', 'x')",
    ] {
        let error = as_narrow(refused).await?.unwrap_err().to_string();
        assert!(error.contains("permission denied"), "{refused}: {error}");
    }
    Ok(())
}
