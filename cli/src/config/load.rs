//! Reads the configuration: defaults, then the file, then the environment.

use std::{
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Config, files, variables};

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A value or a name is wrong.
    #[error("{place}: {what}")]
    Wrong {
        /// The file or the variable.
        place: String,
        /// What, and what may have been meant.
        what: String,
    },
}

/// Reads `file`, if any, and overrides what the variables name: `NARU_INGRESS__LISTEN` is `listen` in `[ingress]`.
/// A variable's value is read as TOML where it can be (`5`, `true`, `"text"`), else as text. A setting may name a file that
/// holds its value (`files.rs`); files are read last. `others` are variables that somebody else reads.
///
/// # Errors
/// If the file cannot be read, or anything in it or in a variable is not known or not right.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    others: &[&str],
) -> Result<Config, ConfigError> {
    let mut merged = defaults()?;
    let known = variables::known(&merged);
    if let Some(path) = file {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let wrong =
            |what: &str| ConfigError::Wrong { place: path.display().to_string(), what: explain(what) };
        let table: Table = toml::from_str(&text).map_err(|e| wrong(&e.to_string()))?;
        merge(&mut merged, table);
        let whole: Result<Config, _> = files::stood_in(&merged).try_into();
        whole.map_err(|e| wrong(&e.to_string()))?;
    }
    for (name, value) in variables {
        let Some(path) = name.strip_prefix("NARU_") else { continue };
        if !path.contains("__") {
            variables::accept(&name, &value, &known, others)?;
            continue;
        }
        let keys: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
        merge(&mut merged, nested(&keys, read_value(&value)));
        let checked: Result<Config, _> = files::stood_in(&merged).try_into();
        checked.map_err(|e| ConfigError::Wrong { place: name.clone(), what: explain(&e.to_string()) })?;
    }
    files::read(&mut merged)?;
    merged
        .try_into()
        .map_err(|e| ConfigError::Wrong { place: "configuration".to_owned(), what: explain(&e.to_string()) })
}

fn defaults() -> Result<Table, ConfigError> {
    Table::try_from(Config::default())
        .map_err(|e| ConfigError::Wrong { place: "defaults".to_owned(), what: e.to_string() })
}

fn read_value(text: &str) -> Value {
    let parsed: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    let parsed = parsed.and_then(|mut table| if table.len() == 1 { table.remove("value") } else { None });
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn nested(keys: &[String], value: Value) -> Table {
    let mut table = Table::new();
    if let Some((first, rest)) = keys.split_first() {
        let inner = if rest.is_empty() { value } else { Value::Table(nested(rest, value)) };
        table.insert(first.clone(), inner);
    }
    table
}

/// Lays `over` upon `base`. Another `kind` of engine begins with that engine's own settings, not with the old one's.
fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => {
                if above.get("kind").is_some_and(|kind| below.get("kind") != Some(kind)) {
                    *below = above;
                } else {
                    merge(below, above);
                }
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// The parser's words, and what may have been meant where it names what it does not know and what it does.
fn explain(said: &str) -> String {
    let said = said.trim();
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    let unknown = said.contains("unknown field") || said.contains("unknown variant");
    let Some((word, known)) = quoted.split_first().filter(|_| unknown) else { return said.to_owned() };
    let nearest =
        known.iter().max_by(|a, b| strsim::jaro_winkler(word, a).total_cmp(&strsim::jaro_winkler(word, b)));
    match nearest.filter(|near| strsim::jaro_winkler(word, near) > 0.75) {
        Some(near) => format!("{said}\ndid you mean `{near}`?"),
        None => said.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use naru_shared::engines::QueueEngine;

    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("naru.toml");
        fs::write(&path, text).unwrap();
        (root, path)
    }

    fn said(text: &str) -> String {
        let (_root, path) = written(text);
        load(Some(&path), [], &[]).unwrap_err().to_string()
    }

    #[test]
    fn a_variable_overrides_the_file_and_the_file_the_default() {
        let (_root, path) = written("[ingress]\nlisten = \"127.0.0.1:1\"\nthreads = 3\n");
        let variables = [
            ("NARU_INGRESS__LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
            ("NARU_PROCESS__DEMO".to_owned(), "false".to_owned()),
            ("NARU_LOG".to_owned(), "debug".to_owned()),
            ("OTHER__LISTEN".to_owned(), "x".to_owned()),
        ];
        let config = load(Some(&path), variables, &[]).unwrap();
        assert_eq!(config.ingress.listen.port(), 2);
        assert_eq!(config.ingress.threads, 3);
        assert!(!config.process.demo);
        assert_eq!(config.operator.listen.port(), 8081);
    }

    #[test]
    fn a_mistyped_name_is_refused_and_the_right_one_offered() {
        let text = said("[ingress]\nlisen = \"127.0.0.1:1\"\n");
        assert!(text.contains("did you mean `listen`?"), "{text}");
        let text = said("[ingres]\nlisten = \"127.0.0.1:1\"\n");
        assert!(text.contains("did you mean `ingress`?"), "{text}");
        let text = said("[queue]\nkind = \"sqllite\"\n");
        assert!(text.contains("did you mean `sqlite`?"), "{text}");
        let variable = [("NARU_INGRESS__LISEN".to_owned(), "x".to_owned())];
        let text = load(None, variable, &[]).unwrap_err().to_string();
        assert!(text.starts_with("NARU_INGRESS__LISEN") && text.contains("`listen`"), "{text}");
    }

    #[test]
    fn a_section_of_an_engine_keeps_its_other_settings() {
        let (_root, path) = written("[queue]\nkind = \"sqlite\"\n");
        let config = load(Some(&path), [], &[]).unwrap();
        assert_eq!(config.queue, naru_shared::engines::QueueEngine::default());
    }

    #[test]
    fn a_value_may_be_in_a_file_that_is_read_when_everything_else_is_known() {
        let text = "[queue]\nkind = \"rabbitmq\"\nurl = { file = \"/does/not/exist\" }\n";
        let (root, path) = written(text);
        let refused = load(Some(&path), [], &[]).unwrap_err().to_string();
        assert!(refused.starts_with("queue.url: /does/not/exist cannot be read"), "{refused}");
        let secret = root.path().join("url");
        let variable = || [("NARU_QUEUE__URL__FILE".to_owned(), secret.display().to_string())];
        for (holds, sentence) in [("\n", "is empty"), (&*"x".repeat(65_537), "more than 65536 bytes")] {
            fs::write(&secret, holds).unwrap();
            let refused = load(Some(&path), variable(), &[]).unwrap_err().to_string();
            assert!(refused.contains(sentence), "{refused}");
        }
        fs::write(&secret, "amqp://naru:secret@rabbit/%2f\n").unwrap();
        let config = load(Some(&path), variable(), &[]).unwrap();
        let QueueEngine::RabbitMq(settings) = config.queue else { panic!("{:?}", config.queue) };
        assert_eq!(settings.url, "amqp://naru:secret@rabbit/%2f");
        // A file takes the place of a text, and a text that of a file.
        let later = [("NARU_QUEUE__URL".to_owned(), "amqp://other/%2f".to_owned())];
        let config = load(Some(&path), variable().into_iter().chain(later), &[]).unwrap();
        let QueueEngine::RabbitMq(settings) = config.queue else { panic!("{:?}", config.queue) };
        assert_eq!(settings.url, "amqp://other/%2f");
        let text = said("[queue]\nkind = \"rabbitmq\"\nurl = { fiel = \"/x\" }\n");
        assert!(text.contains("invalid type"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        assert!(said("[ingress]\nthreads = \"many\"\n").contains("invalid type"));
    }
}
