//! The shape of the source, held by tests: who may depend on whom, how large a file may be, and that what the
//! documents tell is what the code does.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use clap::CommandFactory;
use naru_shared::domain::{ChargeEffect, Code, OUTCOMES, PARAMETERS};

const CRATES: [&str; 7] = ["shared", "ingress", "workers", "cli", "tests", "fuzz", "xtask"];

/// The longest a file may be.
const LONGEST: usize = 400;
const LONGEST_ROOT: usize = 100;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = CRATES.iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

#[test]
fn dependencies_between_crates_run_one_way() {
    let allowed: [(&str, &[&str]); 6] = [
        ("shared", &[]),
        ("ingress", &["naru-shared"]),
        ("workers", &["naru-shared"]),
        ("cli", &["naru-shared", "naru-ingress", "naru-workers"]),
        ("tests", &["naru-shared", "naru-ingress", "naru-workers", "naru-cli"]),
        ("fuzz", &["naru-shared", "naru-ingress", "naru-workers"]),
    ];
    for (name, allowed) in allowed {
        let manifest: toml::Table = toml::from_str(&text(&format!("{name}/Cargo.toml"))).unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(toml::Value::Table(of)) = manifest.get(section) else { continue };
            for dependency in of.keys().filter(|key| key.starts_with("naru-")) {
                assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
            }
        }
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    const EMPTY: [&str; 4] = ["utils", "common", "helpers", "misc"];
    for (name, _) in sources() {
        let parts: Vec<&str> = name.split(['/', '.']).collect();
        assert!(!parts.iter().any(|part| EMPTY.contains(part)), "{name}");
    }
}

#[test]
fn files_are_small_and_roots_are_tables_of_contents() {
    for (name, source) in sources() {
        let lines = source.lines().count();
        let longest = if name.ends_with("/src/lib.rs") { LONGEST_ROOT } else { LONGEST };
        assert!(lines <= longest, "{name} has {lines} lines, {longest} are allowed");
        if name.ends_with("/src/lib.rs") {
            assert!(!source.contains("\nfn ") && !source.contains("\npub fn "), "{name} holds logic");
        }
    }
}

#[test]
fn metrics_are_declared_in_one_place() {
    for (name, source) in sources() {
        if name == "shared/src/metrics.rs" || name == "tests/it/tidy.rs" {
            continue;
        }
        for raw in ["metrics::counter!", "metrics::gauge!", "metrics::histogram!"] {
            assert!(!source.contains(raw), "{name} uses {raw}");
        }
    }
}

#[test]
fn events_have_no_kinds_but_those_of_the_table() {
    let product = ["shared/src", "ingress/src", "workers/src", "cli/src"];
    for (name, source) in sources() {
        let is_table = name == "shared/src/domain/event_kind.rs";
        if is_table || name.contains("/tests") || !product.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for line in source.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for text in line.split('"').skip(1).step_by(2).filter(|text| text.starts_with("naru.")) {
                let is_prefix = text == "naru.message." || text == "naru.toml" || text.starts_with("naru.{");
                assert!(is_prefix, "{name}: `{text}` is not of the table");
            }
        }
    }
}

/// Holds what stands between a document's markers against what the code says; with `NARU_WRITE_DOCS=1`, writes it.
fn told(path: &str, expected: &str) {
    told_between(path, "from the code", expected);
}

/// As [`told`], between markers of another name.
fn told_between(path: &str, name: &str, expected: &str) {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let document = text(path);
    let (head, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("{path} has no begin marker"));
    let (table, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("{path} has no end marker"));
    if table == expected {
        return;
    }
    if std::env::var_os("NARU_WRITE_DOCS").is_some() {
        fs::write(root().join(path), format!("{head}{begin}{expected}{end}{tail}")).unwrap();
        return;
    }
    panic!("{path} differs from the code; run the test once with NARU_WRITE_DOCS=1. Expected:\n{expected}");
}

