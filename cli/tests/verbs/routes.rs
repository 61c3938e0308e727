//! Lists of other routes, set by two people at the same moment.

use std::thread;

use crate::program::{begun, code, json};

#[test]
fn two_who_set_lists_at_once_do_not_make_a_circle() {
    let root = tempfile::tempdir().unwrap();
    let data = begun(root.path());
    for name in ["left", "right"] {
        assert_eq!(code(&data, &["route", "add", name, "simulator"]), 0);
    }
    let mut both_tried = 0;
    for _ in 0..6 {
        for name in ["left", "right"] {
            assert_eq!(code(&data, &["route", "set", name, "--no-fallback"]), 0);
        }
        let set = |name: &'static str, to: &'static str| {
            let data = &data;
            move || code(data, &["route", "set", name, "--fallback", to])
        };
        let codes = thread::scope(|scope| {
            let both = [scope.spawn(set("left", "right")), scope.spawn(set("right", "left"))];
            both.map(|one| one.join().unwrap())
        });
        let lists = ["left", "right"].map(|name| {
            let shown = json(&data, &["route", "show", name]);
            !shown["fallback"].as_array().is_none_or(Vec::is_empty)
        });
        assert!(!(lists[0] && lists[1]), "messages would go in a circle: {codes:?}");
        assert!(lists[0] || lists[1], "one of them is first: {codes:?}");
        both_tried += usize::from(codes.iter().filter(|code| **code == 0).count() == 1);
    }
    assert_eq!(both_tried, 6, "each time one is told that it cannot be");
}
