//! Where a table backend's database is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The address of a database. It may hold a password, and is shown without it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableUrl(String);

/// Text is no address of a database. It is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the URL must begin with postgres://, mysql:// (MariaDB too), mariadb:// or sqlite:/, and name a database"
)]
pub struct InvalidTableUrl;

/// Which kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableEngine {
    /// PostgreSQL.
    Postgres,
    /// MariaDB, or MySQL.
    MySql,
    /// A file.
    Sqlite,
}

impl TableUrl {
    /// The whole address, for whoever connects.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Which kind of database it leads to.
    ///
    /// # Errors
    /// If it leads to none.
    pub fn engine(&self) -> Result<TableEngine, InvalidTableUrl> {
        let (scheme, rest) = self.0.split_once(':').ok_or(InvalidTableUrl)?;
        let network = rest.strip_prefix("//").filter(|rest| rest.contains('/'));
        match scheme {
            "postgres" | "postgresql" if network.is_some() => Ok(TableEngine::Postgres),
            "mysql" | "mariadb" if network.is_some() => Ok(TableEngine::MySql),
            "sqlite" if self.path().is_some() => Ok(TableEngine::Sqlite),
            _ => Err(InvalidTableUrl),
        }
    }

    /// Where the file is, if it is one: an absolute path.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("sqlite:")?;
        let path = rest.strip_prefix("//").unwrap_or(rest);
        (path.starts_with('/') && path.len() > 1).then_some(path)
    }
}

impl FromStr for TableUrl {
    type Err = InvalidTableUrl;
    fn from_str(text: &str) -> Result<Self, InvalidTableUrl> {
        let url = Self(text.to_owned());
        url.engine().map(|_| url)
    }
}

/// Without user, password and query.
impl fmt::Display for TableUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path().is_some() {
            return f.write_str(&self.0);
        }
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", ""));
        let (rest, query) = rest.split_once(['?', '#']).map_or((rest, ""), |(rest, _)| (rest, "?…"));
        // What stands before the last `@` may be a password with a `/` in it.
        let (user, place) = rest.rsplit_once('@').map_or(("", rest), |(_, place)| ("…@", place));
        write!(f, "{scheme}://{user}{place}{query}")
    }
}

impl fmt::Debug for TableUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableUrl({self})")
    }
}
