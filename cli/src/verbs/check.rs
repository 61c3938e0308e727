//! `naru check`: whether it would be safe to start.

use naru_shared::{
    data_dir::{DataDir, DataDirError},
    data_files,
    engines::{CatalogEngine, LedgerEngine},
    ports::Part,
    sqlite::Depth,
};
use serde::Serialize;

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
    findings.extend(desk.keyring().err().map(|error| format!("{error:#}")));
    if let Some(dir) = desk.dir() {
        let unsound = of_directory(desk, dir)?;
        findings.extend(unsound.findings);
        if !unsound.readable {
            findings.extend(unsafe_settings(&desk.config, Part::Whole, &[]));
            return Ok(findings);
        }
    }
    findings.extend(unsafe_settings(&desk.config, Part::Whole, &desk.book()?.routes().await?));
    for site in infra::sites(&desk.config, &desk.book()?).await? {
        findings.extend(site.missing().await?);
    }
    let shared = !matches!(desk.config.ledger, LedgerEngine::Sqlite {});
    if shared || desk.dir().is_some_and(|dir| dir.ledger().exists()) {
        let ledger = desk.ledger()?.desk;
        findings.extend(ledger.audit_usage().await?.into_iter().map(|customer| {
            format!("customer {customer}: used quota does not equal the units reserved or captured")
        }));
    }
    Ok(findings)
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
    let begun = dir.catalog().exists() || !matches!(desk.config.catalog, CatalogEngine::Sqlite {});
    let readable = unsound.is_empty() && begun;
    findings.extend(unsound.into_iter().map(|unsound| {
        let advice = unsound.advice();
        format!("{:#}: {advice}", anyhow::Error::new(unsound))
    }));
    Ok(Unsound { findings, readable })
}
