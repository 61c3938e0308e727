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

/// `scheme://user:password@host…?password=…` without the passwords; `None` for text that has none.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let end = place.find('/').unwrap_or(place.len());
    let place = match place[..end].rsplit_once('@') {
        Some((credentials, host)) => {
            let user = credentials.split(':').next().unwrap_or_default();
            format!("{user}:(secret)@{host}{}", &place[end..])
        }
        None => place.to_owned(),
    };
    let query = query.map(|query| format!("?{}", query.split('&').map(masked).collect::<Vec<_>>().join("&")));
    let shown = format!("{scheme}://{place}{}", query.unwrap_or_default());
    (shown != text).then_some(shown)
}

/// A part of a query, its value masked if its name says that it is secret. Clients of PostgreSQL and Redis take such.
fn masked(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _))
            if ["pass", "secret", "token"].iter().any(|word| name.to_lowercase().contains(word)) =>
        {
            format!("{name}=(secret)")
        }
        _ => pair.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_query_is_masked() {
        for (url, shown) in [
            (
                "postgres://h/db?user=u&password=p&sslmode=require",
                Some("postgres://h/db?user=u&password=(secret)&sslmode=require"),
            ),
            ("redis://u:p@h:6379/?password=q", Some("redis://u:(secret)@h:6379/?password=(secret)")),
            ("postgres://u:p@h/db?sslmode=disable", Some("postgres://u:(secret)@h/db?sslmode=disable")),
            ("https://h/x?y=z@w", None),
            ("plain", None),
        ] {
            assert_eq!(without_password(url).as_deref(), shown, "{url}");
        }
    }

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
