//! How what there is differs from what there shall be: pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::resource::{Found, Resource, Sort, Text};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "difference")]
pub enum Difference {
    /// It is not there.
    Missing(Resource),
    /// It is there, and not as it shall be.
    Drifted(Drift),
    /// It is there and knows nothing of an attribute that is ours: a store that speaks only a part of S3's language.
    Unspoken {
        /// What.
        sort: Sort,
        /// Its name.
        name: String,
        /// Of which attribute.
        attribute: &'static str,
    },
    /// It is there and has our prefix, and nothing implies it. It is told, never deleted.
    Strange {
        /// What.
        sort: Sort,
        /// Its name.
        name: String,
    },
}

/// Attributes that are not what they shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// What.
    pub sort: Sort,
    /// Its name.
    pub name: String,
    /// See [`Found::handle`].
    #[serde(skip)]
    pub handle: String,
    /// By attribute: what it is and what it shall be.
    pub attributes: BTreeMap<&'static str, Is>,
}

/// What an attribute is, and what it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Is {
    /// What is there; empty if nothing.
    pub is: Text,
    /// What shall be there; empty if nothing.
    pub shall: Text,
}

impl Difference {
    /// Whether it can be mended.
    #[must_use]
    pub const fn can_be_mended(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Drifted(_))
    }
}

/// All differences: first what can be mended, in the order of the wanted, then what is strange, by name.
#[must_use]
pub fn diff(wanted: &[Resource], found: &[Found]) -> Vec<Difference> {
    let mut left: BTreeMap<(Sort, &str), Vec<&Found>> = BTreeMap::new();
    for thing in found {
        left.entry((thing.sort, &thing.name)).or_default().push(thing);
    }
    let mut all: Vec<Difference> = Vec::new();
    for resource in wanted {
        match left.remove(&(resource.sort, &resource.name)) {
            None => all.push(Difference::Missing(resource.clone())),
            Some(there) => {
                all.extend(there.iter().flat_map(|one| unspoken(one)));
                all.extend(there.into_iter().filter_map(|one| drift(resource, one)));
            }
        }
    }
    let strange = left.into_keys().map(|(sort, name)| Difference::Strange { sort, name: name.to_owned() });
    all.extend(strange);
    all
}

fn unspoken(is: &Found) -> impl Iterator<Item = Difference> {
    let name = is.name.clone();
    is.unspoken.iter().map(move |attribute| Difference::Unspoken {
        sort: is.sort,
        name: name.clone(),
        attribute,
    })
}

fn drift(shall: &Resource, is: &Found) -> Option<Difference> {
    let (nothing, unspoken) = (Text::default(), &is.unspoken);
    let differs = |(name, shall): (&&'static str, &Text)| {
        let is = is.attributes.get(*name).unwrap_or(&nothing);
        (is != shall && !unspoken.contains(name))
            .then(|| (*name, Is { is: is.clone(), shall: shall.clone() }))
    };
    let attributes: BTreeMap<_, _> = shall.attributes.iter().filter_map(differs).collect();
    (!attributes.is_empty()).then(|| {
        let (name, handle) = (is.name.clone(), is.handle.clone());
        Difference::Drifted(Drift { sort: is.sort, name, handle, attributes })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str, attributes: &[(&'static str, &str)]) -> Resource {
        let attributes = attributes.iter().map(|(name, text)| (*name, Text::from(*text))).collect();
        Resource { sort: Sort::Queue, name: name.to_owned(), attributes }
    }

    fn found(name: &str, attributes: &[(&str, &str)]) -> Found {
        let attributes =
            attributes.iter().map(|(name, text)| ((*name).to_owned(), Text::from(*text))).collect();
        Found {
            sort: Sort::Queue,
            name: name.to_owned(),
            handle: format!("http://{name}"),
            attributes,
            unspoken: Vec::new(),
        }
    }

    #[test]
    fn what_a_store_does_not_know_of_is_told_and_is_no_drift() {
        let mut there = found("a", &[]);
        there.unspoken.push("R");
        let all = diff(&[wanted("a", &[("R", "5")])], &[there]);
        assert!(matches!(&all[..], [Difference::Unspoken { attribute: "R", .. }]), "{all:?}");
        assert!(!all[0].can_be_mended());
    }

    #[test]
    fn what_is_as_it_shall_be_is_not_told_whatever_else_it_says_of_itself() {
        let there = [found("a", &[("R", "5"), ("Kms", "mine")])];
        assert_eq!(diff(&[wanted("a", &[("R", "5"), ("Filter", "")])], &there), []);
    }

    #[test]
    fn missing_drifted_and_strange_are_told() {
        let shall = [wanted("a", &[("R", "5")]), wanted("b", &[("R", "5"), ("P", "{}")])];
        let all = diff(&shall, &[found("b", &[("R", "4"), ("P", "{ }")]), found("c", &[])]);
        assert_eq!(all[0], Difference::Missing(shall[0].clone()));
        let Difference::Drifted(drift) = &all[1] else { panic!("{all:?}") };
        assert_eq!((drift.handle.as_str(), drift.attributes.len()), ("http://b", 1));
        assert_eq!(drift.attributes["R"], Is { is: Text::from("4"), shall: Text::from("5") });
        assert_eq!(all[2], Difference::Strange { sort: Sort::Queue, name: "c".to_owned() });
        assert!(!all[2].can_be_mended() && all.len() == 3);
    }

    #[test]
    fn what_shall_not_be_there_is_drift() {
        let all = diff(&[wanted("a", &[("Filter", "")])], &[found("a", &[("Filter", "{\"x\":[1]}")])]);
        assert!(matches!(&all[..], [Difference::Drifted(_)]), "{all:?}");
    }
}
