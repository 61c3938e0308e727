//! What a signature covers: the names of components (RFC 9421 section 2).

use sfv::{BareItem, InnerList};

use super::input::malformed;
use crate::problem::Problem;

/// The most that one signature covers.
const MOST: usize = 64;

/// Components derived from the head that are known here. Those that tell the scheme are not: what ends TLS in front of this server hides it.
const DERIVED: [&str; 5] = ["@method", "@authority", "@path", "@query", "@request-target"];

/// Names in their order, each once.
#[derive(Debug)]
pub(super) struct Components(Vec<String>);

impl Components {
    pub(super) fn of(list: &InnerList) -> Result<Self, Problem> {
        if list.items.len() > MOST {
            return Err(malformed(format!("A signature covers at most {MOST} components.")));
        }
        let mut names: Vec<String> = Vec::with_capacity(list.items.len());
        for item in &list.items {
            let BareItem::String(name) = &item.bare_item else {
                return Err(malformed("The name of a component is a string."));
            };
            let name = name.as_str();
            if !item.params.is_empty() {
                let sentence =
                    "Components with parameters (sf, key, bs, req, tr, name) are not verified here.";
                return Err(malformed(sentence));
            }
            let known = if name.starts_with('@') { DERIVED.contains(&name) } else { is_field(name) };
            if !known {
                return Err(malformed("A component is none that is verified here."));
            }
            if names.iter().any(|other| other == name) {
                return Err(malformed("A component is covered twice."));
            }
            names.push(name.to_owned());
        }
        Ok(Self(names))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|other| other == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A header's name in lower case (RFC 9110 section 5.6.2).
fn is_field(name: &str) -> bool {
    let of_token =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(of_token)
}
