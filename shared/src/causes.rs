//! An error with what caused it, in one line.

use std::{error::Error, fmt};

/// Writes an error and its sources, each once: `the topic is not available: PublishBatch: no answer within 4 s`.
///
/// Only for engines that are away: what a database says of a row that it refuses may hold what a customer wrote.
#[derive(Debug, Clone, Copy)]
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some errors repeat what they stand upon.
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::QueueError;

    #[test]
    fn every_cause_is_told_once() {
        let error = QueueError(Box::new(std::io::Error::other("refused")));
        assert_eq!(Causes(&error).to_string(), "the queue is not available: refused");
        let outer = QueueError(Box::new(QueueError(Box::new(std::io::Error::other("refused")))));
        assert_eq!(Causes(&outer).to_string(), "the queue is not available: refused");
    }
}
