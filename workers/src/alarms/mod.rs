//! Alarms: what comes and ends is written down together every few seconds, and one worker at a time looks whether a rule of the
//! operator holds. What it decides is the ledger's: a row comes or goes in the transaction that writes its event, so that each change of
//! state is told once, whoever is killed when.

mod judge;
mod rules;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use naru_shared::{
    domain::{AlarmKind, AlarmRule, Timestamp},
    ledger::LedgerError,
    metrics,
    watch::{AlarmChange, FLOW_KEPT},
};
use rules::Rules;

use crate::{
    crew::Crew,
    patience::{self, rest, said},
    shell::{Progress, Routine},
};

/// How often what came and ended is written down, while anything does.
const NOTE: Duration = Duration::from_secs(2);

/// While nothing comes, waits or is raised, a worker looks so many times more seldom.
const SELDOM: u32 = 6;

/// The actor of the alarms.
pub(crate) fn routine(crew: &Arc<Crew>) -> Routine {
    let watching = Arc::clone(crew);
    Routine {
        name: "alarms",
        of: String::new(),
        run: Box::new(move |progress| run(Arc::clone(&watching), progress).boxed()),
        watch: Box::new(|| ()),
        stuck: crew.config.stuck(),
        stop: crew.end.clone(),
    }
}

async fn run(crew: Arc<Crew>, progress: Progress) {
    let (mut looks, mut rules) = (Looks::default(), Rules::default());
    let every = crew.config.alarm();
    while !crew.end.is_cancelled() {
        progress.mark();
        let noted = patience::ledger(crew.deps.watch.note_flow()).await;
        looks.busy |= matches!(noted, Ok(true));
        said("write down what came and ended", noted);
        if looks.is_due(every) && crew.deps.registry.is_complete() {
            let looked = look(&crew, &mut rules, every).await;
            let seen = match looked {
                Ok(Looked::Quiet) => Some(false),
                Ok(Looked::Busy) => Some(true),
                // Another has looked: whether there is anything to see is as it was.
                Ok(Looked::Others) => None,
                Err(_) => Some(true),
            };
            said("look at alarms", looked);
            looks.ended(seen);
        }
        rest(NOTE.min(every), &crew.end).await;
    }
}

/// Writes down what came and ended until the end.
pub(crate) async fn flush(crew: &Crew) {
    if let Err(error) = patience::ledger(crew.deps.watch.note_flow()).await {
        tracing::debug!(%error, "what came and ended lately is lost with this process");
    }
}

/// When this worker looked last, and whether there was anything to see.
#[derive(Default)]
struct Looks {
    at: Option<Instant>,
    busy: bool,
}

impl Looks {
    fn is_due(&self, every: Duration) -> bool {
        let wait = if self.busy { every } else { every * SELDOM };
        self.at.is_none_or(|at| at.elapsed() >= wait)
    }

    fn ended(&mut self, seen: Option<bool>) {
        self.at = Some(Instant::now());
        self.busy = seen.unwrap_or(self.busy);
    }
}

/// What a look came to.
enum Looked {
    /// It is another's turn.
    Others,
    /// There is nothing that another look soon would see.
    Quiet,
    /// There is.
    Busy,
}

async fn look(crew: &Crew, rules: &mut Rules, every: Duration) -> Result<Looked, LedgerError> {
    let watch = &crew.deps.watch;
    // A turn is a little shorter than the pause between two looks, so that it is over when whoever took it comes again.
    let Some(since) = patience::ledger(watch.take_turn(every.mul_f64(0.9))).await? else {
        return Ok(Looked::Others);
    };
    let Some(rules) = rules.current(crew).await else { return Ok(Looked::Busy) };
    let now = crew.now();
    let seen = judge::Seen {
        now,
        since,
        oldest: if has(rules, AlarmKind::OldestAge) {
            patience::ledger(watch.oldest()).await?
        } else {
            Vec::new()
        },
        flow: match window(rules) {
            Some(window) => patience::ledger(watch.flow(now.minus(window))).await?,
            None => Vec::new(),
        },
        came: if has(rules, AlarmKind::NoTraffic) {
            patience::ledger(watch.last_came()).await?
        } else {
            Vec::new()
        },
    };
    let raised = patience::ledger(watch.raised()).await?;
    let changes = judge::changes(rules, &seen, &raised);
    let busy = has(rules, AlarmKind::NoTraffic)
        || !(seen.oldest.is_empty() && seen.flow.is_empty() && raised.is_empty() && changes.is_empty());
    tell(crew, rules, patience::ledger(watch.change(changes, crew.emit())).await?, now).await?;
    Ok(if busy { Looked::Busy } else { Looked::Quiet })
}

fn has(rules: &[AlarmRule], kind: AlarmKind) -> bool {
    rules.iter().any(|rule| rule.kind == kind && !rule.off)
}

/// The longest span in which outcomes are counted.
fn window(rules: &[AlarmRule]) -> Option<Duration> {
    let spans = rules.iter().filter(|rule| rule.kind == AlarmKind::FailureRatio && !rule.off);
    spans.map(AlarmRule::over).max().map(|span| span.min(FLOW_KEPT))
}

/// Says what was raised and cleared, and counts what is raised.
async fn tell(
    crew: &Crew,
    rules: &[AlarmRule],
    changes: Vec<AlarmChange>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    for change in &changes {
        match change {
            AlarmChange::Raise(raised, _) => {
                tracing::warn!(alarm = raised.alarm, subject = raised.subject, "an alarm is raised");
            }
            AlarmChange::Clear(raised, _) => {
                let lasted = now.since(raised.raised_at).as_secs();
                tracing::info!(
                    alarm = raised.alarm,
                    subject = raised.subject,
                    seconds = lasted,
                    "an alarm is cleared"
                );
            }
            AlarmChange::Calm(..) => {}
        }
    }
    let raised = patience::ledger(crew.deps.watch.raised()).await?;
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    for name in names {
        let count = raised.iter().filter(|one| one.alarm == name).count();
        #[expect(clippy::cast_precision_loss, reason = "a count of alarms is far below 2^52")]
        metrics::ALARMS_RAISED.of(&[("alarm", name)]).set(count as f64);
    }
    Ok(())
}
