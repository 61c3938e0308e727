//! How a route's provider reports, on the command line: switched on with a secret that is shown once, and shown without it.

use clap::ValueEnum;
use naru_shared::{
    domain::{BackendConfig, CallbackDocument, Route, RouteName},
    notices::{Callback, NewProof},
};
use serde_json::json;

use crate::{desk::Desk, exit::Failure};

/// How a provider proves its calls, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reports {
    /// By a password (RFC 7617), with the route's name for the user
    Basic,
    /// By signatures (Standard Webhooks 1.0.0)
    Signed,
    /// It does not call: what was taken is delivered
    Off,
}

/// What a change brings, made before the route is looked at, since the secret is sealed for its name.
pub(super) struct Change {
    callback: Option<CallbackDocument>,
    secret: Option<String>,
}

/// Where a provider calls, below the front's own address.
pub(super) fn path(route: &RouteName) -> String {
    format!("/callbacks/v1.0/{route}")
}

/// A new secret for a route; the one before stays valid beside it if it is of the same kind.
pub(super) async fn make(
    desk: &Desk,
    route: &RouteName,
    before: Option<&CallbackDocument>,
    reports: Reports,
) -> anyhow::Result<Change> {
    let new = match reports {
        Reports::Basic => NewProof::Basic,
        Reports::Signed => NewProof::Signed,
        Reports::Off => return Ok(Change { callback: None, secret: None }),
    };
    let wrong =
        |error: naru_shared::notices::InvalidCallback| Failure::Refused(format!("route {route}: {error}"));
    let before = before.map(Callback::of).transpose().map_err(wrong)?;
    let sealer = desk.own_keyring().await?.sealer();
    let (callback, secret) = Callback::plain(new, before.as_ref(), route, &sealer).map_err(wrong)?;
    Ok(Change { callback: Some(callback.document().map_err(wrong)?), secret: Some(secret) })
}

impl Change {
    pub(super) fn apply(&self, route: &mut Route) -> anyhow::Result<()> {
        if self.callback.is_some() && !matches!(route.backend, BackendConfig::Http(_)) {
            let why = format!(
                "route {}: only a route whose backend is `http` has a provider that calls",
                route.name
            );
            return Err(Failure::Refused(why).into());
        }
        route.reports.callback.clone_from(&self.callback);
        Ok(())
    }

    /// The secret, to be shown this once.
    pub(super) fn secret(self) -> Option<String> {
        self.secret
    }
}

/// What may be seen of how a provider reports.
pub(super) fn lines(route: &Route, secret: Option<&str>) -> Vec<(&'static str, String)> {
    let reports = &route.reports;
    let mut lines = Vec::new();
    if let Some(document) = &reports.callback {
        let proof = match Callback::of(document) {
            Ok(callback) => callback.proof.manner(),
            Err(_) => "described by a newer release",
        };
        lines.push(("reports come to", format!("POST {}", path(&route.name))));
        lines.push(("proved by", proof.to_owned()));
    }
    if let Some(secret) = secret {
        lines.push(("with the secret", format!("{secret} (shown this once only)")));
    }
    if let Some(window) = reports.window_ms {
        lines.push(("reports waited for", format!("{window} ms")));
    }
    if reports.captured_without {
        lines.push(("without a report", "paid for".to_owned()));
    }
    lines
}

/// The same with nothing that is sealed.
pub(super) fn without_secrets(document: &CallbackDocument) -> CallbackDocument {
    let shown = Callback::of(document)
        .map(|callback| json!({ "proof": callback.proof.manner(), "shape": callback.shape }));
    CallbackDocument(shown.unwrap_or_else(|_| json!("(described by a newer release)")))
}
