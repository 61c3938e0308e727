//! Whether a process has the secrets that its deployment was made with: with others, it would take repeated calls for new ones, and
//! every customer for a stranger.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use naru_shared::{
    catalog::{Catalog, CatalogError, Entry, KeysMark, Kind},
    keys::Keyring,
};
use tokio::{runtime::Handle, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// How long a look waits for the catalog: a start is not held up for long by one that is away.
const LOOK: Duration = Duration::from_secs(2);

/// Between two looks of a process that could not compare when it started.
const AGAIN: Duration = Duration::from_secs(5);

/// What is said of others.
pub const OTHERS: &str = "these are not the secrets that this deployment was made with: repeated calls would be new messages and no credential \
                          would verify. Give every process the deployment's own (keys.file, NARU_KEYS, or keys.toml of its backup)";

/// Compares with what the catalog says; where it says nothing yet and `write` allows it, these are the deployment's.
///
/// # Errors
/// [`Failure::Refused`] if they are others; if the catalog does not answer.
pub async fn hold(catalog: &Arc<dyn Catalog>, keyring: &Keyring, write: bool) -> anyhow::Result<()> {
    let ours = keyring.fingerprint();
    loop {
        match catalog.get(Kind::Keys, KeysMark::KEY).await? {
            Some(Entry::Keys(mark)) if mark.fingerprint == ours => return Ok(()),
            Some(_) => return Err(Failure::Refused(OTHERS.to_owned()).into()),
            None if !write => return Ok(()),
            None => {}
        }
        let mark = KeysMark { fingerprint: ours.clone(), version: 0 };
        match catalog.put(vec![Entry::Keys(mark)]).await {
            Ok(_) => return Ok(()),
            // Somebody else was first: with the same, or with others.
            Err(CatalogError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Compares at the start. A process begins whether the catalog answers or not; then it goes on looking, and is told to stop if it
/// turns out to have others.
///
/// # Errors
/// [`Failure::Refused`] if they are others.
pub async fn at_start(
    catalog: &Arc<dyn Catalog>,
    keyring: &Keyring,
    write: bool,
    stop: &CancellationToken,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let held = timeout(LOOK, hold(catalog, keyring, write)).await.context("the catalog does not answer");
    match held.flatten() {
        Ok(()) => return Ok(None),
        Err(error) if is_other(&error) => return Err(error),
        Err(error) => {
            tracing::warn!(error = %format!("{error:#}"), "whether these are the deployment's secrets is not known yet");
        }
    }
    let (catalog, keyring, stop) = (Arc::clone(catalog), keyring.clone(), stop.clone());
    let looking = async move {
        while stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_some() {
            match timeout(LOOK, hold(&catalog, &keyring, write)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) if is_other(&error) => {
                    tracing::error!("{OTHERS}; this process stops");
                    stop.cancel();
                }
                _ => {}
            }
        }
    };
    Ok(Some(Handle::current().spawn(looking)))
}

fn is_other(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Failure::Refused(_)))
}
