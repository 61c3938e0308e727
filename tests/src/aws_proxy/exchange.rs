//! One connection: request after request, each passed on and its answer passed back, or harmed.

use std::io;

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Harm, State,
    call::Call,
    partial::{Parted, Telling, is_batch, part, report},
};

/// The longest message, head and body, of either side.
const LONGEST: usize = 32 << 20;

/// What SQS and SNS bill as one request.
const CHUNK: usize = 64 << 10;

/// A message as it came.
struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
}

/// What is done to one exchange.
enum Deed {
    Pass,
    Refuse,
    Deny,
    Part(Parted),
    Retell(Telling, String),
}

/// Carries a connection until either side ends it.
pub(super) async fn carry(
    mut client: TcpStream,
    mut engine: TcpStream,
    state: &Mutex<State>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    engine.set_nodelay(true)?;
    let (mut from_client, mut from_engine) = (Vec::new(), Vec::new());
    while let Some(asked) = read(&mut client, &mut from_client, None).await? {
        let (method, call) = name(&asked)?;
        *state.lock().counts.entry(call.clone()).or_default() += 1;
        let deed = decide(state.lock().harm, &call, &asked.body);
        if let Some(word) = word(&deed) {
            *state.lock().harmed.entry(word).or_default() += 1;
        }
        if matches!(deed, Deed::Refuse) {
            client.write_all(&failure(503, "ServiceUnavailable")).await?;
            continue;
        }
        let body = if let Deed::Part(parted) = &deed { &parted.body } else { &asked.body };
        write(&mut engine, &asked.head, body).await?;
        let Some(answer) = read(&mut engine, &mut from_engine, Some(&method)).await? else {
            return Ok(());
        };
        if is_denial(&answer) {
            *state.lock().denied.entry(call.clone()).or_default() += 1;
        }
        let chunks = body.len().max(answer.body.len()).div_ceil(CHUNK).max(1);
        *state.lock().billed.entry(call.clone()).or_default() += chunks as u64;
        match deed {
            Deed::Deny => client.write_all(&failure(500, "InternalFailure")).await?,
            Deed::Part(Parted { entry, .. }) => {
                retell(&mut client, &call, &answer, Telling::Failed, &entry).await?
            }
            Deed::Retell(telling, entry) => retell(&mut client, &call, &answer, telling, &entry).await?,
            Deed::Pass | Deed::Refuse => write(&mut client, &answer.head, &answer.body).await?,
        }
    }
    Ok(())
}

/// Writes the answer to a batch with other words about one entry.
async fn retell(
    to: &mut TcpStream,
    call: &Call,
    answer: &Message,
    telling: Telling,
    entry: &str,
) -> io::Result<()> {
    let told = report(call, &answer.body, telling, entry).unwrap_or_else(|| answer.body.clone());
    write(to, &answer.head, &told).await
}

/// Whether the answer is that the caller may not do that.
fn is_denial(answer: &Message) -> bool {
    let head = String::from_utf8_lossy(&answer.head);
    let status = head.split(' ').nth(1).unwrap_or_default();
    status == "403" || (status == "400" && String::from_utf8_lossy(&answer.body).contains("AccessDenied"))
}

fn decide(harm: Harm, call: &Call, body: &[u8]) -> Deed {
    let falls = |per_mille: u16| per_mille > 0 && fastrand::u16(..1_000) < per_mille;
    if falls(harm.refused) {
        return Deed::Refuse;
    }
    if falls(harm.denied) {
        return Deed::Deny;
    }
    let pick = |count: usize| fastrand::usize(..count);
    if is_batch(call) && falls(harm.partial) {
        return part(call, body, pick).map_or(Deed::Pass, Deed::Part);
    }
    let tellings = [
        (harm.misreported, Telling::Failed),
        (harm.omitted, Telling::Omitted),
        (harm.renamed, Telling::Renamed),
    ];
    let Some((_, telling)) = tellings.into_iter().find(|(share, _)| is_batch(call) && falls(*share)) else {
        return Deed::Pass;
    };
    part(call, body, pick).map_or(Deed::Pass, |parted| Deed::Retell(telling, parted.entry))
}

