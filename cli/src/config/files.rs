//! Settings whose value is in a file of its own, so that a secret stands neither in the configuration nor in the environment:
//! `url = { file = "/run/secrets/ledger_url" }`, or `NARU_LEDGER__URL__FILE=/run/secrets/ledger_url`.

use std::{fs, path::Path};

use toml::{Table, Value};

use super::ConfigError;

/// What such a file may hold, in bytes.
const LONGEST: u64 = 64 << 10;

/// Puts a text in place of each such setting, to see whether everything else is right before any file is read.
pub(super) fn stood_in(settings: &Table) -> Table {
    let mut settings = settings.clone();
    for (_, value) in in_files(&mut settings) {
        *value = Value::String(String::new());
    }
    settings
}

/// Puts what the files hold in their settings' places, without the line break at its end.
///
/// # Errors
/// If a file cannot be read, is empty or too long. What it holds is not repeated.
pub(super) fn read(settings: &mut Table) -> Result<(), ConfigError> {
    for (name, value) in in_files(settings) {
        let path = value.get("file").and_then(Value::as_str).unwrap_or_default().to_owned();
        let text = contents(Path::new(&path))
            .map_err(|what| ConfigError::Wrong { place: name, what: format!("{path} {what}") })?;
        *value = Value::String(text.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(())
}

fn contents(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    if fs::metadata(path).map_err(unreadable)?.len() > LONGEST {
        return Err(format!("holds more than {LONGEST} bytes"));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(text) }
}

/// Every setting of a section that is a table of nothing but a file's name. `keys.file` is none: it is a setting itself.
fn in_files(settings: &mut Table) -> Vec<(String, &mut Value)> {
    let mut found = Vec::new();
    for (section, value) in settings {
        let Value::Table(of) = value else { continue };
        for (key, value) in of {
            let named = value.as_table().filter(|table| table.len() == 1).and_then(|table| table.get("file"));
            if named.is_some_and(Value::is_str) {
                found.push((format!("{section}.{key}"), value));
            }
        }
    }
    found
}
