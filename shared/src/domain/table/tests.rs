use super::*;

#[test]
fn every_mapping_that_comes_along_can_be_used() {
    for (name, _) in PRESETS {
        let mapping = preset(name).unwrap_or_else(|| panic!("{name} is read"));
        mapping.check().unwrap();
        assert_eq!(mapping.name, name);
        let again: TableMapping = serde_json::from_str(&serde_json::to_string(&mapping).unwrap()).unwrap();
        assert_eq!(again, mapping);
    }
}

#[test]
fn a_state_and_a_result_say_what_became_of_a_message() {
    let naru = preset("naru").unwrap();
    assert_eq!(naru.verdict("DONE", None), Some(Verdict::Delivered));
    assert_eq!(naru.verdict("FAILED", Some("0")), Some(Verdict::Failed));
    assert_eq!(naru.verdict("UNKNOWN", None), Some(Verdict::Unknown));
    assert_eq!(naru.verdict("SUBMITTED", None), None);
    let em_tran = preset("em_tran").unwrap();
    assert_eq!(em_tran.verdict("3", Some("0")), Some(Verdict::Delivered));
    assert_eq!(em_tran.verdict("3", Some("a ")), Some(Verdict::Failed));
    assert_eq!(em_tran.verdict("3", None), Some(Verdict::Failed));
    assert_eq!(em_tran.verdict("2", Some("0")), None);
}

#[test]
fn what_would_change_a_statement_is_refused() {
    let good = preset("naru").unwrap();
    let edits: Vec<fn(&mut TableMapping)> = vec![
        |m| m.table = "a; DROP TABLE b".into(),
        |m| m.table = "a.b.c".into(),
        |m| m.columns.key = "a b".into(),
        |m| m.columns.subject = Some(String::new()),
        |m| m.log = Some("log".into()),
        |m| m.log = Some("log_%Y%m'".into()),
        |m| m.columns.collected_rev = None,
        |m| m.status.delivered.push("READY".into()),
        |m| m.definition.push("a int); DROP TABLE b".into()),
        |m| drop(m.fixed.insert("a)".into(), "1".into())),
        |m| m.national = Some("+82".into()),
        |m| m.key = TableKey::Number,
        |m| m.columns.recipient = "BODY".into(),
        |m| m.columns.subject = Some("sender".into()),
        |m| m.columns.collected_rev.clone_from(&m.columns.report_rev),
        |m| drop(m.fixed.insert("lane".into(), "bulk".into())),
        |m| drop(m.channel.insert("mms".into(), [("status".to_owned(), "1".to_owned())].into())),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut mapping = good.clone();
        edit(&mut mapping);
        assert!(mapping.check().is_err(), "{number}");
    }
}

#[test]
fn an_address_is_shown_without_what_is_secret() {
    for (url, shown) in [
        ("postgres://u:se/c@ret@db:5432/relay?password=secret", "postgres://…@db:5432/relay?…"),
        ("mysql://u:secret@db/relay", "mysql://…@db/relay"),
        ("sqlite:///var/lib/relay.db", "sqlite:///var/lib/relay.db"),
    ] {
        let url: TableUrl = url.parse().unwrap();
        assert_eq!(url.to_string(), shown);
        assert!(!format!("{url:?}").contains("secret"));
    }
    for bad in ["", "http://a/b", "sqlite:relative.db", "postgres:/a", "mysql://host"] {
        assert!(bad.parse::<TableUrl>().is_err(), "{bad}");
    }
}
