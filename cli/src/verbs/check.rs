//! `naru check`: whether it would be safe to start.

use naru_shared::{
    data_dir::{DataDir, DataDirError},
    data_files, key_file,
    sqlite::Depth,
};
use serde::Serialize;

use crate::{
    config::{Config, check::unsafe_settings},
    desk::Desk,
    exit::Failure,
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
    let findings = match DataDir::open(&config.data) {
        Err(DataDirError::Missing(_)) => unsafe_settings(&config, &[]),
        Err(error) => return Err(error.into()),
        Ok(_) => of_directory(&Desk::open(config, out)?).await?,
    };
    let safe = findings.is_empty();
    let sentence = if safe { "nothing unsafe was found".to_owned() } else { findings.join("\n") };
    let count = findings.len();
    out.said(&Findings { safe, findings }, &sentence)?;
    if safe { Ok(()) } else { Err(Failure::Refused(format!("{count} unsafe")).into()) }
}

async fn of_directory(desk: &Desk) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    if let Err(error) = key_file::load(&desk.dir.keys()) {
        findings.push(error.to_string());
    }
    if let Some(mode) = desk.dir.open_to_others()? {
        let path = desk.dir.path().display();
        findings.push(format!(
            "others may enter {path} (mode {mode:o}): `chmod 700` it; `naru up` does, or refuses"
        ));
    }
    findings.extend(desk.dir.refuse_half_restored().err().map(|error| error.to_string()));
    let unsound = data_files::inspect(&desk.config.engines(), &desk.dir, Depth::Whole);
    if !unsound.is_empty() || !desk.dir.catalog().exists() {
        // What the files say of routes and sums is worth nothing then, or there is nothing yet.
        findings.extend(unsound.into_iter().map(|unsound| {
            let advice = unsound.advice();
            format!("{:#}: {advice}", anyhow::Error::new(unsound))
        }));
        findings.extend(unsafe_settings(&desk.config, &[]));
        return Ok(findings);
    }
    findings.extend(unsafe_settings(&desk.config, &desk.book()?.routes().await?));
    if desk.dir.ledger().exists() {
        let ledger = desk.ledger()?.desk;
        findings.extend(ledger.audit_usage().await?.into_iter().map(|customer| {
            format!("customer {customer}: used quota does not equal the units reserved or captured")
        }));
    }
    Ok(findings)
}
