//! Who was denied what: counted for each customer and code, told once a minute and kept for the operator. Bounded, so that
//! whoever is denied a million times writes one line and no more.

mod keep;

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use keep::Keeper;
use metrics::Counter;
use naru_shared::{domain::CustomerId, metrics as names};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::problem::Code;

/// How often it is told.
const MINUTE: Duration = Duration::from_secs(60);

/// Pairs of customer and code that are told apart within a minute.
const PAIRS: usize = 1_024;

/// Whose calls these are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    /// The credential that was named is this customer's; that it was the customer who called is not said.
    Customer(CustomerId),
    /// No credential was named that is known. To count it takes as long as to count a customer: it is looked up by a name too.
    Unknown(Option<CustomerId>),
    /// Customers beyond the bound.
    Others,
}

impl Whose {
    /// No name of a customer has brackets.
    fn as_str(&self) -> &str {
        match self {
            Self::Customer(id) => id.as_str(),
            Self::Unknown(_) => "(unknown)",
            Self::Others => "(others)",
        }
    }
}

type Table = HashMap<(Whose, Code), u64>;

/// What was counted, the most first.
type Rows = [((Whose, Code), u64)];

/// The denials of the current minute.
pub struct Denials {
    table: Mutex<Table>,
    nobody: Option<CustomerId>,
    counters: HashMap<Code, Counter>,
}

impl Denials {
    /// None yet.
    pub fn new() -> Self {
        let denials = Code::ALL.iter().copied().filter(|code| code.is_denial());
        let counters = denials.map(|code| (code, names::DENIALS.of(&[("code", code.as_str())]))).collect();
        Self { table: Mutex::default(), nobody: "nobody".parse().ok(), counters }
    }

    /// Counts refusals, if their code is a denial.
    pub fn add(&self, customer: Option<&CustomerId>, code: Code, times: u64) {
        let Some(counter) = self.counters.get(&code) else { return };
        counter.increment(times);
        let whose = customer.cloned().map_or_else(|| Whose::Unknown(self.nobody.clone()), Whose::Customer);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (whose, code);
        if let Some(count) = table.get_mut(&key) {
            *count += times;
            return;
        }
        // Unknown and other callers have a row for each code beyond the bound, so that it is never exceeded by much.
        let is_told = table.len() < PAIRS || matches!(key.0, Whose::Unknown(_));
        let key = if is_told { key } else { (Whose::Others, code) };
        *table.entry(key).or_default() += times;
    }

    #[cfg(test)]
    fn unknown(&self) -> Whose {
        Whose::Unknown(self.nobody.clone())
    }

    /// What was counted since it was last asked.
    fn take(&self) -> Table {
        mem::take(&mut *self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells of the denials and has them kept, once a minute and when `ends` is cancelled.
pub async fn tell(denials: Arc<Denials>, mut keeper: Keeper, ends: CancellationToken) {
    let mut minutes = interval_at(Instant::now() + MINUTE, MINUTE);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let goes_on = ends.run_until_cancelled(minutes.tick()).await.is_some();
        let mut counted: Vec<_> = denials.take().into_iter().collect();
        counted.sort_unstable_by(|((a, x), n), ((b, y), m)| {
            (m, a.as_str(), x.as_str()).cmp(&(n, b.as_str(), y.as_str()))
        });
        for ((whose, code), times) in &counted {
            tracing::info!(
                customer = whose.as_str(),
                code = code.as_str(),
                times,
                "calls were denied within a minute"
            );
        }
        keeper.keep(&counted).await;
        if !goes_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_counted_for_each_customer_and_code_and_start_anew() {
        let denials = Denials::new();
        let acme: CustomerId = "acme".parse().unwrap();
        denials.add(Some(&acme), Code::RateLimited, 1);
        denials.add(Some(&acme), Code::RateLimited, 3);
        denials.add(Some(&acme), Code::Unauthorized, 1);
        denials.add(None, Code::Unauthorized, 1);
        denials.add(Some(&acme), Code::InvalidBody, 1);
        let counted = denials.take();
        assert_eq!(counted.len(), 3, "{counted:?}");
        assert_eq!(counted[&(Whose::Customer(acme), Code::RateLimited)], 4);
        assert_eq!(counted[&(denials.unknown(), Code::Unauthorized)], 1);
        assert!(denials.take().is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_nothing_goes_uncounted() {
        let denials = Denials::new();
        for index in 0..10_000 {
            denials.add(Some(&format!("c{index}").parse().unwrap()), Code::Unauthorized, 1);
            denials.add(Some(&format!("c{index}").parse().unwrap()), Code::Suspended, 1);
            denials.add(None, Code::MissingAuthorization, 1);
        }
        let counted = denials.take();
        assert!(counted.len() <= PAIRS + 2, "{}", counted.len());
        assert_eq!(counted.values().sum::<u64>(), 30_000);
        assert_eq!(counted[&(denials.unknown(), Code::MissingAuthorization)], 10_000);
        assert!(counted[&(Whose::Others, Code::Suspended)] > 9_000);
    }
}
