//! What a message carries reaches its backend, or its report says why not.

use std::fs;

use naru_shared::blobs::Sha256Sum;
use naru_tests::{customer::Customer, gateway::Gateway};
use serde_json::json;

use super::{PATIENCE, carrying, catcher::Catcher, file, png, post, refused, report, setup, upload};
use crate::stage::{accept, beside_others, until, used};

#[test]
fn what_was_uploaded_reaches_the_backend_byte_for_byte() {
    let _beside = beside_others();
    let catcher = Catcher::start();
    let gateway = Gateway::spawn(&setup(&catcher)).unwrap();
    let picture = [png("picture"), (0..=255).collect(), b"\r\n--\r\n".to_vec(), vec![9; 3 << 20]].concat();
    let card = b"BEGIN:VCARD\r\nEND:VCARD\r\n".to_vec();
    let (first, second) =
        (upload(&gateway, 0, "image/png", &picture), upload(&gateway, 0, "text/vcard", &card));
    let mut customer = gateway.customer(0);
    let id = accept(&mut customer, &carrying(&[&first, &second]), None);
    until(&mut customer, &id, &["delivered"], PATIENCE);
    let caught = catcher.of(&id);
    assert!(caught.head.contains("content-type: multipart/form-data"), "{}", caught.head);
    assert!(caught.head.contains(&format!("idempotency-key: {id}")), "{}", caught.head);
    let parts = caught.parts();
    assert_eq!(parts.len(), 3);
    assert!(parts[0].0.contains("name=\"message\"") && parts[0].0.contains("application/json"));
    for (part, id, kind, ending, content) in
        [(&parts[1], &first, "image/png", "png", &picture), (&parts[2], &second, "text/vcard", "vcf", &card)]
    {
        assert!(part.0.contains("name=\"attachment\"") && part.0.contains(kind), "{}", part.0);
        assert!(part.0.contains(&format!("filename=\"{id}.{ending}\"")), "{}", part.0);
        assert!(part.1 == *content, "the bytes of {id}");
    }
    let message = caught.message();
    let listed = |id: &str, kind: &str, content: &[u8]| json!({ "id": id, "media_type": kind, "bytes": content.len(), "sha256": Sha256Sum::of(content).to_string() });
    let expected = json!([listed(&first, "image/png", &picture), listed(&second, "text/vcard", &card)]);
    assert_eq!(message["attachments"], expected);
    assert_eq!((&message["subject"], &message["body"]), (&json!("pictures"), &json!("")));
    // Without attachments it is JSON, as ever.
    let plain = json!({ "channel": "mms", "recipient": "+821012345600", "body": "plain" });
    let id = accept(&mut customer, &plain, None);
    let caught = catcher.of(&id);
    assert!(caught.head.contains("content-type: application/json"), "{}", caught.head);
}

#[test]
fn an_upload_outlives_kill_9_and_is_sent_by_the_next_life() {
    let _beside = beside_others();
    let catcher = Catcher::start();
    let mut gateway = Gateway::spawn(&setup(&catcher)).unwrap();
    let content = png("before the kill");
    let attachment = upload(&gateway, 0, "image/png", &content);
    gateway.kill().unwrap();
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    let id = accept(&mut customer, &carrying(&[&attachment]), None);
    until(&mut customer, &id, &["delivered"], PATIENCE);
    assert!(catcher.of(&id).parts()[1].1 == content);
}

