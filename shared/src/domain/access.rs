//! What a credential may do, and from where.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::IpNetwork;

/// One thing that a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send messages, and upload what they carry.
    Send,
    /// Read how messages stand, reports and limits, and acknowledge reports.
    Read,
    /// Take messages back.
    Cancel,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Send, Self::Read, Self::Cancel];

    /// The word used in documents and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Read => "read",
            Self::Cancel => "cancel",
        }
    }
}

/// A word names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected send, read or cancel")]
pub struct NotAScope;

impl FromStr for Scope {
    type Err = NotAScope;
    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(NotAScope)
    }
}

/// What a credential may do. Until somebody says otherwise that is everything, also what a later release may add.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Option<Vec<Scope>>);

impl Scopes {
    /// These and no others; each once, in their own order.
    #[must_use]
    pub fn only(mut scopes: Vec<Scope>) -> Self {
        scopes.sort_unstable();
        scopes.dedup();
        Self(Some(scopes))
    }

    /// Whether nothing was said: everything is allowed.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this may be done.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.as_ref().is_none_or(|scopes| scopes.contains(&scope))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(scopes) = &self.0 else { return f.write_str("all") };
        let words: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        f.write_str(&words.join(" "))
    }
}

/// What is said of a credential beside how it proves itself. Kept flat in its document, each part only where it was said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Access {
    /// What it may do.
    #[serde(default, skip_serializing_if = "Scopes::is_all")]
    pub scopes: Scopes,
    /// From where it may be used; from everywhere where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpNetwork>,
}

impl Access {
    /// Whether it may be used from there; `None` is an address that is not known, which lies in no network.
    #[must_use]
    pub fn admits(&self, from: Option<IpAddr>) -> bool {
        let inside = |address| self.addresses.iter().any(|network| network.contains(address));
        self.addresses.is_empty() || from.is_some_and(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_everything_and_is_not_written() {
        let nothing = Access::default();
        assert_eq!(serde_json::to_string(&nothing).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Access>("{}").unwrap(), nothing);
        assert!(Scope::ALL.into_iter().all(|scope| nothing.scopes.allow(scope)));
        assert!(nothing.admits(None) && nothing.admits(Some("192.0.2.1".parse().unwrap())));
        assert_eq!(nothing.scopes.to_string(), "all");
    }

    #[test]
    fn what_was_said_is_kept_and_holds() {
        let scopes = Scopes::only(vec![Scope::Cancel, Scope::Read, Scope::Read]);
        assert_eq!(scopes.to_string(), "read cancel");
        assert!(scopes.allow(Scope::Read) && !scopes.allow(Scope::Send));
        assert!(!Scopes::only(Vec::new()).allow(Scope::Read), "none is not all");
        let addresses = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let access = Access { scopes, addresses };
        let text = serde_json::to_string(&access).unwrap();
        assert_eq!(text, r#"{"scopes":["read","cancel"],"addresses":["10.0.0.0/8","2001:db8::/32"]}"#);
        assert_eq!(serde_json::from_str::<Access>(&text).unwrap(), access);
        let admits = |ip: &str| access.admits(Some(ip.parse().unwrap()));
        assert!(admits("10.1.2.3") && admits("::ffff:10.1.2.3") && admits("2001:db8::1"));
        assert!(!admits("11.0.0.1") && !admits("2001:db9::1") && !access.admits(None));
    }
}
