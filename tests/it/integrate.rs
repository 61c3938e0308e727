//! docs/integrate.md: a customer's programs in five languages, by every way in, against a gateway's sandbox.

mod between;
mod page;
mod programs;

use std::{collections::BTreeSet, thread, time::Duration};

use between::{Between, Call};
use naru_tests::{
    customer::Customer,
    gateway::{Gateway, Setup},
    wire::Wire,
};
use programs::{Language, Proof, Said, proofs, run};
use serde_json::Value;

use crate::{
    signing::changeable,
    stage::{accept, beside_others, message},
};

/// Longer than the longest poll.
const PATIENCE: Duration = Duration::from_secs(25);

/// What a verb changes is in force by then.
const IN_FORCE: Duration = Duration::from_secs(1);

const SEND: &str = "POST /sandbox/v1.0/messages/batch";
const LOOK: &str = "GET /sandbox/v1.0/reports";

/// By every way in, past an answer that is busy and one that is lost: each message once, each report once; and no call of which one byte
/// is another is taken.
fn every_way_in(language: Language) {
    let _beside = beside_others();
    // Hundreds of calls are refused here, and none need wait for it.
    let config = "[ingress]\nguess_wait_ms = 0\n".to_owned();
    let gateway = Gateway::spawn(&Setup { config, ..Setup::default() }).unwrap();
    let proofs = proofs(&gateway, language);
    thread::sleep(IN_FORCE);
    assert_eq!(proofs.len(), 3 + language.algorithms().len());
    for proof in &proofs {
        let between = Between::start(gateway.listen());
        let word = proof.name.to_lowercase();
        let base = format!("http://{}/sandbox", between.address());
        let said = run(language, proof, &base, gateway.home(), &word);
        said_all(&said, &word, proof);
        sent_once(&between, proof);
        let _known = no_other_byte(&gateway, &between.calls(SEND)[0], proof);
        // So that the look for reports need not wait for one; and the next program finds none of it.
        let mut customer = Customer::sandbox(gateway.listen(), &gateway.users.sandbox[0], PATIENCE);
        accept(&mut customer, &message("sms", "one more"), None);
        let page = no_other_byte(&gateway, &between.calls(LOOK)[0], proof);
        let read = customer.acknowledge(page["reports"].as_array().unwrap()).unwrap();
        assert_eq!(read.json()["acknowledged"], 1, "{page}");
    }
}

/// Each message's fate, and each report once.
fn said_all(said: &Said, word: &str, proof: &Proof) {
    let whole = format!("{proof:?}: {:?} {}", said.lines, said.errors);
    assert_eq!(said.code, Some(0), "{whole}");
    let (mut accepted, mut others) = (BTreeSet::new(), BTreeSet::new());
    for line in &said.lines {
        match line.split_once(" accepted msg_") {
            Some((key, _)) => accepted.insert(key.to_owned()),
            None => others.insert(line.clone()),
        };
    }
    let expected =
        ["1 delivered ok 1 free", "2 refused invalid-recipient", "3 failed backend-refused 1 free"];
    assert_eq!(others, expected.map(|line| format!("{word}-{line}")).into(), "{whole}");
    assert_eq!(accepted, ["1", "3"].map(|number| format!("{word}-{number}")).into(), "{whole}");
    assert_eq!(said.lines.len(), 5, "{whole}");
    // Of the first batch nobody heard, the answer to the second was lost, and nobody heard of the first look for reports.
    assert_eq!(said.errors.matches("again in 1 s").count(), 2, "{whole}");
    assert_eq!(said.errors.matches("again in 2 s").count(), 1, "{whole}");
}

/// The batch was called three times, heard twice, and named the same messages; each call was proved anew.
fn sent_once(between: &Between, proof: &Proof) {
    let calls = between.calls(SEND);
    assert_eq!(calls.len(), 3, "{proof:?}");
    let [none, first, second] = [0, 1, 2].map(|nth| calls[nth].reply.clone().map(|reply| reply.json()));
    assert_eq!((none, first.as_ref().unwrap()["accepted"].as_u64()), (None, Some(2)), "{proof:?}");
    let ids = |of: &Value| [0, 2].map(|index| of["results"][index]["id"].as_str().unwrap().to_owned());
    assert_eq!(ids(&first.unwrap()), ids(&second.unwrap()), "{proof:?}");
    if proof.signs() {
        let signatures: BTreeSet<Option<String>> =
            calls.iter().map(|call| call.header("signature")).collect();
        assert!(signatures.len() == 3 && !signatures.contains(&None), "{signatures:?}");
    }
}

/// A call that the gateway has not seen: refused with one byte changed, wherever it is proved, and answered as it was.
fn no_other_byte(gateway: &Gateway, call: &Call, proof: &Proof) -> Value {
    assert!(call.reply.is_none(), "{}", call.name);
    let places = if proof.signs() { changeable(&call.bytes) } else { word_of(&call.bytes) };
    assert!(places.len() > 10, "{proof:?}: {} places", places.len());
    for at in places {
        let mut bytes = call.bytes.clone();
        bytes[at] ^= 1;
        let (status, _) = answer(gateway, &bytes);
        let text = String::from_utf8_lossy(&bytes);
        assert!(matches!(status, 0 | 400..=499 | 501), "{proof:?}, byte {at}: {status}\n{text}");
    }
    let (status, whole) = answer(gateway, &call.bytes);
    assert!(matches!(status, 200 | 202), "{proof:?}: {whole}\n{}", String::from_utf8_lossy(&call.bytes));
    whole
}

/// Every third byte of what `Authorization` says after the name of its scheme.
fn word_of(bytes: &[u8]) -> Vec<usize> {
    let head = String::from_utf8_lossy(bytes).to_lowercase();
    let at = head.find("\r\nauthorization: ").unwrap() + "\r\nauthorization: ".len();
    let (begins, ends) = (at + head[at..].find(' ').unwrap() + 1, at + head[at..].find("\r\n").unwrap());
    (begins..ends).step_by(3).collect()
}

/// What the gateway answers to these bytes; 0 where the connection ends without an answer.
fn answer(gateway: &Gateway, bytes: &[u8]) -> (u16, Value) {
    let reply = Wire::new(gateway.listen(), PATIENCE).exchange(bytes);
    reply.map_or((0, Value::Null), |reply| (reply.status, reply.json()))
}

#[test]
fn the_shell_sends_by_every_way_in_and_takes_its_reports() {
    every_way_in(Language::Shell);
}

#[test]
fn python_sends_by_every_way_in_and_takes_its_reports() {
    every_way_in(Language::Python);
}

#[test]
fn javascript_sends_by_every_way_in_and_takes_its_reports() {
    every_way_in(Language::JavaScript);
}

#[test]
fn java_sends_by_every_way_in_and_takes_its_reports() {
    every_way_in(Language::Java);
}

#[test]
fn php_sends_by_every_way_in_and_takes_its_reports() {
    every_way_in(Language::Php);
}
