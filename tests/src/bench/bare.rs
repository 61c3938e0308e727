//! The bare handler: actix-web, the same JSON parsed, `202`, and nothing else.

use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::{Deserialize, Serialize};

/// The same fields as a message of the API.
#[derive(Deserialize)]
struct Message {
    channel: String,
    recipient: String,
    sender: Option<String>,
    subject: Option<String>,
    body: String,
    #[serde(default)]
    attachments: Vec<String>,
    #[serde(default)]
    data: serde_json::Map<String, serde_json::Value>,
    lane: Option<String>,
    reference: Option<String>,
    send_at: Option<String>,
    ttl: Option<u32>,
}

#[derive(Serialize)]
struct Accepted<'a> {
    reference: Option<&'a str>,
    status: &'a str,
    units: usize,
}

async fn accept(message: web::Json<Message>) -> HttpResponse {
    let message = message.into_inner();
    // Every field is looked at, so that none of the parsing can be left out.
    let parts = [&message.channel, &message.recipient, &message.body];
    let optional = [&message.sender, &message.subject, &message.lane, &message.send_at];
    let weight = parts.iter().map(|part| part.len()).sum::<usize>()
        + optional.iter().filter_map(|part| part.as_ref().map(String::len)).sum::<usize>()
        + message.attachments.len()
        + message.data.len()
        + usize::from(message.ttl.is_some());
    let accepted =
        Accepted { reference: message.reference.as_deref(), status: "queued", units: weight.min(1) };
    HttpResponse::Accepted().json(accepted)
}

/// Serves until the process is ended; `ready` learns the address.
///
/// # Errors
/// If the address cannot be bound.
pub fn serve(listen: SocketAddr, workers: usize, ready: impl FnOnce(SocketAddr)) -> std::io::Result<()> {
    let server = HttpServer::new(|| App::new().route("/v1.0/messages", web::post().to(accept)))
        .workers(workers)
        .bind(listen)?;
    if let Some(address) = server.addrs().first() {
        ready(*address);
    }
    actix_web::rt::System::new().block_on(server.run())
}
