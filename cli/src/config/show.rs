//! The configuration in force, fit to be shown.

use toml::{Table, Value};

use super::Config;

/// The effective configuration as TOML; what is secret by its name, and passwords inside URLs, are masked.
///
/// # Errors
/// If it cannot be written as TOML.
pub fn shown(config: &Config) -> Result<Table, toml::ser::Error> {
    let mut table = Table::try_from(config)?;
    mask(&mut table);
    Ok(table)
}

fn mask(table: &mut Table) {
    const SECRET: [&str; 4] = ["secret", "password", "token", "key"];
    for (name, value) in table.iter_mut() {
        let secret = SECRET.iter().any(|word| name == word || name.ends_with(&format!("_{word}")));
        match value {
            Value::Table(inner) => mask(inner),
            Value::String(text) if secret => *text = "(secret)".to_owned(),
            Value::String(text) => {
                if let Some(masked) = without_password(text) {
                    *text = masked;
                }
            }
            _ => {}
        }
    }
}

/// `scheme://user:password@host…` without the password; `None` for any other text.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (credentials, host) = rest[..end].rsplit_once('@')?;
    let user = credentials.split(':').next().unwrap_or_default();
    Some(format!("{scheme}://{user}:(secret)@{host}{}", &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        let text = "url = \"redis://u:p@h:1/0\"\nplain = \"https://h/x@y\"\n[a]\napi_key = \"k\"\npassword = \"p\"\nlisten = \"1:2\"\n";
        let mut table: Table = toml::from_str(text).unwrap();
        mask(&mut table);
        assert_eq!(table["url"].as_str(), Some("redis://u:(secret)@h:1/0"));
        assert_eq!(table["plain"].as_str(), Some("https://h/x@y"));
        assert_eq!(table["a"]["api_key"].as_str(), Some("(secret)"));
        assert_eq!(table["a"]["password"].as_str(), Some("(secret)"));
        assert_eq!(table["a"]["listen"].as_str(), Some("1:2"));
    }
}
