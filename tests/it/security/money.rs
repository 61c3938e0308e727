//! Units and limits that are no numbers of things are refused where they are set, and change nothing.

use naru_tests::gateway::{Gateway, Setup};

use crate::stage::beside_others;

#[test]
fn what_is_less_than_nothing_or_more_than_is_counted_is_no_limit() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { quota: Some(7), ..Setup::default() }).unwrap();
    let before = gateway.customer(0).get("/quota").unwrap().json();
    for limit in ["-1", "1.5", "1e3", "9223372036854775808", "18446744073709551616", "", "NaN", "٣"] {
        let refused = gateway.verb(&["quota", "set", "c0", limit]);
        assert!(refused.is_err(), "{limit}: {refused:?}");
    }
    for rate in [
        "a=0/1s+1",
        "a=-1/1s+1",
        "a=1/0s+1",
        "a=1/1s+0",
        "a=18446744073709551616/1s+1",
        "a=4294967296/1s+1",
        "a=1/99999999999999h+1",
    ] {
        let refused = gateway.verb(&["rate", "set", "c0", rate]);
        assert!(refused.is_err(), "{rate}: {refused:?}");
    }
    // The limit and the rates are those of before; and what is a number of things is taken.
    assert_eq!(gateway.customer(0).get("/quota").unwrap().json(), before);
    for limit in ["0", "9223372036854775807"] {
        gateway.verb(&["quota", "set", "c0", limit]).unwrap();
    }
    gateway.verb(&["rate", "set", "c0", "a=1/1s+1"]).unwrap();
}
