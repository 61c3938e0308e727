//! Variables of the environment that begin with `NARU_` and are no setting: the few that are known, those that a cluster sets
//! by itself, and those that were mistyped.

use toml::{Table, Value};

use super::ConfigError;

/// Read elsewhere: by the command line, for the log, and the secrets.
const KNOWN: [&str; 4] = ["NARU_CONFIG", "NARU_DATA", "NARU_LOG", "NARU_KEYS"];

/// How alike two names must be for one to have been meant by the other, from 0 to 1.
const ALIKE: f64 = 0.85;

/// Every variable that means something.
pub(super) fn known(defaults: &Table) -> Vec<String> {
    let mut names: Vec<String> = KNOWN.map(str::to_owned).to_vec();
    for (section, value) in defaults {
        if let Value::Table(settings) = value {
            let name = |key: &String| format!("NARU_{section}__{key}").to_ascii_uppercase();
            names.extend(settings.keys().map(name));
        }
    }
    names
}

/// Whether a variable that is not of the form of a setting may be there.
///
/// # Errors
/// If it names nothing.
pub(super) fn accept(name: &str, value: &str, known: &[String], others: &[&str]) -> Result<(), ConfigError> {
    if KNOWN.contains(&name) || others.contains(&name) || is_of_a_cluster(name, value) {
        return Ok(());
    }
    let letters = |name: &str| name.replace('_', "");
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(&letters(name), &letters(other));
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let what = match nearest.filter(|near| likeness(near) > ALIKE) {
        Some(near) => format!("it names no setting; did you mean `{near}`?"),
        None => "it names no setting: one of [section] is NARU_SECTION__KEY".to_owned(),
    };
    Err(ConfigError::Wrong { place: name.to_owned(), what })
}

/// A cluster that has a service whose name begins with `naru` tells every container where it is
/// (<https://kubernetes.io/docs/concepts/containers/container-environment/#cluster-information>): nobody typed these.
fn is_of_a_cluster(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let of_port = name.split("_PORT_").nth(1).is_some_and(|rest| {
        let mut words = rest.split('_');
        let number = words.next().is_some_and(|word| word.parse::<u16>().is_ok());
        number && words.next().is_some_and(|word| ["TCP", "UDP", "SCTP"].contains(&word))
    });
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || of_port
        || (name.ends_with("_PORT") && is_address)
}
