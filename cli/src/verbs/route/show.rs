//! Routes as they are shown: with their policy, and never with a secret.

use naru_shared::{
    catalog::{Entry, Kind},
    domain::{BackendConfig, ChannelName, CustomerId, Pacing, Route, ShownRoute, TextRule, Trade},
};

use super::{callback, provider, table::Carrier};
use crate::{
    desk::{Book, Desk},
    units::channel_word,
};

pub(super) async fn list(desk: &Desk) -> anyhow::Result<()> {
    let routes: Vec<Route> = desk.book()?.routes().await?.iter().map(provider::without_secrets).collect();
    let head = ["route", "environment", "backend", "to", "state", "when uncertain", "concurrency"];
    let shown: Vec<ShownRoute<'_>> = routes.iter().map(ShownRoute).collect();
    desk.out.rows(&shown, &head, |ShownRoute(r)| {
        vec![
            r.name.to_string(),
            r.environment.as_str().to_owned(),
            r.backend.as_str().to_owned(),
            destination(r),
            state(r),
            r.on_uncertain.as_str().to_owned(),
            r.concurrency.to_string(),
        ]
    })
}

#[derive(serde::Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    route: ShownRoute<'a>,
    assigned: Vec<(CustomerId, Option<ChannelName>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<Carrier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_secret: Option<String>,
}

/// What is shown when it was made, and never again.
#[derive(Default)]
pub(super) struct Secrets {
    pub(super) carrier: Option<Carrier>,
    pub(super) callback: Option<String>,
}

pub(super) async fn show(desk: &Desk, book: &Book, route: &Route) -> anyhow::Result<()> {
    show_with(desk, book, route, Secrets::default()).await
}

pub(super) async fn show_with(
    desk: &Desk,
    book: &Book,
    route: &Route,
    secrets: Secrets,
) -> anyhow::Result<()> {
    let Secrets { carrier, callback: secret } = secrets;
    let entries = book.all(Kind::Assignment, "").await?;
    let assigned: Vec<_> = entries
        .into_iter()
        .filter_map(|e| if let Entry::Assignment(a) = e { Some(a) } else { None })
        .filter(|a| a.route == route.name)
        .map(|a| (a.customer, a.channel))
        .collect();
    let words: Vec<String> =
        assigned.iter().map(|(who, channel)| format!("{who}/{}", channel_word(channel.as_ref()))).collect();
    let others: Vec<&str> = route.fallback.iter().map(|name| name.as_str()).collect();
    let mut lines = vec![
        ("route", route.name.to_string()),
        ("environment", route.environment.as_str().to_owned()),
        ("backend", route.backend.as_str().to_owned()),
        ("to", destination(route)),
        ("state", state(route)),
        ("when uncertain", route.on_uncertain.as_str().to_owned()),
        ("idempotent", if route.idempotent { "yes" } else { "no" }.to_owned()),
        ("concurrency", route.concurrency.to_string()),
        ("attempt time-out", format!("{} ms", route.attempt_timeout_ms)),
        ("attempts at most", route.max_attempts.to_string()),
        (
            "attempts a second",
            route.pacing.per_second.map_or_else(|| "unbounded".to_owned(), |rate| rate.to_string()),
        ),
        ("retry budget", format!("{} % and {}/s", route.pacing.retry_percent, Pacing::RETRIES_PER_SECOND)),
        ("counts", counts(&route.trade)),
        ("prices", route.trade.class.as_ref().map_or_else(|| "no class".to_owned(), ToString::to_string)),
        ("goes on to", if others.is_empty() { "nowhere".to_owned() } else { others.join(" ") }),
        ("assigned", if words.is_empty() { "nobody".to_owned() } else { words.join(" ") }),
    ];
    lines.extend(provider::lines(route));
    lines.extend(callback::lines(route, secret.as_deref()));
    if let Some(carrier) = &carrier {
        lines.push(("carrier's role", carrier.role.clone()));
        let password = carrier.password.as_ref().map(|password| format!("{password} (shown this once only)"));
        lines.push(("its password", password.unwrap_or_else(|| "as it was".to_owned())));
    }
    let route = provider::without_secrets(route);
    let callback_path = route.reports.callback.as_ref().map(|_| callback::path(&route.name));
    let shown =
        Shown { route: ShownRoute(&route), assigned, carrier, callback_path, callback_secret: secret };
    desk.out.one(&shown, &lines)
}

pub(super) fn destination(route: &Route) -> String {
    match &route.backend {
        BackendConfig::Simulator(_) => "nowhere".to_owned(),
        BackendConfig::Http(http) => provider::url(http),
        BackendConfig::Table(table) => format!("{} in {}", table.mapping.table, table.url),
    }
}

fn counts(trade: &Trade) -> String {
    let each = trade.units_each;
    match trade.rule {
        TextRule::Message => format!("{each} for each message"),
        TextRule::Segments => format!("{each} for each segment of sms, at most {}", trade.most_segments),
        TextRule::Korean => format!("{each} for each message that fits (90, 2000 and 40 bytes of EUC-KR)"),
    }
}

fn state(route: &Route) -> String {
    if route.paused { "paused" } else { "open" }.to_owned()
}
