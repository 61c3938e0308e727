//! `POST /callbacks/v1.0/{route}`: a route's provider tells what became of messages.
//!
//! Whether a route is known, whether providers call it, and how, is told to nobody who has no proof: such calls are refused alike.

use actix_web::http::{StatusCode, header::AUTHORIZATION};
use naru_shared::{
    domain::{NoticePack, RouteName},
    metrics as names,
    notices::{Call, Read, Unreadable, place},
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    answer::Answer,
    exchange::Exchange,
    limits,
    problem::{Code, Problem},
};

#[derive(Serialize, JsonSchema)]
#[schemars(
    rename = "Taken",
    description = "How many reports were taken, say that a message is under way, or could not be read."
)]
pub struct Taken {
    taken: usize,
    waiting: usize,
    unread: usize,
}

pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let form = limits::is_form(exchange.request.headers())?;
    let most = limits::told_within(exchange.request.headers(), limits::BODY)?;
    let name: Option<RouteName> =
        exchange.request.match_info().get("route").and_then(|text| text.parse().ok());
    let route = match &name {
        Some(name) => exchange.front.registry.route(name).await.map_err(|_| Code::Unavailable)?,
        None => None,
    };
    let (route, callback, _) = exchange.front.notices.callback(route.as_deref());
    let sealed_for = place(&route);
    let authorization = exchange.request.headers().get(AUTHORIZATION).cloned();
    // Without a password the signature is what may prove it, and the body must be read for that, whoever is called.
    let (body, slot);
    if let Some(value) = authorization {
        let text = value.to_str().unwrap_or_default();
        if !callback.proof.admits_basic(&sealed_for, exchange.front.notices.sealer(), text) {
            return Err(Code::Unauthorized.into());
        }
        slot = exchange.front.notices.place(true)?;
        body = exchange.raw(most).await?;
    } else {
        let unproved = exchange.front.notices.place(false)?;
        body = exchange.raw(most).await?;
        let headers = exchange.request.headers();
        let header = |name: &str| {
            let mut values = headers.get_all(name);
            let first = values.next()?.to_str().ok()?.to_owned();
            values.next().is_none().then_some(first)
        };
        let (path, now) = (exchange.request.uri().path(), exchange.front.clock.now());
        let signed = Call { header: &header, path, body: &body, now };
        let admitted = callback.proof.admits_signed(&sealed_for, exchange.front.notices.sealer(), &signed);
        drop(unproved);
        if !admitted {
            return Err(Code::Unauthorized.into());
        }
        slot = exchange.front.notices.place(true)?;
    }
    if exchange.front.notices.is_too_fast(&route, Instant::now()) {
        return Err(Problem::from(Code::RateLimited).retry_after(1));
    }
    exchange.room()?;
    let Read { notices, waiting, unread } = callback.shape.read(&body, form).map_err(unreadable)?;
    let taken = notices.len();
    let count = |result: &str, times: usize| {
        if times > 0 {
            let labels = [("route", route.as_str()), ("result", result)];
            names::CALLBACK_REPORTS.of(&labels).increment(times as u64);
        }
    };
    if taken > 0 {
        exchange.front.notices.publish(NoticePack { route: route.clone(), notices }, slot).await?;
    }
    count("taken", taken);
    count("waiting", waiting);
    count("unread", unread);
    if unread > 0 {
        tracing::warn!(%route, unread, "a provider told what cannot be understood: its description does not know it");
    }
    Answer::json(StatusCode::OK, &Taken { taken, waiting, unread })
}

fn unreadable(error: Unreadable) -> Problem {
    Problem::new(Code::InvalidReport, format!("{error}."))
}
