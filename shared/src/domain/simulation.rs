//! What a sandbox message is to meet, as its caller wishes: the header `Naru-Simulate`, an item of RFC 9651 section 3.3, for instance
//! `failed;code="30003";report=5`.
//!
//! It travels as it was written, so that a release which knows more or fewer words reads every message all the same.

use std::{str::FromStr, time::Duration};

use sfv::{BareItem, Item, Parser};

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simulated {
    /// It arrives.
    Delivered,
    /// It is refused for what it is.
    Failed,
    /// No report comes in time; then one comes all the same.
    Late,
    /// Taken, and no report ever comes.
    Unreported,
    /// Not taken a few times, then delivered.
    NotTaken,
    /// It cannot be known.
    Uncertain,
    /// No answer ever.
    Silent,
    /// The call is refused: `429`.
    RateLimited,
    /// The call is refused: `429`, as if money were used up.
    QuotaExceeded,
    /// The call is refused: `503`.
    Unavailable,
}

/// Every outcome: its word, the parameters that it takes, and a sentence for documentation.
pub const OUTCOMES: &[(&str, Simulated, &[&str], &str)] = &[
    (
        "delivered",
        Simulated::Delivered,
        &["delay", "report", "twice"],
        "delivered; with `report` it is `sent` first",
    ),
    (
        "failed",
        Simulated::Failed,
        &["delay", "report", "twice", "code"],
        "failed (`backend-refused`); the detail names the provider's `code`",
    ),
    (
        "late",
        Simulated::Late,
        &["delay", "report"],
        "sent; after `report` seconds `expired` (`no-report`), as if no report had come in time; as long again after that, `delivered`: revision 2",
    ),
    ("unreported", Simulated::Unreported, &["delay"], "sent; no report ever comes"),
    (
        "not-taken",
        Simulated::NotTaken,
        &["times"],
        "not taken `times` times, each tried again; then delivered",
    ),
    ("uncertain", Simulated::Uncertain, &["delay"], "uncertain: failed with code `uncertain`"),
    ("silent", Simulated::Silent, &[], "no answer ever: uncertain when the attempt's time is over"),
    ("rate-limited", Simulated::RateLimited, &["retry-after"], "the call is answered `429` `rate-limited`"),
    (
        "quota-exceeded",
        Simulated::QuotaExceeded,
        &["retry-after"],
        "the call is answered `429` `quota-exceeded`",
    ),
    ("unavailable", Simulated::Unavailable, &["retry-after"], "the call is answered `503` `unavailable`"),
];

/// Every parameter: its name, what may follow it as a regular expression, and a sentence for documentation.
pub const PARAMETERS: &[(&str, &str, &str)] = &[
    ("delay", "=(10|[0-9])", "seconds that the attempt takes, 0 to 10"),
    (
        "report",
        "=([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)",
        "seconds after the attempt until its report comes, 1 to 3600",
    ),
    ("twice", "", "the report is told twice; there is one all the same"),
    (
        "code",
        "=\"[A-Za-z0-9._-]{1,32}\"",
        "the provider's code of the failure, a string of 1 to 32 characters",
    ),
    ("times", "=[1-5]", "attempts that are not taken, 1 to 5; 2 unless it is given"),
    (
        "retry-after",
        "=([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)",
        "seconds for the header `Retry-After`, 1 to 3600; 1 unless it is given",
    ),
];

/// The longest delay of an attempt, in seconds: attempts have 15.
const DELAY: i64 = 10;

/// The longest wait for a report, and the longest `Retry-After`, in seconds.
const WAIT: i64 = 3_600;

/// The most attempts that are not taken: the next ones begin after 1, 5, 30 s, 2 and 10 min.
const TIMES: i64 = 5;

/// The longest code of a provider.
const CODE: usize = 32;

/// What is to happen, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulation {
    /// What.
    pub outcome: Simulated,
    /// How long the attempt takes.
    pub delay: Duration,
    /// When its report comes, counted from the attempt; `None`: with the attempt.
    pub report: Option<Duration>,
    /// The report comes twice.
    pub twice: bool,
    /// The provider's code of a failure.
    pub code: Option<String>,
    /// Attempts that are not taken.
    pub times: u32,
    /// Seconds that a refused call is told to wait.
    pub retry_after: u64,
}

/// Text is no simulation; which rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSimulation(String);

impl Simulation {
    /// How these outcomes are written, as a regular expression; whitespace and other spellings of numbers are read as well.
    #[must_use]
    pub fn pattern(of: impl Fn(Simulated) -> bool) -> String {
        let outcomes = OUTCOMES.iter().filter(|(_, outcome, ..)| of(*outcome)).map(|(word, _, names, _)| {
            let known = PARAMETERS.iter().filter(|(name, ..)| names.contains(name));
            let parameters: Vec<String> = known.map(|(name, value, _)| format!("{name}{value}")).collect();
            if parameters.is_empty() {
                (*word).to_owned()
            } else {
                format!("{word}(;({}))*", parameters.join("|"))
            }
        });
        format!("^({})$", outcomes.collect::<Vec<_>>().join("|"))
    }

    /// When its report comes, where it comes later.
    #[must_use]
    pub fn report_in(&self) -> Option<Duration> {
        match self.outcome {
            Simulated::Late => Some(self.report.unwrap_or(Duration::from_secs(2))),
            _ if self.twice => Some(self.report.unwrap_or(Duration::from_secs(1))),
            _ => self.report,
        }
    }