const fn word(deed: &Deed) -> Option<&'static str> {
    match deed {
        Deed::Pass => None,
        Deed::Refuse => Some("refused"),
        Deed::Deny => Some("denied"),
        Deed::Part(_) => Some("partial"),
        Deed::Retell(Telling::Failed, _) => Some("misreported"),
        Deed::Retell(Telling::Omitted, _) => Some("omitted"),
        Deed::Retell(Telling::Renamed, _) => Some("renamed"),
    }
}

/// The method, and what is asked.
fn name(message: &Message) -> io::Result<(String, Call)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    head.parse(&message.head).map_err(io::Error::other)?;
    let (method, target) = (head.method.unwrap_or_default(), head.path.unwrap_or_default());
    Ok((method.to_owned(), Call::read(method, target, |name| value(head.headers, name), &message.body)))
}

fn value<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    found.and_then(|header| std::str::from_utf8(header.value).ok())
}

fn failure(status: u16, code: &str) -> Vec<u8> {
    let body = format!("{{\"__type\":\"{code}\",\"message\":\"injected\"}}");
    format!(
        "HTTP/1.1 {status} Injected\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Writes a message with a body of its own length.
async fn write(to: &mut TcpStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(head);
    let kept = text.split("\r\n").filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !line.is_empty()
            && !name.eq_ignore_ascii_case("content-length")
            && !name.eq_ignore_ascii_case("transfer-encoding")
    });
    let mut out = kept.collect::<Vec<_>>().join("\r\n");
    let is_answer_without_one = text.starts_with("HTTP/1.1 304") || text.starts_with("HTTP/1.1 204");
    if let Some(length) = declared(&text).filter(|_| body.is_empty()) {
        // The answer to a HEAD tells a length and has no body.
        out.push_str(&format!("\r\ncontent-length: {length}"));
    } else if !is_answer_without_one {
        out.push_str(&format!("\r\ncontent-length: {}", body.len()));
    }
    out.push_str("\r\n\r\n");
    let mut bytes = out.into_bytes();
    bytes.extend_from_slice(body);
    to.write_all(&bytes).await
}

fn declared(head: &str) -> Option<usize> {
    head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok()).flatten()
    })
}

/// Reads the next message; `None` at the end. `asked` is the method that an answer belongs to.
async fn read(
    from: &mut TcpStream,
    buffer: &mut Vec<u8>,
    asked: Option<&str>,
) -> io::Result<Option<Message>> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
        if fill(from, buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head: Vec<u8> = buffer.drain(..head_end).collect();
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if text.contains("expect: 100-continue") && asked.is_none() {
        from.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if asked.is_some() && text.starts_with("http/1.1 100") {
        return Box::pin(read(from, buffer, asked)).await;
    }
    let body =
        if asked == Some("HEAD") || text.starts_with("http/1.1 204") || text.starts_with("http/1.1 304") {
            Vec::new()
        } else if text.contains("transfer-encoding: chunked") {
            read_chunks(from, buffer).await?
        } else {
            let length = declared(&text).unwrap_or(0);
            exactly(from, buffer, length).await?
        };
    Ok(Some(Message { head, body }))
}

async fn read_chunks(from: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = loop {
            if let Some(at) = buffer.windows(2).position(|bytes| bytes == b"\r\n") {
                break at;
            }
            if fill(from, buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let line: Vec<u8> = buffer.drain(..line_end + 2).collect();
        let text = String::from_utf8_lossy(&line[..line_end]);
        let size = usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(io::Error::other)?;
        let mut chunk = exactly(from, buffer, size + 2).await?;
        chunk.truncate(size);
        body.extend_from_slice(&chunk);
        if size == 0 {
            return Ok(body);
        }
    }
}

async fn exactly(from: &mut TcpStream, buffer: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    while buffer.len() < length {
        if fill(from, buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.drain(..length).collect())
}

async fn fill(from: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    if buffer.len() > LONGEST {
        return Err(io::Error::other("too long"));
    }
    from.read_buf(buffer).await
}
