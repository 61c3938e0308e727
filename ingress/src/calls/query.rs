//! The query of an accept: whether it is a rehearsal.

use crate::problem::{Code, Problem};

/// Whether nothing is to be sent; a parameter that is unknown, repeated or neither true nor false is refused, so that nobody
/// sends in earnest who misspelt it.
pub fn dry_run(query: &str) -> Result<bool, Problem> {
    let refuse = |sentence: &'static str| Err(Problem::new(Code::InvalidParameter, sentence));
    let mut told = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let ("dry_run", value) = pair.split_once('=').unwrap_or((pair, "")) else {
            return refuse("The only parameter is dry_run.");
        };
        let value = match value {
            "true" => true,
            "false" => false,
            _ => return refuse("dry_run is true or false."),
        };
        if told.replace(value).is_some() {
            return refuse("dry_run is given once.");
        }
    }
    Ok(told.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certainly_meant_is_a_rehearsal() {
        for (query, dry) in
            [("", false), ("dry_run=true", true), ("dry_run=false", false), ("&dry_run=true&", true)]
        {
            assert_eq!(dry_run(query), Ok(dry), "{query}");
        }
        for bad in [
            "dry_run",
            "dry_run=",
            "dry_run=1",
            "dry_run=TRUE",
            "dry-run=true",
            "dry_run=true&dry_run=true",
            "a=b",
            "dry_run=%74rue",
        ] {
            assert_eq!(dry_run(bad).map_err(|problem| problem.code), Err(Code::InvalidParameter), "{bad}");
        }
    }
}
