//! A policy of IAM, and whether it allows a call.

use serde::Serialize;

/// An identity policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    /// The language's version.
    pub version: &'static str,
    /// What it allows.
    pub statement: Vec<Statement>,
}

/// Actions that are allowed on resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Its name.
    pub sid: &'static str,
    /// `Allow`.
    pub effect: &'static str,
    /// `service:Action`.
    pub action: Vec<&'static str>,
    /// Full names, in which `*` stands for anything.
    pub resource: Vec<String>,
}

impl Statement {
    /// Allows these actions on these resources.
    #[must_use]
    pub const fn allow(sid: &'static str, action: Vec<&'static str>, resource: Vec<String>) -> Self {
        Self { sid, effect: "Allow", action, resource }
    }

    /// Whether it allows this.
    #[must_use]
    pub fn allows(&self, action: &str, resource: &str) -> bool {
        self.action.contains(&action) && self.resource.iter().any(|pattern| matches(pattern, resource))
    }
}

impl Policy {
    /// Of these statements.
    #[must_use]
    pub const fn of(statement: Vec<Statement>) -> Self {
        Self { version: "2012-10-17", statement }
    }

    /// Whether any statement allows this.
    #[must_use]
    pub fn allows(&self, action: &str, resource: &str) -> bool {
        self.statement.iter().any(|statement| statement.allows(action, resource))
    }
}

/// Whether a pattern stands for a name: `*` for any characters, even none.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    loop {
        if matches(rest, left) {
            return true;
        }
        let mut characters = left.chars();
        if characters.next().is_none() {
            return false;
        }
        left = characters.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name) in
            [("*", ""), ("a-*-b", "a-x-y-b"), ("a*", "a"), ("a", "a"), ("*-bulk", "x-bulk")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a-*-b", "a-b"), ("a", "ab"), ("*-bulk", "x-bulk-dead"), ("a*b", "b")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
