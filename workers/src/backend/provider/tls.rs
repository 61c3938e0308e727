//! Whom a provider's connections trust, who they are, and whether the files they were made of have changed.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use reqwest::{Certificate, ClientBuilder, Identity};
use zeroize::Zeroizing;

use super::{ProviderError, source::Opened};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Adds authorities, and our own certificate.
pub(super) fn apply(opened: &Opened, mut builder: ClientBuilder) -> Result<ClientBuilder, ProviderError> {
    let wrong =
        |what: &str, error: reqwest::Error| ProviderError::Tls(format!("{what}: {}", innermost(&error)));
    if let Some(pem) = opened.get("tls.ca") {
        let found = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| wrong("ca", error))?;
        if found.is_empty() {
            return Err(ProviderError::Tls("ca: there is no certificate in it".to_owned()));
        }
        builder = builder.tls_certs_only(found);
    }
    if let (Some(certificate), Some(key)) = (opened.get("tls.certificate"), opened.get("tls.key")) {
        let pem = Zeroizing::new(format!("{}\n{}\n", certificate.as_str(), key.as_str()));
        let identity =
            Identity::from_pem(pem.as_bytes()).map_err(|error| wrong("certificate and key", error))?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn innermost(error: &reqwest::Error) -> String {
    crate::backend::http::sources(error).last().map_or_else(String::new, ToString::to_string)
}

/// When a file was last written, and how long it is; nothing if it is not there.
type Stamp = Option<(SystemTime, u64)>;

/// Files as they were when they were read.
pub(super) struct Files {
    seen: Vec<(PathBuf, Stamp)>,
    looked: Mutex<Instant>,
}

fn stamp(path: &PathBuf) -> Stamp {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

impl Files {
    /// To be called before they are read, so that no change is missed.
    pub(super) fn watch(paths: Vec<PathBuf>) -> Self {
        let seen =
            paths.into_iter().map(|path| (stamp(&path), path)).map(|(stamp, path)| (path, stamp)).collect();
        Self { seen, looked: Mutex::new(Instant::now()) }
    }

    /// Whether any has changed; looks every ten seconds, and says no in between.
    pub(super) fn changed(&self) -> bool {
        if self.seen.is_empty() {
            return false;
        }
        {
            let mut looked = self.looked.lock();
            if looked.elapsed() < LOOK {
                return false;
            }
            *looked = Instant::now();
        }
        self.seen.iter().any(|(path, seen)| stamp(path) != *seen)
    }
}
