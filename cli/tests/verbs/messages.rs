//! What the verbs tell of messages, and what they do to them.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::program::{Up, code, json, post, post_with_key, printed_curl, run, said, until};

#[test]
fn a_message_accepted_without_workers_is_seen_waiting_and_delivered_by_the_next_life() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let up = Up::start(&data, &["--workers", "0"]);
    let answer = post(&printed_curl(&up));
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let status = json(&data, &["status"]);
    assert_eq!(status["on_queue"][0]["route"], "demo");
    assert_eq!(status["on_queue"][0]["packs"], 1);
    drop(up);
    let up = Up::start(&data, &[]);
    let found = || {
        json(&data, &["message", "find", "--customer", "demo", "--state", "delivered"])["messages"].clone()
    };
    until("the message is delivered", || found().as_array().unwrap().len() == 1);
    let id = found()[0]["id"].as_str().unwrap().to_owned();
    assert!(answer.contains(&id), "{answer}");
    let shown = json(&data, &["message", "show", &id]);
    assert_eq!((&shown["status"], &shown["charged"]), (&Value::from("delivered"), &Value::from(true)));
    assert_eq!(up.stop(), 0);
    assert_eq!(code(&data, &["check"]), 0);
}

#[test]
fn a_search_by_customer_and_key_looks_nowhere_else_and_a_page_says_where_it_ended() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let up = Up::start(&data, &[]);
    for key in ["one", "two", "three"] {
        let answer = post_with_key(&printed_curl(&up), Some(key));
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    let find = |more: &[&str]| json(&data, &[&["message", "find", "--customer", "demo"], more].concat());
    until("all three are delivered", || {
        find(&["--state", "delivered"])["messages"].as_array().unwrap().len() == 3
    });
    let two = find(&["--key", "two"]);
    assert_eq!((&two["messages"][0]["key"], &two["unseen"]), (&Value::from("two"), &Value::Null));
    assert!(find(&["--key", "four"])["messages"].as_array().unwrap().is_empty());
    let page = find(&["--limit", "2"]);
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
    let next = page["unseen"]["older_than"].to_string();
    let rest = find(&["--limit", "2", "--older-than", &next]);
    assert_eq!((rest["messages"].as_array().unwrap().len(), &rest["unseen"]), (1, &Value::Null));
    let text = said(&run(&data, &["message", "find", "--limit", "2"]));
    assert!(text.contains(&format!("--older-than {next}")), "{text}");
    assert_eq!(up.stop(), 0);
}

#[test]
fn a_message_in_doubt_waits_for_a_person_who_decides_once() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let up = Up::start(&data, &[]);
    json(&data, &["route", "set", "demo", "--on-uncertain", "hold"]);
    // The worker learns of the policy within a second.
    thread::sleep(Duration::from_millis(1_500));
    // The simulator is in doubt at once about recipients that end in 97.
    let answer = post(&printed_curl(&up).replace("5600", "5697"));
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let held = || json(&data, &["uncertain", "list"]);
    until("the message is held", || held().as_array().unwrap().len() == 1);
    assert_eq!(json(&data, &["status"])["waiting"][0]["why"], "waits for a person: naru uncertain list");
    let id = held()[0]["id"].as_str().unwrap().to_owned();
    let resolved = json(&data, &["uncertain", "resolve", &id, "--as", "delivered"]);
    assert_eq!(resolved["resolved"][0], id.as_str());
    assert_eq!(json(&data, &["message", "show", &id])["charged"], true);
    assert_eq!(code(&data, &["uncertain", "resolve", &id, "--as", "failed"]), 4);
    assert_eq!(up.stop(), 0);
    assert_eq!(code(&data, &["check"]), 0);
}
