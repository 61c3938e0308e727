//! The libraries of PyPI and npm, with the programs that docs/webhooks.md shows.

use std::{
    fs,
    path::{Path, PathBuf},
};

use naru_tests::{
    gateway::{Gateway, Setup},
    receiver::hook::{Manner, Posted, Target},
    tools,
};
use serde_json::{Value, json};

use super::{PATIENCE, add, verb};
use crate::stage::{accept, beside_others, message, within};

/// The program that a document shows in a language.
fn shown(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/webhooks.md");
    let document = fs::read_to_string(path).unwrap();
    let (_, rest) = document.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

const ASK_PYTHON: &str = "
import json, sys
for case in json.load(open(sys.argv[1])):
    print(json.dumps(receive(case['secret'], case['headers'], case['body'].encode())))
";

const ASK_JAVASCRIPT: &str = "
for (const c of JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8')))
    console.log(JSON.stringify(receive(c.secret, c.headers, c.body)))
";

/// What both say to some cases: the event, or null.
fn judged(folder: &Path, cases: &[Value]) -> Vec<(Value, Value)> {
    let path = |name: &str| folder.join(name);
    fs::write(path("cases.json"), json!(cases).to_string()).unwrap();
    fs::write(path("verify.py"), shown("python") + ASK_PYTHON).unwrap();
    fs::write(path("verify.js"), shown("js") + ASK_JAVASCRIPT).unwrap();
    let node_modules: PathBuf = tools::folder().unwrap().join("npm/node_modules");
    let mut python = tools::tool("pip/bin/python").unwrap();
    python.args([path("verify.py"), path("cases.json")]);
    let mut node = tools::tool("pip/bin/node").unwrap();
    node.args([path("verify.js"), path("cases.json")]).env("NODE_PATH", node_modules);
    let answers = [&mut python, &mut node].map(|command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    });
    let [python, node] = answers;
    assert_eq!((python.len(), node.len()), (cases.len(), cases.len()));
    python.into_iter().zip(node).collect()
}

fn case(secret: &str, posted: &Posted) -> Value {
    let headers: serde_json::Map<String, Value> =
        posted.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({ "secret": secret, "headers": headers, "body": String::from_utf8(posted.body.clone()).unwrap() })
}

#[test]
fn python_s_and_javascript_s_libraries_verify_with_either_secret_and_refuse_a_changed_byte() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let target = Target::start(Manner::well()).unwrap();
    let added = add(&gateway, "main", &target.url(), &[]);
    let old = added["secrets"][0].as_str().unwrap().to_owned();
    let mut customer = gateway.customer(0);
    let first = accept(&mut customer, &message("sms", "안녕"), None);
    within(PATIENCE, "the first callback", || (target.posted().len() == 1).then_some(()));
    let rotated = verb(&gateway, &["rotate", "c0", "main"]);
    let new = rotated["secrets"][0].as_str().unwrap().to_owned();
    assert_eq!(rotated["secrets"], json!([new, old]));
    assert_eq!(verb(&gateway, &["show", "c0", "main", "--secrets"])["secrets"], json!([new, old]));
    std::thread::sleep(super::IN_FORCE);
    accept(&mut customer, &message("sms", "after"), None);
    within(PATIENCE, "the second callback", || (target.posted().len() == 2).then_some(()));
    let told = verb(&gateway, &["test", "c0", "main"]);
    assert_eq!((told["taken"].as_bool(), told["status"].as_u64()), (Some(true), Some(204)), "{told}");

    let [before, after, test] = <[Posted; 3]>::try_from(target.posted()).unwrap();
    let mut changed = case(&new, &after);
    changed["body"] = json!(changed["body"].as_str().unwrap().replacen("delivered", "deliverex", 1));
    let mut other = case(&new, &after);
    other["headers"]["webhook-id"] = json!("msg_other.1");
    let good =
        [case(&old, &before), case(&old, &after), case(&new, &after), case(&old, &test), case(&new, &test)];
    let bad = [case(&new, &before), changed, other];
    let judged = judged(gateway.home(), &[&good[..], &bad[..]].concat());
    for (index, (python, node)) in judged.iter().enumerate() {
        assert_eq!(python, node, "case {index}");
        assert_eq!(python.is_object(), index < good.len(), "case {index}: {python}");
    }
    let event = &judged[0].0;
    assert_eq!(event["type"], "naru.message.delivered");
    assert_eq!(
        (event["data"]["id"].as_str(), event["data"]["reference"].as_str()),
        (Some(&*first), Some("안녕"))
    );
    assert_eq!(before.header("webhook-id"), Some(format!("{first}.1").as_str()));
    assert_eq!(event["id"], format!("{first}.1"));
    assert_eq!(before.header("content-type"), Some("application/cloudevents+json"));
    assert!(before.header("user-agent").unwrap().starts_with("naru/"));
    assert_eq!(after.header("webhook-signature").unwrap().split(' ').count(), 2);
    assert_eq!(judged[3].0["type"], "naru.webhook.test");
}
