//! `POST /attachments`: a file that messages may name.

use actix_web::http::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName},
};
use naru_shared::{
    blobs::{AttachmentId, Blob, MediaType, NAMEABLE, Sha256Sum},
    domain::Timestamp,
    metrics,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer::Answer,
    exchange::Exchange,
    problem::{Code, Problem},
};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

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
    let announced = content_digest(exchange.request.headers())?;
    let body = exchange.upload(&caller).await?;
    let front = &exchange.front;
    let Some(attachments) = &front.attachments else { return Err(Code::NoAttachments.into()) };
    if !media_type.fits(&body.bytes) {
        let sentence = format!("The body does not begin as {media_type} begins.");
        return Err(Problem::new(Code::InvalidAttachment, sentence));
    }
    let content = body.bytes.clone();
    let hashed = tokio::task::spawn_blocking(move || Blob::new(media_type, content));
    let blob = hashed.await.map_err(|_| Code::Internal)?;
    if announced.is_some_and(|digest| digest != *blob.digest()) {
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

/// The SHA-256 in `Content-Digest` (RFC 9530 section 2), if there is one. A digest that would not be looked at is refused.
fn content_digest(headers: &HeaderMap) -> Result<Option<Sha256Sum>, Problem> {
    let mut found = None;
    let mut there = false;
    for value in headers.get_all(&CONTENT_DIGEST) {
        let text = value.to_str().map_err(|_| Code::MalformedDigest)?;
        // An empty dictionary is as good as none (RFC 9651 section 3.2).
        if text.trim().is_empty() {
            continue;
        }
        there = true;
        for member in text.split(',') {
            let (name, value) = member.split_once('=').ok_or(Code::MalformedDigest)?;
            if name.trim() == "sha-256" {
                found = Some(sha_256(value).ok_or(Code::MalformedDigest)?);
            }
        }
    }
    if there && found.is_none() { Err(Code::MalformedDigest.into()) } else { Ok(found) }
}

/// A byte sequence (RFC 9651 section 3.3.5) of 32 bytes; parameters mean nothing here.
fn sha_256(value: &str) -> Option<Sha256Sum> {
    let text = value.split(';').next()?.trim().strip_prefix(':')?.strip_suffix(':')?;
    let bytes = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
    Some(Sha256Sum::from_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn digest(values: &[&str]) -> Result<Option<Sha256Sum>, Code> {
        let request = values.iter().fold(TestRequest::default(), |request, value| {
            request.append_header(("content-digest", (*value).to_owned()))
        });
        content_digest(request.to_http_request().headers()).map_err(|problem| problem.code)
    }

    #[test]
    fn a_digest_is_read_as_the_rfc_writes_it() {
        // RFC 9530 appendix B.1.
        let text = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        let read = digest(&[text]).unwrap().unwrap();
        assert_eq!(read, Sha256Sum::of(b"{\"hello\": \"world\"}\n"));
        assert_eq!(digest(&[&format!("sha-512=:AAAA:, {text}")]), Ok(Some(read)));
        assert_eq!(digest(&["sha-512=:AAAA:", text]), Ok(Some(read)));
        assert_eq!((digest(&[]), digest(&[""])), (Ok(None), Ok(None)));
        for bad in [",", "sha-256", "sha-256=x", "sha-256=:AAAA:", "sha-512=:AAAA:", "sha-256=:****:"] {
            assert_eq!(digest(&[bad]), Err(Code::MalformedDigest), "{bad}");
        }
    }

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
