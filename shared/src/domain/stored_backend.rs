//! A backend as documents of the catalog hold it.
//!
//! A release reads all routes, or none: it must not meet a `kind` that it does not know. A table is therefore written as an `http`
//! backend without a place to post to, with the table beside it. A release that knows no tables makes no backend of that: the
//! route's messages are taken in, and wait for a worker that knows. Its commands refuse to change such a route. The plain way of
//! writing is read already.

use serde::{Deserialize, Serialize};

use super::route::{BackendConfig, HttpBackend, SimulatorBackend};
use super::table::TableBackend;

/// No place to post to.
const NOWHERE: &str = "table:";

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum StoredBackend {
    Simulator(SimulatorBackend),
    Http(Posting),
    Table(Box<TableBackend>),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Posting {
    Table { url: String, table: Box<TableBackend> },
    Http(HttpBackend),
}

impl From<StoredBackend> for BackendConfig {
    fn from(stored: StoredBackend) -> Self {
        match stored {
            StoredBackend::Simulator(simulator) => Self::Simulator(simulator),
            StoredBackend::Http(Posting::Http(http)) => Self::Http(http),
            StoredBackend::Http(Posting::Table { table, .. }) | StoredBackend::Table(table) => {
                Self::Table(table)
            }
        }
    }
}

impl From<BackendConfig> for StoredBackend {
    fn from(backend: BackendConfig) -> Self {
        match backend {
            BackendConfig::Simulator(simulator) => Self::Simulator(simulator),
            BackendConfig::Http(http) => Self::Http(Posting::Http(http)),
            BackendConfig::Table(table) => Self::Http(Posting::Table { url: NOWHERE.to_owned(), table }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::preset;

    /// What the release before knows of backends.
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Before {
        Simulator(SimulatorBackend),
        Http(HttpBackend),
    }

    fn table() -> BackendConfig {
        let url = "postgres://u:secret@db/relay".parse().unwrap();
        BackendConfig::Table(Box::new(TableBackend { url, mapping: preset("em_tran").unwrap() }))
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let text = serde_json::to_string(&table()).unwrap();
        assert_eq!(serde_json::from_str::<BackendConfig>(&text).unwrap(), table());
    }

    #[test]
    fn the_release_before_reads_a_backend_that_posts_nowhere() {
        let text = serde_json::to_string(&table()).unwrap();
        let Before::Http(http) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert_eq!(http.url, NOWHERE);
    }

    #[test]
    fn the_plain_way_of_writing_is_read_already() {
        let BackendConfig::Table(inner) = table() else { panic!("it is a table") };
        let mut plain = serde_json::to_value(&inner).unwrap();
        plain["kind"] = "table".into();
        assert_eq!(serde_json::from_value::<BackendConfig>(plain).unwrap(), table());
    }

    #[test]
    fn other_backends_are_written_as_before() {
        let text = r#"{"kind":"http","url":"https://a/b","allow_networks":["10.0.0.0/8"]}"#;
        let backend: BackendConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&backend).unwrap(), text);
        let text = r#"{"kind":"simulator"}"#;
        let backend: BackendConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&backend).unwrap(), text);
    }
}
