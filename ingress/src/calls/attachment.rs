//! `POST /attachments`: a file that messages may name.

use actix_web::http::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use naru_shared::{
    blobs::{AttachmentId, Blob, MediaType, NAMEABLE},
    domain::Timestamp,
    metrics,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer::Answer,
    content_digest::Digests,
    exchange::Exchange,
    problem::{Code, Problem},
};

/// What a `201` says.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Attachment", description = "A file that messages may name until it expires.")]
pub struct Kept {
    id: AttachmentId,
    media_type: &'static str,
    bytes: usize,
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    sha256: String,
    expires_at: Timestamp,
}

/// Keeps a file: `201` once it would survive a crash. The same file again has the same id, and may be named as long anew.
pub async fn call(exchange: &mut Exchange) -> Result<Answer, Problem> {
    let caller = exchange.authenticate().await?;
    exchange.room()?;
    exchange.rate(&caller, 1).await?;
    if exchange.front.attachments.is_none() {
        return Err(Code::NoAttachments.into());
    }
    let media_type = media_type(exchange.request.headers())?;
    let announced = Digests::of(exchange.request.headers()).map_err(|_| Code::MalformedDigest)?;
    let body = exchange.upload(&caller).await?;
    let front = &exchange.front;
    let Some(attachments) = &front.attachments else { return Err(Code::NoAttachments.into()) };
    if !media_type.fits(&body.bytes) {
        let sentence = format!("The body does not begin as {media_type} begins.");
        return Err(Problem::new(Code::InvalidAttachment, sentence));
    }
    let content = body.bytes.clone();
    let hashed = tokio::task::spawn_blocking(move || {
        let fits = announced.is_none_or(|digests| digests.fit(&content));
        (fits, Blob::new(media_type, content))
    });
    let (fits, blob) = hashed.await.map_err(|_| Code::Internal)?;
    if !fits {
        return Err(Code::DigestMismatch.into());
    }
    let now = front.clock.now();
    let id = attachments.keep(&caller.account, &blob, now).await?;
    let (bytes, environment) = (blob.content().len(), exchange.environment.as_str());
    metrics::ATTACHMENTS.of(&[("environment", environment)]).increment(1);
    metrics::ATTACHMENT_BYTES.of(&[("environment", environment)]).increment(bytes as u64);
    let (sha256, expires_at) = (blob.digest().to_string(), now.plus(NAMEABLE));
    Answer::json(
        StatusCode::CREATED,
        &Kept { id, media_type: media_type.as_str(), bytes, sha256, expires_at },
    )
}

fn media_type(headers: &HeaderMap) -> Result<MediaType, Problem> {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    let kind = essence.parse().ok().filter(|kind| MediaType::ATTACHMENTS.contains(kind));
    kind.ok_or_else(|| Code::UnsupportedAttachment.into())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_listed_media_types_are_taken() {
        let kind = |text: &'static str| {
            let request = TestRequest::default().insert_header(("content-type", text));
            media_type(request.to_http_request().headers()).map_err(|problem| problem.code)
        };
        assert_eq!(kind("image/png"), Ok(MediaType::Png));
        assert_eq!(kind("Text/VCard; charset=utf-8"), Ok(MediaType::Vcard));
        for bad in ["", "text/html", "application/vnd.naru.pack", "image/*"] {
            assert_eq!(kind(bad), Err(Code::UnsupportedAttachment), "{bad}");
        }
    }
}
