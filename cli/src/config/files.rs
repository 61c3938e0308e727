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

/// Every setting, however deep in a section, that is a table of nothing but a file's name. `keys.file` is none: it is a setting
/// itself.
fn in_files(settings: &mut Table) -> Vec<(String, &mut Value)> {
    let mut found = Vec::new();
    for (section, value) in settings {
        if let Value::Table(of) = value {
            look_into(section, of, &mut found);
        }
    }
    found
}

fn look_into<'a>(place: &str, of: &'a mut Table, found: &mut Vec<(String, &'a mut Value)>) {
    for (key, value) in of {
        let place = format!("{place}.{key}");
        let named = value.as_table().filter(|table| table.len() == 1).and_then(|table| table.get("file"));
        if named.is_some_and(Value::is_str) {
            found.push((place, value));
        } else if let Value::Table(of) = value {
            look_into(&place, of, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_files_is_read_however_deep_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::write(&one, "first\n").unwrap();
        fs::write(&two, "second").unwrap();
        let text = format!(
            "[keys]\nfile = \"k\"\n[ledger]\nurl = {{ file = {one:?} }}\n[queue.doorbell]\nurl = {{ file = {two:?} }}\n"
        );
        let mut settings: Table = text.parse().unwrap();
        read(&mut settings).unwrap();
        assert_eq!(settings["ledger"]["url"].as_str(), Some("first"));
        assert_eq!(settings["queue"]["doorbell"]["url"].as_str(), Some("second"));
        assert_eq!(settings["keys"]["file"].as_str(), Some("k"));
    }
}
