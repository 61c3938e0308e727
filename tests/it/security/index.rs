//! docs/security.md: each test that it names is there.

use std::{fs, path::Path};

#[test]
fn every_test_that_the_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let document = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let named: Vec<(&str, &str)> = document.split('`').filter_map(|part| part.split_once(".rs::")).collect();
    assert!(named.len() > 60, "{}", named.len());
    for (file, name) in named {
        let source = fs::read_to_string(root.join(format!("{file}.rs")))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        // A guarantee of a conformance suite is a function that every adapter's tests run.
        let is_there =
            [format!("fn {name}("), format!("fn {name}\n")].iter().any(|line| source.contains(line));
        assert!(is_there, "{file}.rs has no {name}");
    }
    // Every row has some.
    let rows = document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| tried"));
    for row in rows {
        assert!(row.contains(".rs::"), "{row}");
    }
}
