//! Called wrongly: what is said, to people and to programs, and with which exit code.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use serde_json::Value;

use crate::{
    damage::refused,
    program::{Up, begun, code, complained, json, naru, run, said},
};

/// The error object that a program reads.
fn error(output: &Output) -> Value {
    let text = complained(output);
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(output.stdout.is_empty(), "{}", said(output));
    value["error"].clone()
}

#[test]
fn wrong_usage_is_json_for_programs_and_text_for_people() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let wrong: [&[&str]; 5] = [
        &["nonsense"],
        &["customer", "add"],
        &["status", "--nonsense"],
        &[],
        &["quota", "set", "acme", "many"],
    ];
    for args in wrong {
        let output = naru(&data).args(args).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let error = error(&output);
        assert_eq!(error["code"], "usage", "{args:?}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.starts_with("error:"), "{message}");
        assert!(!message.contains('\u{1b}'), "{message}");
        let plain = run(&data, args);
        assert_eq!(plain.status.code(), Some(2), "{args:?}");
        assert!(serde_json::from_str::<Value>(&complained(&plain)).is_err(), "{}", complained(&plain));
    }
    // A value is not an option: what follows `--` is not asked for JSON.
    let output = run(&data, &["customer", "add", "--", "--json", "more"]);
    assert!(output.status.code() == Some(2) && complained(&output).starts_with("error:"));
    for asked in ["--help", "--version"] {
        let output = naru(&data).args([asked, "--json"]).output().unwrap();
        assert!(output.status.code() == Some(0) && said(&output).contains("naru"), "{}", complained(&output));
    }
}

#[test]
fn values_that_cannot_be_are_usage_errors_in_a_sentence() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    json(&data, &["customer", "add", "acme"]);
    let urls = [
        "carrier.example",
        "ftp://carrier.example/",
        "http://",
        "http://u:p@carrier.example/",
        "http://a/#b",
    ];
    for url in urls {
        let output = run(&data, &["route", "add", "mine", "http", url]);
        assert_eq!(output.status.code(), Some(2), "{url}: {}", complained(&output));
        assert!(complained(&output).contains("http or https"), "{}", complained(&output));
    }
    assert_eq!(code(&data, &["route", "show", "mine"]), 3);
    for verb in ["set", "add"] {
        for (units, why) in
            [("-5", "less than nothing"), ("1.5", "whole number"), ("9223372036854775808", "at most")]
        {
            let output = run(&data, &["quota", verb, "acme", units]);
            assert_eq!(output.status.code(), Some(2), "{}", complained(&output));
            let said = complained(&output);
            assert!(said.contains(why) && said.contains(units), "{said}");
        }
    }
    assert_eq!(json(&data, &["quota", "set", "acme", "0"])[0]["limit"], 0);
}

#[test]
fn what_exists_already_is_a_conflict_that_says_so() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    json(&data, &["customer", "add", "acme"]);
    json(&data, &["credential", "add", "acme", "--id", "acme-1"]);
    json(&data, &["route", "add", "mine", "simulator"]);
    json(&data, &["subscription", "add", "billing"]);
    let again: [(&[&str], &str); 4] = [
        (&["customer", "add", "acme"], "naru customer set acme"),
        (&["credential", "add", "acme", "--id", "acme-1"], "another id"),
        (&["route", "add", "mine", "simulator"], "naru route set mine"),
        (&["subscription", "add", "billing"], "already"),
    ];
    for (args, hint) in again {
        let output = naru(&data).args(args).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", complained(&output));
        let error = error(&output);
        let message = error["message"].as_str().unwrap();
        assert_eq!(error["code"], "conflict");
        assert!(message.contains("exists already") && message.contains(hint), "{message}");
    }
}

#[test]
fn the_printed_line_works_from_anywhere() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("it's home");
    fs::create_dir(&home).unwrap();
    let up = Up::start_in(&home, Path::new("data"));
    let line = up.greeting.iter().find(|line| line.contains("route add mine")).unwrap().trim();
    let data = home.canonicalize().unwrap().join("data");
    assert!(line.contains(&data.display().to_string().replace('\'', r"'\''")), "{line}");
    let elsewhere = std::process::Command::new("bash").args(["-c", line]).current_dir("/").output().unwrap();
    assert!(elsewhere.status.success(), "{line}: {}", complained(&elsewhere));
    assert_eq!(json(&data, &["route", "show", "mine"])["assigned"][0][0], "demo");
    assert_eq!(up.stop(), 0);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_directory_that_others_may_enter_is_closed_if_it_is_naru_s_and_refused_if_not() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    for open in [0o755, 0o777, 0o770] {
        // Empty at first, Naru's own from then on.
        fs::create_dir_all(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(open)).unwrap();
        assert_eq!(Up::start(&data, &["--no-demo"]).stop(), 0);
        assert_eq!(mode(&data), 0o700);
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(code(&data, &["check"]), 1);
    fs::write(data.join("letter.txt"), "to a friend").unwrap();
    let output = refused(&data);
    assert_eq!(output.status.code(), Some(1), "{}", complained(&output));
    assert!(complained(&output).contains("letter.txt"), "{}", complained(&output));
    assert_eq!(mode(&data), 0o755, "what may be somebody else's is left as it is");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(Up::start(&data, &["--no-demo"]).stop(), 0);
}

#[test]
fn a_variable_that_names_no_setting_is_refused_and_the_right_one_offered() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let with =
        |name: &str, value: &str| naru(&data).env(name, value).args(["config", "show"]).output().unwrap();
    for (wrong, right) in [
        ("NARU_INGRESSLISTEN", "NARU_INGRESS__LISTEN"),
        ("NARU_INGRESS_LISTEN", "NARU_INGRESS__LISTEN"),
        ("NARU_LOGS", "NARU_LOG"),
        ("NARU_DATADIR", "NARU_DATA"),
        ("NARU_PROCESS_LOW_DISK_BYTES", "NARU_PROCESS__LOW_DISK_BYTES"),
        ("NARU_FAULT", ""),
    ] {
        let output = with(wrong, "127.0.0.1:1");
        let said = complained(&output);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {said}");
        assert!(said.contains(wrong) && said.contains(right), "{said}");
    }
    for (right, value) in [("NARU_LOG", "debug"), ("NARU_INGRESS__LISTEN", "127.0.0.1:9"), ("NARUX", "1")] {
        assert_eq!(with(right, value).status.code(), Some(0), "{right}");
    }
    let output = with("NARU_LOG", "naru=loud");
    assert!(output.status.code() == Some(2) && complained(&output).contains("`naru=loud`"), "{output:?}");
    // A cluster that has a service called `naru` sets these in every container; nobody mistyped them.
    for (given, value) in [
        ("NARU_SERVICE_HOST", "10.0.0.1"),
        ("NARU_SERVICE_PORT", "80"),
        ("NARU_SERVICE_PORT_HTTP", "80"),
        ("NARU_PORT", "tcp://10.0.0.1:80"),
        ("NARU_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("NARU_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("NARU_INGRESS_SERVICE_HOST", "10.0.0.1"),
    ] {
        assert_eq!(with(given, value).status.code(), Some(0), "{given}");
    }
}
