//! How a process begins: what a deployment begins with is written once, and whoever waits is told that it is ready.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use naru_shared::{
    catalog::{Catalog, CatalogError, Kind},
    data_dir::DataDir,
    domain::Clock,
    keys::Keyring,
    ports::{Part, Ports},
};

use crate::{
    desk::Book,
    first_start::{self, Demo, Place},
    output,
    service::Service,
};

/// How long the registry may take to have in force what the first start wrote, before it is announced.
const IN_FORCE: Duration = Duration::from_secs(10);

/// The version of a catalog to which nobody has added anything: it holds what every deployment begins with, and whose secrets they are.
const BEGUN: u64 = 2;

/// Writes what every deployment begins with, if it is not there; whoever else does so at the same moment may be first.
/// Returns the catalog's version.
///
/// # Errors
/// If the catalog does not answer.
pub async fn write(catalog: &Arc<dyn Catalog>) -> anyhow::Result<u64> {
    if catalog.get(Kind::Route, first_start::SANDBOX).await?.is_none() {
        match catalog.put(vec![first_start::sandbox()?]).await {
            Ok(_) | Err(CatalogError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(catalog.version().await?)
}

/// Writes what is missing, with a demo customer where that is wished for and nobody has added anything, and waits until it is
/// in force. A service of its own writes nothing: `naru migrate` did, and the service starts whether the catalog answers or not.
///
/// # Errors
/// If the catalog does not answer.
pub(crate) async fn begin(
    service: &Service,
    ports: &Ports,
    keyring: &Keyring,
    clock: &dyn Clock,
) -> anyhow::Result<Option<Demo>> {
    if service.part != Part::Whole {
        return Ok(None);
    }
    let mut version = write(&ports.catalog).await?;
    let mut demo = None;
    if service.config.process.demo && version == BEGUN {
        let (entries, made) = first_start::demo(keyring, clock.now())?;
        version = Book::new(Arc::clone(&ports.catalog)).put(entries).await?;
        demo = Some(made);
    }
    let in_force = async {
        while ports.registry.version() < version {
            ports.registry.changed(ports.registry.version()).await;
        }
    };
    if tokio::time::timeout(IN_FORCE, in_force).await.is_err() {
        tracing::warn!("the catalog is not read yet: not ready, accepts are refused until it is");
    }
    Ok(demo)
}

/// Says that the process has started (whether it is ready, `/readyz` says); one in which everything runs also prints what to type.
///
/// # Errors
/// If standard output is closed.
pub(crate) fn announce(
    service: &Service,
    demo: Option<&Demo>,
    listen: Option<SocketAddr>,
    operator: SocketAddr,
    dir: Option<&DataDir>,
) -> anyhow::Result<()> {
    let Some(listen) = listen else {
        tracing::info!(%operator, "started");
        return Ok(());
    };
    tracing::info!(%listen, %operator, "started");
    if service.part != Part::Whole {
        return Ok(());
    }
    let typed = std::env::args().next().unwrap_or_else(|| "naru".to_owned());
    // The lines are to be typed anywhere: one that was found by its name is found so again.
    let program = match std::env::current_exe() {
        Ok(program) if typed.contains('/') => program.display().to_string(),
        _ => typed,
    };
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let place = Place { config: service.file.as_deref().map(whole), data: dir.map(|dir| whole(dir.path())) };
    output::print(&first_start::greeting(demo, listen, operator, &place, &program))
}