    fn set(&mut self, name: &str, value: &BareItem) -> Result<(), InvalidSimulation> {
        let within = |least: i64, most: i64| {
            let number = value.as_integer().map(i64::from).filter(|n| (least..=most).contains(n));
            let number = number.and_then(|n| u64::try_from(n).ok());
            number
                .ok_or_else(|| InvalidSimulation(format!("{name} is a whole number from {least} to {most}")))
        };
        match name {
            "delay" => self.delay = Duration::from_secs(within(0, DELAY)?),
            "report" => self.report = Some(Duration::from_secs(within(1, WAIT)?)),
            "retry-after" => self.retry_after = within(1, WAIT)?,
            "times" => self.times = u32::try_from(within(1, TIMES)?).unwrap_or(1),
            "twice" => {
                let on = value.as_boolean();
                self.twice = on.ok_or_else(|| InvalidSimulation("twice stands alone".to_owned()))?;
            }
            _ => {
                let code = value.as_string().map(|code| code.as_str().to_owned());
                let code = code.filter(|code| (1..=CODE).contains(&code.len()));
                let sentence = || InvalidSimulation(format!("code is a string of 1 to {CODE} characters"));
                self.code = Some(code.ok_or_else(sentence)?);
            }
        }
        Ok(())
    }
}

impl FromStr for Simulation {
    type Err = InvalidSimulation;

    fn from_str(text: &str) -> Result<Self, InvalidSimulation> {
        let item: Item = Parser::new(text).parse().map_err(|_| {
            InvalidSimulation("it is no item of RFC 9651, such as failed;report=5".to_owned())
        })?;
        let word = item.bare_item.as_token().map(|token| token.as_str());
        let known = OUTCOMES.iter().find(|(known, ..)| Some(*known) == word);
        let Some((word, outcome, parameters, _)) = known else {
            let words: Vec<&str> = OUTCOMES.iter().map(|(word, ..)| *word).collect();
            return Err(InvalidSimulation(format!("the outcomes are {}", words.join(", "))));
        };
        let mut simulation = Self {
            outcome: *outcome,
            delay: Duration::ZERO,
            report: None,
            twice: false,
            code: None,
            times: 2,
            retry_after: 1,
        };
        for (name, value) in &item.params {
            if !parameters.contains(&name.as_str()) {
                let sentence = match parameters {
                    [] => format!("{word} takes no parameters"),
                    _ => format!("the parameters of {word} are {}", parameters.join(", ")),
                };
                return Err(InvalidSimulation(sentence));
            }
            simulation.set(name.as_str(), value)?;
        }
        Ok(simulation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    fn read(text: &str) -> Result<Simulation, String> {
        text.parse::<Simulation>().map_err(|error| error.0)
    }

    #[test]
    fn an_item_says_what_happens_and_when() {
        let failed = read(r#"failed;code="30003";delay=3;report=5"#).unwrap();
        assert_eq!((failed.outcome, failed.code.as_deref()), (Simulated::Failed, Some("30003")));
        assert_eq!((failed.delay.as_secs(), failed.report_in().map(|d| d.as_secs())), (3, Some(5)));
        assert!(read("delivered;twice").unwrap().twice && !read("delivered;twice=?0").unwrap().twice);
        assert_eq!(read("delivered").unwrap().report_in(), None);
        assert_eq!(read("not-taken").unwrap().times, 2);
        assert_eq!(read(" unavailable;retry-after=7 ").unwrap().retry_after, 7);
    }

    #[test]
    fn every_outcome_takes_its_parameters_and_no_others() {
        let examples = [
            ("delay", "0"),
            ("report", "1"),
            ("twice", "?1"),
            ("code", "\"x\""),
            ("times", "5"),
            ("retry-after", "9"),
        ];
        for (word, outcome, parameters, _) in OUTCOMES {
            assert_eq!(read(word).unwrap().outcome, *outcome);
            for (name, value) in examples {
                let read = read(&format!("{word};{name}={value}"));
                assert_eq!(read.is_ok(), parameters.contains(&name), "{word} {name}: {read:?}");
            }
        }
    }

    #[test]
    fn a_pattern_names_every_outcome_and_its_parameters() {
        let refusals = Simulation::pattern(|outcome| outcome == Simulated::Unavailable);
        assert!(refusals.starts_with("^(unavailable(;(retry-after=("), "{refusals}");
        let all = Simulation::pattern(|_| true);
        assert!(OUTCOMES.iter().all(|(word, ..)| all.contains(word)) && all.contains("|silent|"), "{all}");
        let known = |name: &&str| PARAMETERS.iter().any(|(other, ..)| other == name);
        assert!(OUTCOMES.iter().all(|(.., names, _)| names.iter().all(&known)));
    }

    #[test]
    fn what_is_no_simulation_is_told_why() {
        for (bad, why) in [
            ("", "no item"),
            ("failed, failed", "no item"),
            ("failed;delay=5s", "no item"),
            ("\"failed\"", "the outcomes are"),
            ("fine", "the outcomes are"),
            ("failed;delay=11", "delay is"),
            ("failed;delay=\"1\"", "delay is"),
            ("failed;report=0", "report is"),
            ("failed;code=\"\"", "code is"),
            ("failed;code=x", "code is"),
            ("delivered;twice=1", "twice stands"),
            ("silent;delay=1", "takes no parameters"),
        ] {
            let told = read(bad).unwrap_err();
            assert!(told.contains(why), "{bad}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~]{0,60}") {
            if let Ok(simulation) = text.parse::<Simulation>() {
                prop_assert!(simulation.delay.as_secs() <= 10);
            }
        }
    }
}