#[test]
fn nobody_names_what_another_uploaded() {
    let _beside = beside_others();
    let catcher = Catcher::start();
    let gateway = Gateway::spawn(&setup(&catcher)).unwrap();
    let content = png("mine");
    let mine = upload(&gateway, 0, "image/png", &content);
    let own = upload(&gateway, 1, "image/png", &content);
    assert_ne!(mine, own, "the same file of two customers");
    let mut other = gateway.customer(1);
    let mut sandbox = Customer::sandbox(gateway.listen(), &gateway.users.sandbox[0], PATIENCE);
    let (status, code, told) = refused(&mut other, &carrying(&[&own, &mine]));
    assert_eq!((status, code.as_str()), (422, "unknown-attachment"));
    assert!(told.starts_with("attachments[1] "), "{told}");
    assert_eq!(refused(&mut sandbox, &carrying(&[&mine])).1, "unknown-attachment");
    for strange in ["att_00000000000000000000000000", "att_x", "", "../../x"] {
        assert_eq!(refused(&mut other, &carrying(&[strange])).1, "unknown-attachment", "{strange}");
    }
    // Its own, and kept no more: only the store tells.
    fs::remove_file(file(&gateway, &own)).unwrap();
    let (_, code, told) = refused(&mut other, &carrying(&[&own]));
    // It is remembered for a while that it was there; the attempt sees that it is not.
    assert!(code.is_empty() || code == "unknown-attachment", "{code}: {told}");
    assert_eq!(used(&gateway), 0, "a refusal has no effect");
}

#[test]
fn a_batch_of_a_thousand_with_one_picture_is_taken_whole() {
    let _beside = beside_others();
    let catcher = Catcher::start();
    let gateway = Gateway::spawn(&setup(&catcher)).unwrap();
    let attachment = upload(&gateway, 0, "image/png", &png("to a thousand"));
    let mut customer = gateway.customer(0);
    let mut batch = vec![carrying(&[&attachment]); 1_000];
    batch[500] = carrying(&["att_00000000000000000000000000"]);
    let reply = customer.batch(&batch).unwrap();
    let told = reply.json();
    assert_eq!((reply.status, &told["accepted"], &told["refused"]), (202, &json!(999), &json!(1)));
    assert_eq!(told["results"][500]["problem"]["code"], "unknown-attachment");
}

#[test]
fn what_is_gone_or_damaged_is_not_sent_and_not_paid_for_in_the_sandbox_neither() {
    let _beside = beside_others();
    let catcher = Catcher::start();
    let gateway = Gateway::spawn(&setup(&catcher)).unwrap();
    let mut customer = gateway.customer(0);
    let (gone, damaged, swapped) = (png("gone"), png("damaged"), png("swapped"));
    let ids: Vec<String> =
        [&gone, &damaged, &swapped].iter().map(|content| upload(&gateway, 0, "image/png", content)).collect();
    fs::remove_file(file(&gateway, &ids[0])).unwrap();
    let path = file(&gateway, &ids[1]);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    // A sound file, and another's: only the id tells.
    let other = upload(&gateway, 0, "image/png", &png("another"));
    fs::copy(file(&gateway, &other), file(&gateway, &ids[2])).unwrap();
    for id in &ids {
        let message = accept(&mut customer, &carrying(&[id]), None);
        let report = report(&mut customer, &message);
        assert_eq!((&report["status"], &report["code"]), (&json!("failed"), &json!("attachment-lost")));
        assert_eq!(report["charged"], false);
        assert!(report["detail"].as_str().unwrap().contains(id.as_str()), "{report}");
    }
    assert!(catcher.all().is_empty(), "nothing was sent without what it carries");
    assert_eq!(used(&gateway), 0);
    let mut sandbox = Customer::sandbox(gateway.listen(), &gateway.users.sandbox[0], PATIENCE);
    let kind = "Content-Type: image/png";
    let reply = post(&gateway, &gateway.users.sandbox[0], "/sandbox/v1.0", &[kind], &gone);
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let path = gateway.home().join("data/blobs/attachments/sandbox");
    let owner = path.read_dir().unwrap().next().unwrap().unwrap().path();
    fs::remove_file(owner.join(&id)).unwrap();
    let message = accept(&mut sandbox, &carrying(&[&id]), None);
    assert_eq!(report(&mut sandbox, &message)["code"], "attachment-lost");
}
