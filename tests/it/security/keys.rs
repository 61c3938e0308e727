//! A customer's credentials are valid side by side, and what is secret in them is shown once.

use std::time::Duration;

use naru_tests::{
    customer::Customer,
    gateway::{Gateway, Setup},
};
use serde_json::Value;

use crate::stage::{beside_others, within};

const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn two_credentials_are_valid_at_once_and_their_secrets_are_shown_once() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup::default()).unwrap();
    let make = || -> Value {
        serde_json::from_str(&gateway.verb(&["credential", "add", "c0", "--json"]).unwrap()).unwrap()
    };
    let (first, second) = (make(), make());
    let text = |of: &Value, name: &str| of[name].as_str().unwrap().to_owned();
    let listed = gateway.verb(&["credential", "list", "--json"]).unwrap();
    for made in [&first, &second] {
        let user = ["id", "password", "api_key"].map(|name| text(made, name)).join(":");
        let mut customer = Customer::live(gateway.address(), &user, PATIENCE);
        within(PATIENCE, "it is valid", || (customer.get("/quota").unwrap().status == 200).then_some(()));
        assert!(listed.contains(&text(made, "id")), "{listed}");
        assert!(!listed.contains(&text(made, "password")) && !listed.contains(&text(made, "api_key")));
    }
}
