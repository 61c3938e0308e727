//! Providers on the command line: their descriptions are read from a file, sealed, and never shown with a secret.

use std::{fs, path::Path};

use anyhow::Context;
use naru_shared::{
    domain::{BackendConfig, CallbackDocument, HttpBackend, ProviderDocument, Route, RouteName},
    notices::Callback,
};
use naru_workers::{Description, check_provider, check_sealed_provider, described_provider};
use serde_json::json;

use super::callback;
use crate::{desk::Desk, exit::Failure};

/// What stands where this release cannot read a description.
const UNREADABLE: &str = "(described by a newer release)";

/// What a file describes: how a provider is spoken to, and how it reports.
#[derive(Clone)]
pub(super) struct Described {
    pub(super) document: ProviderDocument,
    pub(super) callback: Option<CallbackDocument>,
}

/// Reads a description and seals its secrets for a route. What could never work is refused before the secrets of the deployment are asked
/// for.
pub(super) async fn read(desk: &Desk, name: &RouteName, file: &Path) -> anyhow::Result<Described> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let wrong = |error: naru_workers::ProviderError| Failure::Usage(format!("{}: {error}", file.display()));
    let mut description = Description::from_toml(&text).map_err(wrong)?;
    check_provider(&description.document().map_err(wrong)?).map_err(wrong)?;
    let sealer = desk.own_keyring().await?.sealer();
    let reports = description.take_reports();
    let callback = reports.map(|section| Callback::describe(&section, name, &sealer)).transpose();
    let callback = callback.and_then(|callback| callback.map(|callback| callback.document()).transpose());
    let callback = callback.map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    description.seal(name.as_str(), &sealer).map_err(wrong)?;
    let document = description.document().map_err(wrong)?;
    check_sealed_provider(&document, name.as_str(), &sealer).map_err(wrong)?;
    Ok(Described { document, callback })
}

/// The route speaks as the description says from now on.
pub(super) fn replace(route: &mut Route, described: &Described) -> anyhow::Result<()> {
    let BackendConfig::Http(http) = &mut route.backend else {
        let why = format!("route {}: only a route whose backend is `http` has a provider", route.name);
        return Err(Failure::Refused(why).into());
    };
    http.url.clear();
    http.provider = Some(described.document.clone());
    route.reports.callback.clone_from(&described.callback);
    Ok(())
}

/// Where it sends to.
pub(super) fn url(http: &HttpBackend) -> String {
    match described_provider(http) {
        Ok(Some(description)) => description.url().to_owned(),
        Ok(None) => http.url.clone(),
        Err(_) => UNREADABLE.to_owned(),
    }
}

/// What may be seen of a provider.
pub(super) fn lines(route: &Route) -> Vec<(&'static str, String)> {
    let BackendConfig::Http(http) = &route.backend else { return Vec::new() };
    let Ok(Some(mut description)) = described_provider(http) else { return Vec::new() };
    let origins: Vec<String> =
        description.origins().into_iter().map(|(name, origin)| format!("{name}: {origin}")).collect();
    let secrets = if origins.is_empty() { "none".to_owned() } else { origins.join(", ") };
    vec![("manner", description.manner()), ("secrets and files", secrets)]
}

/// The same route with no secret of its provider, not even sealed.
pub(super) fn without_secrets(route: &Route) -> Route {
    let mut route = route.clone();
    route.reports.callback = route.reports.callback.as_ref().map(callback::without_secrets);
    if let BackendConfig::Http(http) = &mut route.backend {
        http.provider = match described_provider(http) {
            Ok(None) => None,
            Ok(Some(description)) => description.without_secrets().document().ok(),
            Err(_) => Some(ProviderDocument(json!(UNREADABLE))),
        };
    }
    route
}
