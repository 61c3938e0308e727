//! Who may upload what, and how much at once.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use naru_shared::blobs::Sha256Sum;
use naru_tests::{
    customer::basic,
    gateway::{Gateway, Setup},
};
use serde_json::Value;

use super::{PATIENCE, output, png, post};
use crate::stage::beside_others;

const MIB: usize = 1 << 20;

fn digest(content: &[u8]) -> String {
    let sum = *Sha256Sum::of(content).as_bytes();
    format!("Content-Digest: sha-256=:{}:", data_encoding::BASE64.encode(&sum))
}

#[test]
fn curl_uploads_a_file_and_the_same_file_has_the_same_id() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let (path, content) = (gateway.home().join("x.png"), png("with curl"));
    fs::write(&path, &content).unwrap();
    let upload = || {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "-w",
            "\n%{http_code}",
            "-u",
            &gateway.users.live[0],
            "-H",
            "Content-Type: image/png",
        ]);
        curl.args(["-H", &digest(&content), "--data-binary", &format!("@{}", path.display())]);
        let printed = output(curl.arg(format!("http://{}/v1.0/attachments", gateway.listen())));
        let (body, status) = printed.rsplit_once('\n').unwrap();
        assert_eq!(status, "201", "{body}");
        serde_json::from_str::<Value>(body).unwrap()
    };
    let (first, second) = (upload(), upload());
    assert_eq!(first["id"], second["id"]);
    assert_eq!(first["sha256"], Sha256Sum::of(&content).to_string());
    assert_eq!((&first["media_type"], &first["bytes"]), (&"image/png".into(), &content.len().into()));
    assert!(first["expires_at"].as_str() <= second["expires_at"].as_str());
    let names: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(names, ["bytes", "expires_at", "id", "media_type", "sha256"]);
}

#[test]
fn what_is_not_what_it_is_said_to_be_is_refused_with_a_code_of_its_own() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let user = &gateway.users.live[0];
    let content = png("x");
    let kind = "Content-Type: image/png";
    let cases: [(&[&str], &[u8], u16, &str); 10] = [
        (&["Content-Type: image/jpeg"], &content, 422, "invalid-attachment"),
        (&[kind], b"<svg onload=x>", 422, "invalid-attachment"),
        (&[kind], b"", 422, "invalid-attachment"),
        (&["Content-Type: image/svg+xml"], b"<svg/>", 415, "unsupported-attachment"),
        (&[], &content, 415, "unsupported-attachment"),
        (&[kind, "Content-Encoding: gzip"], &content, 415, "unsupported-encoding"),
        (&[kind, &digest(b"other")], &content, 400, "digest-mismatch"),
        (&[kind, "Content-Digest: md5=:AAAA:"], &content, 400, "malformed-digest"),
        (&[kind, kind], &content, 400, "duplicate-header"),
        (&[kind], &[&content[..], &vec![0; 10 * MIB]].concat(), 413, "body-too-large"),
    ];
    for (headers, body, status, code) in cases {
        let reply = post(&gateway, user, "/v1.0", headers, body);
        assert_eq!((reply.status, reply.json()["code"].as_str()), (status, Some(code)), "{headers:?}");
    }
    let most = [&content[..], &vec![7; 10 * MIB - content.len()]].concat();
    assert_eq!(post(&gateway, user, "/v1.0", &[kind], &most).status, 201, "10 MiB are taken");
    assert_eq!(post(&gateway, "nobody:a:b", "/v1.0", &[kind], &content).status, 401);
    assert_eq!(post(&gateway, user, "/sandbox/v1.0", &[kind], &content).status, 403);
}

/// A connection on which a head was sent, and a part of what it announced.
fn begun(gateway: &Gateway, user: &str, announced: usize) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.listen()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /v1.0/attachments HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Type: image/png\r\n\
         Content-Length: {announced}\r\n\r\n",
        basic(user)
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&png("slow")).unwrap();
    stream
}

fn status_line(mut stream: &TcpStream) -> String {
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).split("\r\n").next().unwrap_or_default().to_owned()
}

#[test]
fn an_upload_that_drips_is_cut_and_one_that_floods_leaves_room_to_others() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..Setup::default() }).unwrap();
    let (flooding, other) = (&gateway.users.live[0], &gateway.users.live[1]);
    let began = Instant::now();
    let held: Vec<TcpStream> = (0..2).map(|_| begun(&gateway, flooding, 10 * MIB)).collect();
    // Until both have their room.
    thread::sleep(Duration::from_millis(500));
    let kind = "Content-Type: image/png";
    let large = [png("large"), vec![0; 9 * MIB]].concat();
    let refused = post(&gateway, flooding, "/v1.0", &[kind], &large);
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("overloaded")));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(post(&gateway, other, "/v1.0", &[kind], &large).status, 201, "another's are taken");
    for stream in &held {
        assert!(status_line(stream).contains(" 408 "), "a slow body is cut");
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(14)).contains(&took), "{took:?}");
    assert_eq!(post(&gateway, flooding, "/v1.0", &[kind], &large).status, 201, "its room came back");
}

#[test]
fn a_deployment_without_a_place_for_files_says_so() {
    let _beside = beside_others();
    let config = "[blobs]\nkind = \"none\"\n".to_owned();
    let gateway = Gateway::spawn(&Setup { config, ..Setup::default() }).unwrap();
    let user = &gateway.users.live[0];
    let reply = post(&gateway, user, "/v1.0", &["Content-Type: image/png"], &png("x"));
    assert_eq!((reply.status, reply.json()["code"].as_str()), (501, Some("no-attachments")));
    let message = super::carrying(&["att_00000000000000000000000000"]);
    let (status, code, _) = super::refused(&mut gateway.customer(0), &message);
    assert_eq!((status, code.as_str()), (501, "no-attachments"));
}
