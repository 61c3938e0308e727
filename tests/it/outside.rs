//! Who listens by means of their own, where that cannot be.

use naru_tests::gateway::{Gateway, Setup};

use crate::stage::beside_others;

#[test]
fn nobody_can_listen_outside_to_a_topic_that_is_a_file() {
    let _beside = beside_others();
    let gateway = Gateway::prepare(&Setup::default()).unwrap();
    let error = format!("{:#}", gateway.verb(&["subscription", "add", "partner", "--outside"]).unwrap_err());
    assert!(error.contains("the topic is a file of one process: nobody else can listen to it"), "{error}");
    let listed = gateway.verb(&["subscription", "list"]).unwrap();
    assert!(!listed.contains("partner"), "and nothing was added: {listed}");
    // One of ours by that name is another matter.
    gateway.verb(&["subscription", "add", "partner"]).unwrap();
}