#[test]
fn the_documented_codes_are_those_of_the_code() {
    let mut table = "| code | charge | meaning |\n|---|---|---|\n".to_owned();
    for code in Code::ALL {
        let charge = match code.charge() {
            ChargeEffect::Captured => "captured",
            ChargeEffect::Released => "released",
        };
        writeln!(table, "| `{}` | {charge} | {} |", code.as_str(), code.sentence()).unwrap();
    }
    told("docs/codes.md", &table);
}

#[test]
fn the_documented_metrics_are_those_of_the_code() {
    let mut table = "| metric | kind | unit | meaning |\n|---|---|---|---|\n".to_owned();
    for (name, kind, unit, help) in naru_shared::metrics::TABLE {
        writeln!(table, "| `{name}` | {kind} | {} | {help} |", unit.to_lowercase()).unwrap();
    }
    told("docs/metrics.md", &table);
}

#[test]
fn the_documented_problems_are_those_of_the_code() {
    let mut table =
        "| code | status | title | what it means | what to do |\n|---|---|---|---|---|\n".to_owned();
    for (code, status, title, page, advice) in naru_ingress::problems() {
        writeln!(table, "| `{code}` | {status} | {title} | {page} | {advice} |").unwrap();
    }
    told("docs/problems.md", &table);
}

#[test]
fn the_documented_simulator_is_that_of_the_code() {
    let mut table = "| the recipient ends in | what happens |\n|---|---|\n".to_owned();
    for (digits, _, what) in naru_workers::BEHAVIOURS {
        writeln!(table, "| `{digits}` | {what} |").unwrap();
    }
    table.push_str("| anything else | delivered at once |\n");
    told("docs/simulator.md", &table);
    let mut table = "| outcome | parameters | what happens |\n|---|---|---|\n".to_owned();
    for (word, _, parameters, what) in OUTCOMES {
        let parameters: Vec<String> = parameters.iter().map(|name| format!("`{name}`")).collect();
        writeln!(table, "| `{word}` | {} | {what} |", parameters.join(" ")).unwrap();
    }
    told_between("docs/simulator.md", "outcomes", &table);
    let mut table = "| parameter | meaning |\n|---|---|\n".to_owned();
    for (name, _, what) in PARAMETERS {
        writeln!(table, "| `{name}` | {what} |").unwrap();
    }
    told_between("docs/simulator.md", "parameters", &table);
}

#[test]
fn the_documented_settings_are_those_of_the_code() {
    let defaults = toml::Table::try_from(naru_cli::config::Config::default()).unwrap();
    let document = text("docs/configuration.md");
    for (section, value) in &defaults {
        let toml::Value::Table(settings) = value else {
            assert!(document.contains(&format!("`{section}`")), "{section} is not documented");
            continue;
        };
        for (key, default) in settings {
            let row = format!("| `{section}.{key}` | `{default}` |");
            assert!(document.contains(&row), "docs/configuration.md lacks the row: {row}");
        }
    }
}

#[test]
fn the_documented_settings_of_rabbitmq_are_those_of_the_code() {
    let defaults = toml::Table::try_from(naru_shared::rabbitmq::RabbitMqSettings::default()).unwrap();
    let document = text("docs/configuration.md");
    for (key, default) in defaults.iter().filter(|(key, _)| *key != "url") {
        let row = format!("| `queue.{key}`, `topic.{key}` | `{default}` |");
        assert!(document.contains(&row), "docs/configuration.md lacks the row: {row}");
    }
}

#[test]
fn the_documented_settings_of_sqs_are_those_of_the_code() {
    let defaults = toml::Table::try_from(naru_shared::aws::sqs::SqsSettings::default()).unwrap();
    let document = text("docs/configuration.md");
    for (key, default) in &defaults {
        let row = format!("| `queue.{key}` | `{default}` |");
        assert!(document.contains(&row), "docs/configuration.md lacks the row: {row}");
    }
    for key in ["region", "endpoint", "doorbell.url", "doorbell.ca_file", "doorbell.prefix"] {
        assert!(document.contains(&format!("| `queue.{key}` |")), "docs/configuration.md lacks queue.{key}");
    }
}

