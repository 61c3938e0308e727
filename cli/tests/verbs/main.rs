//! The operator's verbs as black boxes: the built program, a directory, an exit code.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its tests share"
)]

mod damage;
mod keys;
mod messages;
mod program;
mod restore;
mod routes;
mod signing;
mod usage;

use std::{fs, os::unix::fs::PermissionsExt};

use program::{Up, begun, code, complained, json, naru, run, said};
use serde_json::Value;

#[test]
fn a_verb_before_the_first_start_says_that_there_is_nothing() {
    let root = tempfile::tempdir().unwrap();
    let output = run(&root.path().join("none"), &["customer", "list"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(complained(&output).contains("naru up"), "{}", complained(&output));
}

#[test]
fn the_first_start_prints_lines_to_try_and_never_its_secrets_again() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let up = Up::start(&data, &[]);
    let first = up.greeting.join("\n");
    assert_eq!(first.matches("curl ").count(), 2, "{first}");
    assert!(first.contains("route add mine http") && first.contains("--assign demo"), "{first}");
    assert_eq!(up.stop(), 0);
    let secret = first.split("demo-live:").nth(1).unwrap().split(':').next().unwrap();
    let again = Up::start(&data, &[]);
    let second = again.greeting.join("\n");
    assert!(second.contains("naru") && !second.contains(secret) && !second.contains("curl"), "{second}");
    assert_eq!(again.stop(), 0);
}

#[test]
fn what_is_written_is_for_its_owner_only() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn a_directory_in_use_is_told_with_its_holder() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let up = Up::start(&data, &["--no-demo"]);
    let output = run(&data, &["up", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(complained(&output).contains(&format!("process {}", up.child.id())), "{}", complained(&output));
    let status = json(&data, &["status"]);
    assert_eq!(status["running"], format!("process {}", up.child.id()));
    assert_eq!(up.stop(), 0);
    assert_eq!(json(&data, &["status"])["running"], Value::Null);
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let root = tempfile::tempdir().unwrap();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let up = Up::start_logging_to(&root.path().join("data"), &["--no-demo"], full.into());
    assert_eq!(up.stop(), 0);
}

#[test]
fn a_first_start_that_fails_leaves_the_demo_to_the_next() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let output = run(&data, &["up", "--listen", &taken, "--operator-listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1), "{}", complained(&output));
    let up = Up::start(&data, &[]);
    assert!(up.greeting.iter().any(|line| line.contains("curl")), "{:?}", up.greeting);
    assert_eq!(up.stop(), 0);
}

#[test]
fn customers_are_made_changed_and_never_twice() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    let made =
        json(&data, &["customer", "add", "acme", "--time-zone", "Asia/Seoul", "--rate", "burst=10/1s+20"]);
    assert_eq!(made["time_zone"], "Asia/Seoul");
    assert_eq!(made["rates"][0]["burst"], 20);
    assert_eq!(code(&data, &["customer", "add", "acme"]), 4);
    assert_eq!(json(&data, &["customer", "suspend", "acme"])["suspended"], true);
    assert_eq!(json(&data, &["customer", "resume", "acme"])["suspended"], false);
    let set = json(&data, &["customer", "set", "acme", "--weight", "7", "--no-rate"]);
    assert_eq!((set["weight"].as_u64(), set["rates"].as_array().unwrap().len()), (Some(7), 0));
    assert_eq!(code(&data, &["customer", "show", "nobody"]), 3);
    assert_eq!(code(&data, &["customer", "add", "Big Name"]), 2);
    assert_eq!(code(&data, &["customer", "add", "b", "--weight", "0"]), 2);
    assert_eq!(code(&data, &["customer", "add", "b", "--rate", "x=1/1s", "--rate", "x=2/1s"]), 2);
    assert_eq!(json(&data, &["customer", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn secrets_of_a_credential_are_shown_once() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    assert_eq!(code(&data, &["credential", "add", "nobody"]), 3);
    json(&data, &["customer", "add", "acme"]);
    let made = json(&data, &["credential", "add", "acme", "--environment", "sandbox"]);
    let password = made["password"].as_str().unwrap();
    assert!(password.len() == 26 && made["api_key"].as_str().unwrap().len() == 26);
    let listed = said(&run(&data, &["credential", "list", "acme", "--json"]));
    assert!(
        listed.contains("sandbox") && !listed.contains(password) && !listed.contains("secret"),
        "{listed}"
    );
    let id = made["id"].as_str().unwrap();
    assert!(json(&data, &["credential", "revoke", id])["revoked_at"].is_string());
    assert_eq!(code(&data, &["credential", "revoke", "gone"]), 3);
    assert_eq!(code(&data, &["credential", "add", "acme", "--id", id]), 4);
}

#[test]
fn a_route_is_refused_when_it_would_break_a_promise() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    json(&data, &["customer", "add", "acme"]);
    let add = |more: &[&str]| {
        let mut args = vec!["route", "add", "mine", "http"];
        args.extend(more);
        run(&data, &args)
    };
    let refused = add(&["http://127.0.0.1:9/"]);
    assert_eq!(refused.status.code(), Some(1), "loopback needs --allow-network: {}", complained(&refused));
    let slow = add(&["http://127.0.0.1:9/", "--allow-network", "127.0.0.0/8", "--attempt-timeout", "30s"]);
    assert_eq!(slow.status.code(), Some(1));
    assert!(complained(&slow).contains("lease"), "{}", complained(&slow));
    assert_eq!(
        add(&["http://127.0.0.1:9/", "--allow-network", "127.0.0.0/8", "--assign", "nobody"]).status.code(),
        Some(3)
    );
    assert_eq!(code(&data, &["route", "show", "mine"]), 3, "all or nothing");
    let made = add(&["http://127.0.0.1:9/", "--allow-network", "127.0.0.0/8", "--assign", "acme", "--json"]);
    assert_eq!(made.status.code(), Some(0), "{}", complained(&made));
    let shown = json(&data, &["route", "show", "mine"]);
    assert_eq!(shown["assigned"][0][0], "acme");
    assert_eq!(shown["on_uncertain"], "fail", "a duplicate harms more than a failure that is told");
    assert_eq!(json(&data, &["route", "pause", "mine"])["paused"], true);
    assert_eq!(json(&data, &["route", "set", "mine", "--on-uncertain", "hold"])["on_uncertain"], "hold");
    assert_eq!(json(&data, &["route", "resume", "mine"])["paused"], false);
    assert_eq!(code(&data, &["route", "assign", "sandbox", "acme"]), 1);
}

#[test]
fn quotas_are_set_added_to_and_shown() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    json(&data, &["customer", "add", "acme"]);
    assert_eq!(code(&data, &["quota", "add", "acme", "5"]), 3);
    json(&data, &["quota", "set", "acme", "100", "--period", "prepaid", "--channel", "sms"]);
    let shown = json(&data, &["quota", "add", "acme", "5", "--channel", "sms"]);
    assert_eq!(shown[0]["limit"], 105);
    assert_eq!(shown[0]["remaining"], 105);
    assert_eq!(shown[0]["renews_at"], Value::Null);
    assert_eq!(code(&data, &["quota", "add", "acme", "18446744073709551615", "--channel", "sms"]), 2);
}

#[test]
fn a_subscription_begins_ends_and_begins_again() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    json(&data, &["subscription", "add", "billing"]);
    assert_eq!(code(&data, &["subscription", "add", "billing"]), 4);
    json(&data, &["subscription", "remove", "billing"]);
    assert_eq!(json(&data, &["subscription", "list"])[0]["ended"], true);
    json(&data, &["subscription", "add", "billing"]);
    assert_eq!(json(&data, &["subscription", "list"])[0]["ended"], false);
}

#[test]
fn what_is_unsafe_or_mistyped_is_refused_before_anything_is_made() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let open = ["up", "--listen", "0.0.0.0:0", "--operator-listen", "127.0.0.1:0"];
    let output = run(&data, &open);
    assert_eq!(output.status.code(), Some(1));
    assert!(complained(&output).contains("allow_plain_http"), "{}", complained(&output));
    let output = naru(&data).env("NARU_INGRESS__LISEN", "x").arg("check").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(complained(&output).contains("did you mean `listen`?"), "{}", complained(&output));
    for part in ["ingress", "workers"] {
        let output = run(&data, &[part]);
        assert_eq!(output.status.code(), Some(1));
        assert!(complained(&output).contains("naru up"), "{}", complained(&output));
    }
}

#[test]
fn keys_that_others_can_read_or_that_are_gone_stop_the_start() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    let keys = data.join("keys.toml");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(code(&data, &["check"]), 1);
    assert_eq!(code(&data, &["up", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]), 1);
    fs::remove_file(&keys).unwrap();
    let output = run(&data, &["up", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(!keys.exists(), "new secrets beside old data would disown every credential");
}

#[test]
fn the_shown_configuration_is_a_file_to_begin_with() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let shown = said(&run(&data, &["config", "show"]));
    let file = root.path().join("naru.toml");
    fs::write(&file, &shown).unwrap();
    let again = naru(&data).arg("--config").arg(&file).args(["config", "show"]).output().unwrap();
    assert_eq!(said(&again), shown, "{}", complained(&again));
}

#[test]
fn a_copy_made_while_running_is_put_in_place_only_when_nothing_runs() {
    let root = tempfile::tempdir().unwrap();
    let (data, copy) = (root.path().join("data"), root.path().join("copy"));
    let up = Up::start(&data, &["--no-demo"]);
    json(&data, &["customer", "add", "before"]);
    let copied = copy.to_str().unwrap();
    json(&data, &["backup", copied]);
    assert_eq!(code(&data, &["backup", copied]), 4);
    json(&data, &["customer", "add", "after"]);
    assert_eq!(code(&data, &["restore", copied, "--replace"]), 5);
    assert_eq!(up.stop(), 0);
    assert_eq!(code(&data, &["restore", copied]), 4);
    json(&data, &["restore", copied, "--replace"]);
    let customers = json(&data, &["customer", "list"]);
    let ids: Vec<&str> = customers.as_array().unwrap().iter().filter_map(|c| c["id"].as_str()).collect();
    assert_eq!(ids, ["before"]);
    let fresh = root.path().join("fresh");
    json(&fresh, &["restore", copied]);
    assert_eq!(Up::start(&fresh, &["--no-demo"]).stop(), 0);
}
