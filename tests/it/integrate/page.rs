//! docs/integrate.md: what it shows is what the programs are, in both of its languages, and its steps can be typed.

use std::{collections::BTreeSet, os::unix::fs::symlink, path::Path};

use naru_tests::gateway::free_address;
use serde_json::Value;

use super::programs::{Language, root, text};
use crate::{readme, stage::alone};

const ENGLISH: &str = "docs/integrate.md";
const KOREAN: &str = "docs/integrate.ko.md";

/// The blocks of a document by their marks, in order.
fn blocks(document: &str) -> Vec<(&str, &str)> {
    document.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect()
}

/// The blocks with a mark.
fn marked<'a>(document: &'a str, mark: &str) -> Vec<&'a str> {
    blocks(document).into_iter().filter(|(of, _)| *of == mark).map(|(_, block)| block).collect()
}

/// Whether a file has these lines, one after the other, all of them set in by the same blanks.
fn has(file: &str, block: &str) -> bool {
    let (file, block): (Vec<&str>, Vec<&str>) = (file.lines().collect(), block.lines().collect());
    file.windows(block.len()).any(|lines| {
        let set_in = lines[0].len() - lines[0].trim_start().len();
        let set_in = set_in - (block[0].len() - block[0].trim_start().len()).min(set_in);
        lines.iter().zip(&block).all(|(line, shown)| {
            line.get(set_in..).unwrap_or_default() == *shown
                && line.get(..set_in).unwrap_or(line).trim().is_empty()
        })
    })
}

#[test]
fn the_page_shows_each_way_in_of_each_program_as_it_is() {
    let page = text(ENGLISH);
    for language in Language::ALL {
        let (file, shown) = (text(language.program()), marked(&page, language.mark()));
        for block in &shown {
            assert!(has(&file, block), "{} has not: {block}", language.program());
        }
        for way in ["basic", "signed", "jwt", "token"] {
            let begins = format!("{way}(");
            let is_of = |block: &&&str| block.lines().any(|line| line.contains(&begins));
            assert!(shown.iter().any(|block| is_of(&block)), "{language:?}: {way}");
        }
        assert!(page.contains(&format!(
            "](examples/{})",
            language.program().strip_prefix("docs/examples/").unwrap()
        )));
    }
}

#[test]
fn a_line_that_differs_would_be_seen() {
    let file = "class A {\n    void b() {\n        c();\n\n        d();\n    }\n}\n";
    assert!(has(file, "void b() {\n    c();\n\n    d();\n}\n"));
    for other in [
        "void b() {\n    c();\n    d();\n}\n",
        "void b() {\n  c();\n",
        "void b() {\n    e();\n",
        "oid b() {\n",
    ] {
        assert!(!has(file, other), "{other}");
    }
}

#[test]
fn both_languages_of_the_page_show_the_same_programs_and_lead_to_the_same_places() {
    let (english, korean) = (text(ENGLISH), text(KOREAN));
    assert_eq!(blocks(&english), blocks(&korean));
    let files = |document: &str| -> BTreeSet<String> {
        let links = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files = links.filter_map(|link| link.split('#').next()).filter(|file| !file.is_empty());
        files
            .map(str::to_owned)
            .filter(|file| !file.starts_with("integrate") && !file.starts_with("../README"))
            .collect()
    };
    assert_eq!(files(&english), files(&korean));
    let headings = |document: &str| document.lines().filter(|line| line.starts_with('#')).count();
    assert_eq!(headings(&english), headings(&korean));
}

#[test]
fn the_programs_ask_for_the_libraries_with_which_they_are_tried() {
    let tried = text("tests/tools/requirements.txt");
    let asked = text("docs/examples/python/requirements.txt");
    let asked: Vec<&str> = asked.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(asked.len(), 3);
    for line in asked {
        assert!(tried.lines().any(|other| other == line), "{line}");
    }
    let dependencies =
        |path: &str| -> Value { serde_json::from_str::<Value>(&text(path)).unwrap()["dependencies"].clone() };
    let (asked, tried) =
        (dependencies("docs/examples/javascript/package.json"), dependencies("tests/tools/package.json"));
    let asked = asked.as_object().unwrap();
    assert_eq!(asked.len(), 2);
    for (name, version) in asked {
        assert_eq!(tried[name], *version, "{name}");
    }
}

/// A line with `…` for what differs each time.
fn fits(shown: &str, line: &str) -> bool {
    shown
        .split_once('…')
        .map_or(shown == line, |(begin, _)| line.len() > begin.len() && line.starts_with(begin))
}

/// Whether these lines came, whatever their order: reports come as messages end.
fn assert_came(shown: &str, came: &str) {
    let sorted = |text: &str| -> Vec<String> {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (shown, lines) = (sorted(shown), sorted(came));
    assert_eq!(shown.len(), lines.len(), "{came}\n{shown:?}");
    for (shown, line) in shown.iter().zip(&lines) {
        assert!(fits(shown, line), "{shown} or {line}");
    }
}

/// A clean directory with what a newcomer has: the built program, and the documents.
fn directory(home: &Path) {
    std::fs::create_dir_all(home.join("target/release")).unwrap();
    symlink(readme::program(), home.join("target/release/naru")).unwrap();
    symlink(root().join("docs"), home.join("docs")).unwrap();
}

#[test]
fn a_newcomer_comes_from_the_readme_to_a_signed_batch_in_the_sandbox() {
    let _alone = alone();
    let (page, home) = (text(ENGLISH), tempfile::tempdir().unwrap());
    directory(home.path());
    let (typed, shown) = (marked(&page, "sh"), marked(&page, "text"));
    let start = marked(&page, "console")[0].trim();
    assert!(text("README.md").contains(start), "README says it so: {start}");
    let listen = free_address().unwrap();
    let start = start.replace("cargo run --release --bin naru --", "target/release/naru");
    let up = readme::Process::start(
        &format!("{start} --listen {listen} --operator-listen 127.0.0.1:0"),
        home.path(),
    );
    up.line();

    let made = readme::run(typed[0], home.path());
    assert_came(shown[0], &made);
    let said = |name: &str| {
        let line = made.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let told = typed[1]
        .replace("127.0.0.1:8080", &listen.to_string())
        .replace("'KEY_ID'", &said("credential"))
        .replace("'SECRET'", &said("secret"));
    assert!(told.contains(&listen.to_string()) && !told.contains('\''), "{told}");

    // What a verb changes is in force within a second.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let first = readme::run(&format!("{told}{}", typed[2]), home.path());
    assert_came(shown[1], &first);
    // Again: the same ids, and no report; it says so, and ends with 1.
    let again = readme::run(&format!("{told}{} 2>errors || test $? = 1", typed[3].trim()), home.path());
    assert_came(shown[2], &again);
    let accepted = |text: &str| {
        text.lines().filter(|line| line.contains(" accepted ")).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!((accepted(&first), accepted(&again).len()), (accepted(&again), 2));
    let errors = std::fs::read_to_string(home.path().join("errors")).unwrap();
    assert_eq!(errors.matches("has no report yet").count(), 2, "{errors}");

    // The keys of a token, as the page has them made.
    let keys = readme::run(typed[4], home.path());
    assert!(keys.contains("ES256 (P-256)") && home.path().join("private.pem").is_file(), "{keys}");
    up.stop();
}