#[test]
fn the_documented_settings_of_slack_are_those_of_the_code() {
    let defaults = toml::Table::try_from(naru_workers::SlackConfig::default()).unwrap();
    let document = text("docs/configuration.md");
    for (key, default) in &defaults {
        let row = match key.as_str() {
            "url" => "| `slack.url` | must be given |".to_owned(),
            "rules" => "| `slack.rules` | see [slack.md]".to_owned(),
            _ => format!("| `slack.{key}` | `{default}` |"),
        };
        assert!(document.contains(&row), "docs/configuration.md lacks the row: {row}");
    }
    let document = text("docs/slack.md");
    for rule in naru_workers::SlackConfig::default().rules {
        let row = format!("| `{}` | `{}` |", rule.kind, rule.severity.as_str());
        assert!(document.contains(&row), "docs/slack.md lacks the row: {row}");
    }
}

#[test]
fn every_command_is_documented() {
    let document = text("docs/cli.md");
    let mut commands = vec![("naru".to_owned(), naru_cli::args::Cli::command())];
    while let Some((name, command)) = commands.pop() {
        let below: Vec<_> = command.get_subcommands().cloned().collect();
        if below.is_empty() {
            assert!(document.lines().any(|line| has_words(line, &name)), "docs/cli.md lacks `{name}`");
        }
        commands.extend(below.into_iter().map(|c| (format!("{name} {}", c.get_name()), c)));
    }
}

/// Whether a line has these words in this order; names of things may stand between them.
fn has_words(line: &str, words: &str) -> bool {
    let mut spoken = line.split(|c: char| !(c.is_alphanumeric() || c == '-'));
    words.split(' ').all(|word| spoken.any(|other| other == word))
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table = toml::from_str(&text("Cargo.toml")).unwrap();
    let dependencies = manifest["workspace"]["dependencies"].as_table().unwrap();
    let document = text("docs/dependencies.md");
    for name in dependencies.keys().filter(|name| !name.starts_with("naru-")) {
        assert!(
            document.contains(&format!("`{name}`")),
            "docs/dependencies.md does not say what {name} is for"
        );
    }
}

fn blocks(document: &str) -> Vec<&str> {
    document.split("```").skip(1).step_by(2).collect()
}

#[test]
fn the_korean_readme_shows_the_same_commands() {
    let (english, korean) = (text("README.md"), text("README.ko.md"));
    assert_eq!(blocks(&english), blocks(&korean));
    assert!(blocks(&english).len() >= 4);
}

/// What a document links to.
fn links(document: &str) -> BTreeSet<&str> {
    document.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn the_korean_readme_links_the_same_documents() {
    let (english, korean) = (text("README.md"), text("README.ko.md"));
    let but_each_other = |document| -> BTreeSet<&str> {
        links(document).into_iter().filter(|link| !["README.md", "README.ko.md"].contains(link)).collect()
    };
    assert_eq!(but_each_other(&english), but_each_other(&korean));
    assert!(links(&english).len() > 20);
}

/// Every file of the source, but what is built and what a run leaves behind.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (name, sort) = (entry.file_name(), entry.file_type().unwrap());
            let name = name.to_string_lossy();
            let is_left = name.starts_with("target") || [".git", "naru-data", "secrets"].contains(&&*name);
            if sort.is_dir() && !is_left {
                folders.push(entry.path());
            } else if sort.is_file() {
                found.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn no_file_has_the_markers_of_a_merge() {
    let files = files();
    assert!(
        files.iter().any(|path| path.ends_with("README.ko.md")) && files.len() > 300,
        "files were not found"
    );
    let is_marker = |line: &&str| {
        ["<<<<<<< ", "||||||| ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)) || *line == "======="
    };
    for path in files {
        let content = fs::read(&path).unwrap();
        let content = String::from_utf8_lossy(&content);
        assert_eq!(content.lines().find(is_marker), None, "{}", path.display());
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents: Vec<PathBuf> =
        ["README.md", "README.ko.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "compose/README.md"]
            .map(|f| root().join(f))
            .to_vec();
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path());
        documents.extend(entries.filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    let mut broken = BTreeSet::new();
    for path in documents {
        let document = fs::read_to_string(&path).unwrap();
        for link in links(&document) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            if !path.parent().unwrap().join(file).exists() {
                broken.insert(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
