//! Up to where the projection is complete, and since when.

use std::{fmt, str::FromStr};

/// The life of a projection: an emptied Redis begins another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch(String);

impl Epoch {
    /// A name that no other has.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{:016x}", fastrand::u64(..)))
    }
}

impl FromStr for Epoch {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        if hex { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Every document up to a version is in the projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Of which life this was said.
    pub epoch: Epoch,
    /// The version.
    pub version: u64,
    /// How many documents there were, at the least.
    pub documents: u64,
}

impl FromStr for Head {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let epoch = parts.next().unwrap_or_default().parse()?;
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or(());
        Ok(Self { epoch, version: number()?, documents: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written_and_anything_else_is_none() {
        let head: Head = "00ff:12:3".parse().unwrap();
        assert_eq!((head.epoch.to_string().as_str(), head.version, head.documents), ("00ff", 12, 3));
        for text in ["", "00ff", "00ff:12", ":1:2", "x:1:2", "00ff:-1:2"] {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
    }
}
