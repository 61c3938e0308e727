//! What was kept long enough is let go by a whole process.

use std::time::Duration;

use naru_tests::gateway::{Gateway, Setup};
use serde_json::Value;

use crate::stage::{accept, beside_others, message, reports, until, used, within};

const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn a_text_is_let_go_when_its_time_is_over_and_the_report_can_still_be_read() {
    let _beside = beside_others();
    let config = "[workers]\ntexts_ms = 0\n".to_owned();
    let mut gateway = Gateway::spawn(&Setup { config, quota: Some(10), ..Setup::default() }).unwrap();
    let mut customer = gateway.customer(0);
    let id = accept(&mut customer, &message("sms", "once"), Some("once"));
    until(&mut customer, &id, &["delivered"], PATIENCE);
    // The first look after a start is at once.
    gateway.drain().unwrap();
    gateway.start(&[]).unwrap();
    let mut customer = gateway.customer(0);
    let masked = within(PATIENCE, "its recipient is masked", || {
        let view = customer.get(&format!("/messages/{id}")).unwrap().json();
        view["recipient"].as_str().unwrap().starts_with('*').then_some(view)
    });
    assert_eq!((&masked["recipient"], &masked["status"]), (&"***********00".into(), &"delivered".into()));
    let shown: Value =
        serde_json::from_str(&gateway.verb(&["message", "show", &id, "--json"]).unwrap()).unwrap();
    assert_eq!(shown["recipient"], masked["recipient"]);
    assert_eq!(accept(&mut customer, &message("sms", "once"), Some("once")), id, "the key still names it");
    assert_eq!(reports(&mut customer, 1, PATIENCE)[0]["id"], id.as_str());
    assert_eq!(used(&gateway), 1);
    gateway.verb(&["check"]).unwrap();
}
