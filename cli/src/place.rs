//! Where a process has its files and its secrets: a data directory, or nothing but what it is given.

use std::path::PathBuf;

use anyhow::Context;
use naru_shared::{
    audit::AnchorFile,
    data_dir::DataDir,
    data_files,
    key_file::{self, KeyFileError},
    keys::Keyring,
    sqlite::Depth,
};

use crate::{config::Config, exit::Failure};

/// What is said of shared engines without secrets.
pub const NO_KEYS: &str = "the engines are shared, and every process must have the same secrets: make a file with `naru keys make \
                           FILE` and name it with keys.file, or give its text in NARU_KEYS";

/// The data directory, taken for this process alone; none if nothing would lie in it.
///
/// # Errors
/// If another process has it, a restore was cut short in it, or one of its files is damaged.
pub fn take(config: &Config) -> anyhow::Result<Option<DataDir>> {
    if !needs_directory(config) {
        return Ok(None);
    }
    let dir = DataDir::acquire(&config.data)?;
    dir.refuse_half_restored()?;
    // The rest follows from the first: one file that is gone makes others look wrong.
    if let Some(unsound) = data_files::inspect(&config.engines(), &dir, Depth::Start).into_iter().next() {
        let advice = unsound.advice();
        return Err(Failure::Refused(format!("{:#}: {advice}", anyhow::Error::new(unsound))).into());
    }
    Ok(Some(dir))
}

/// The data directory beside whoever runs on it; none if nothing would lie in it.
///
/// # Errors
/// If it is not there.
pub fn look(config: &Config) -> anyhow::Result<Option<DataDir>> {
    Ok(if needs_directory(config) { Some(DataDir::open(&config.data)?) } else { None })
}

/// Whether anything of this configuration lies in a data directory. On engines that are all shared nothing does: the secrets
/// too are given, since every process must have the same.
#[must_use]
pub fn needs_directory(config: &Config) -> bool {
    !config.engines().embedded().is_empty()
}

/// Where the heads of the record of acts are anchored, if anywhere: where the configuration says, else in the data directory.
#[must_use]
pub fn anchors(config: &Config, dir: Option<&DataDir>) -> Option<AnchorFile> {
    let named = config.audit.anchors.clone();
    named.or_else(|| dir.map(DataDir::anchors)).map(AnchorFile::at)
}

/// The deployment's secrets.
///
/// # Errors
/// If they are missing, open to others or damaged.
pub fn keyring(config: &Config, dir: Option<&DataDir>) -> anyhow::Result<Keyring> {
    if let Some(text) = &config.keys.text {
        return text.keyring().context("the secrets in NARU_KEYS cannot be used");
    }
    let path = path_of_keys(config, dir)?;
    key_file::load(&path).map_err(|error| {
        let missing = matches!(error, KeyFileError::Missing(_)) && config.keys.are_given();
        let hint = if missing { " (`naru keys make FILE` makes those of a new deployment)" } else { "" };
        anyhow::Error::new(error).context(format!("the deployment's secrets cannot be used{hint}"))
    })
}

/// The secrets for a process that may be the first: made with its data directory, and never again beside data that was
/// written with others.
///
/// # Errors
/// As [`keyring`]; if they are missing beside data; if they cannot be written.
pub fn first_keyring(config: &Config, dir: Option<&DataDir>) -> anyhow::Result<Keyring> {
    let Some(dir) = dir.filter(|_| !config.keys.are_given()) else { return keyring(config, dir) };
    let path = dir.keys();
    match key_file::load(&path) {
        Err(KeyFileError::Missing(_)) if !data_files::any(&config.engines(), dir) => {
            tracing::info!("first start: making the deployment's secrets");
            Ok(key_file::create(&path)?)
        }
        Err(error @ KeyFileError::Missing(_)) => {
            Err(error).context("there is data that was written with its secrets: put them back from a backup")
        }
        other => Ok(other?),
    }
}

fn path_of_keys(config: &Config, dir: Option<&DataDir>) -> anyhow::Result<PathBuf> {
    match (&config.keys.file, dir) {
        (Some(file), _) => Ok(file.clone()),
        (None, Some(dir)) => Ok(dir.keys()),
        (None, None) => Err(Failure::Refused(NO_KEYS.to_owned()).into()),
    }
}

/// The longest name of a machine that is told.
const LONGEST_HOST: usize = 64;

/// The machine, as operators know it; a container's is its id.
#[must_use]
pub fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-._".contains(*c);
    told.trim().chars().filter(plain).take(LONGEST_HOST).collect()
}
