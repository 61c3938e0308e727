//! A linter that is not ours reads the contract.

use std::{fs, path::Path};

use naru_tests::tools::tool;
use serde_json::json;

use super::root;

fn linted(document: &Path) -> (bool, String) {
    let mut command = tool("npm/node_modules/.bin/spectral").unwrap();
    command
        .args(["lint", "--fail-severity", "hint", "--ruleset"])
        .arg(root().join("tests/tools/spectral-openapi.yaml"));
    let output = command.arg(document).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

#[test]
fn the_linter_passes_the_contract_and_would_refuse_a_broken_one() {
    let (passes, said) = linted(&root().join("docs/openapi.json"));
    assert!(passes, "{said}");
    let home = tempfile::tempdir().unwrap();
    let breaks: [(&str, serde_json::Value); 5] = [
        ("/paths/~1messages/post/operationId", json!("sendBatch")),
        ("/paths/~1messages/post/responses/202/content/application~1json/example/units", json!("one")),
        (
            "/paths/~1messages/post/requestBody/content/application~1json/schema/$ref",
            json!("#/components/schemas/None"),
        ),
        ("/paths/~1quota/get/tags/0", json!("unheard-of")),
        ("/components/schemas/Accepted/type", json!("objekt")),
    ];
    for (place, wrong) in breaks {
        let mut document = naru_ingress::contract();
        *document.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = wrong;
        let broken = home.path().join("openapi.json");
        fs::write(&broken, document.to_string()).unwrap();
        assert!(!linted(&broken).0, "{place} passes");
    }
}
