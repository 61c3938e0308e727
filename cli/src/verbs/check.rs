//! `naru check`: whether it would be safe to start.

use naru_shared::{
    blobs::{S3Blobs, expiry_days, inspect_disk},
    data_dir::{DataDir, DataDirError},
    data_files,
    engines::{BlobsEngine, CatalogEngine, LedgerEngine},
    ports::Part,
    sqlite::Depth,
};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::{
    config::{Config, check::unsafe_settings},
    desk::Desk,
    exit::Failure,
    infra,
    output::Output,
};

#[derive(Serialize)]
struct Findings {
    safe: bool,
    findings: Vec<String>,
}

/// Looks at the configuration and, where there is one, at the data directory: its secrets, every page of its files, its
/// routes, its sums.
///
/// # Errors
/// [`Failure::Refused`] if anything is unsafe.
pub async fn run(config: Config, out: Output) -> anyhow::Result<()> {
    let findings = match Desk::open(config.clone(), out) {
        Err(error) if matches!(error.downcast_ref(), Some(DataDirError::Missing(_))) => {
            unsafe_settings(&config, Part::Whole, &[])
        }
        Err(error) => return Err(error),
        Ok(desk) => of_deployment(&desk).await?,
    };
    let safe = findings.is_empty();
    let sentence = if safe { "nothing unsafe was found".to_owned() } else { findings.join("\n") };
    let count = findings.len();
    out.said(&Findings { safe, findings }, &sentence)?;
    if safe { Ok(()) } else { Err(Failure::Refused(format!("{count} unsafe")).into()) }
}

async fn of_deployment(desk: &Desk) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    let keyring = desk.keyring();
    findings.extend(keyring.as_ref().err().map(|error| format!("{error:#}")));
    if let Some(dir) = desk.dir() {
        let unsound = of_directory(desk, dir)?;
        findings.extend(unsound.findings);
        if !unsound.readable {
            findings.extend(unsafe_settings(&desk.config, Part::Whole, &[]));
            return Ok(findings);
        }
    }
    findings.extend(unsafe_settings(&desk.config, Part::Whole, &desk.book()?.routes().await?));
    if let Ok(keyring) = keyring
        && let Err(error) = desk.book()?.hold(&keyring).await
    {
        findings.push(format!("{error:#}"));
    }
    for site in infra::sites(&desk.config, &desk.book()?).await? {
        findings.extend(site.missing().await?);
    }
    findings.extend(of_bucket(&desk.config.blobs).await);
    let shared = !matches!(desk.config.ledger, LedgerEngine::Sqlite {});
    if shared || desk.dir().is_some_and(|dir| dir.ledger().exists()) {
        let ledger = desk.ledger()?.desk;
        findings.extend(ledger.audit_usage().await?.into_iter().map(|customer| {
            format!("customer {customer}: used quota does not equal the units reserved or captured")
        }));
    }
    Ok(findings)
}

/// A rule of the bucket that removes attachments, or puts them where nobody reads them, while messages may still name them. A bucket that does not tell its rules to
/// this process, which need not know them, is not looked into.
async fn of_bucket(engine: &BlobsEngine) -> Option<String> {
    let BlobsEngine::S3(settings) = engine else { return None };
    // Settings that cannot be used are a finding already.
    let bucket = S3Blobs::open(settings, &Handle::current()).ok()?;
    let (least, why) = expiry_days();
    match bucket.rule_days().await {
        Ok(Some(days)) if days < least => Some(format!(
            "blobs: a rule of the bucket {} removes or archives what is {days} days old, and {least} are needed ({why})",
            settings.bucket
        )),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(%error, "the bucket does not tell its rules");
            None
        }
    }
}

/// What was found about a directory, and whether what its files say of routes and sums is worth anything.
struct Unsound {
    findings: Vec<String>,
    readable: bool,
}

fn of_directory(desk: &Desk, dir: &DataDir) -> anyhow::Result<Unsound> {
    let mut findings = Vec::new();
    if let Some(mode) = dir.open_to_others()? {
        let path = dir.path().display();
        findings.push(format!(
            "others may enter {path} (mode {mode:o}): `chmod 700` it; `naru up` does, or refuses"
        ));
    }
    findings.extend(dir.refuse_half_restored().err().map(|error| error.to_string()));
    let unsound = data_files::inspect(&desk.config.engines(), dir, Depth::Whole);
    if matches!(desk.config.blobs, BlobsEngine::Disk { .. }) {
        // What can be uploaded again does not keep everything else from starting.
        findings.extend(inspect_disk(&dir.blobs())?.into_iter().map(|damage| format!("blobs: {damage}")));
    }
    let begun = dir.catalog().exists() || !matches!(desk.config.catalog, CatalogEngine::Sqlite {});
    let readable = unsound.is_empty() && begun;
    findings.extend(unsound.into_iter().map(|unsound| {
        let advice = unsound.advice();
        format!("{:#}: {advice}", anyhow::Error::new(unsound))
    }));
    Ok(Unsound { findings, readable })
}
