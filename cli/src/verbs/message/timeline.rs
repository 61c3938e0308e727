//! A message's whole life, step by step, in words.

use naru_shared::{
    domain::{MessageView, Report, State, Timestamp},
    ledger::{AttemptNote, Dossier, ReportRead},
};
use serde::Serialize;

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// When; `None`: that was not kept, or has not come.
    pub at: Option<Timestamp>,
    /// What, in a word for programs.
    pub what: &'static str,
    /// What, in words.
    pub words: String,
}

impl Step {
    fn new(at: impl Into<Option<Timestamp>>, what: &'static str, words: impl Into<String>) -> Self {
        Self { at: at.into(), what, words: words.into() }
    }
}

/// Everything that is known of a message, in the order in which it happened; what is still to come, last.
#[must_use]
pub fn steps(dossier: &Dossier) -> Vec<Step> {
    let view = &dossier.view;
    let mut past = vec![Step::new(view.accepted_at, "accepted", "accepted by ingress: the queue has it")];
    past.push(match dossier.taken_in_at {
        Some(at) => Step::new(at, "taken-in", taken_in(view)),
        None => Step::new(None, "taken-in", "taken in by a worker; when was not kept"),
    });
    attempts(dossier, &mut past);
    past.extend(dossier.earlier_reports.iter().map(report));
    let mut coming = Vec::new();
    if view.status.is_final() {
        past.push(newest(view));
        read(dossier, &mut past, &mut coming);
    } else {
        coming.push(Step::new(dossier.wake_at, "waits", waiting(dossier)));
    }
    if !dossier.text_kept {
        coming.push(Step::new(None, "erased", "its text was removed and its recipient is masked for good"));
    }
    // What has no moment of its own stays behind what it follows; what shares a millisecond keeps its order.
    let mut last = None;
    let mut keyed: Vec<(Option<Timestamp>, Step)> = past
        .into_iter()
        .map(|step| {
            last = step.at.or(last);
            (last, step)
        })
        .collect();
    keyed.sort_by_key(|(at, _)| *at);
    keyed.into_iter().map(|(_, step)| step).chain(coming).collect()
}

fn taken_in(view: &MessageView) -> String {
    match view.send_at {
        Some(at) => format!("taken in by a worker; to be sent at {at}"),
        None => "taken in by a worker".to_owned(),
    }
}

/// Of each attempt its begin and its end, as far as they were kept.
fn attempts(dossier: &Dossier, steps: &mut Vec<Step>) {
    let view = &dossier.view;
    let mut told = 0;
    for note in &dossier.attempts_log {
        if note.late {
            steps.push(Step::new(note.at, "late-word", late(note)));
            continue;
        }
        if note.attempt > told {
            let begun = format!("attempt {} began{}", note.attempt, label(note.possible_duplicate));
            steps.push(Step::new(note.began_at, "attempt-began", begun));
            told = note.attempt;
        }
        steps.push(Step::new(note.at, word(&note.outcome), ended(note)));
    }
    // The first attempt leaves no note if it is the last as well; the one under way has none yet.
    if view.attempts > told && view.sent_at.is_some() {
        let doubtful = view.attempts > 1 && dossier.possible_duplicate;
        let begun = format!("attempt {} began{}", view.attempts, label(doubtful));
        steps.push(Step::new(view.sent_at, "attempt-began", begun));
    }
    if let Some(at) = dossier.taken_at {
        let id = dossier.backend_id.as_ref().map(|id| format!(", as {id}")).unwrap_or_default();
        let words = format!("attempt 1 was taken{id}: its report comes later");
        steps.push(Step::new(at, "attempt-taken", words));
    }
}

const fn label(possible_duplicate: bool) -> &'static str {
    if possible_duplicate { ", labelled as a possible duplicate" } else { "" }
}

fn word(outcome: &str) -> &'static str {
    if outcome == "sent" { "attempt-taken" } else { "attempt-ended" }
}

fn ended(note: &AttemptNote) -> String {
    let what = match note.outcome.as_str() {
        "sent" => "was taken: its report comes later".to_owned(),
        "not-taken" => "was not taken: it is tried again".to_owned(),
        "uncertain" => "is in doubt: nobody knows whether it was taken".to_owned(),
        "held" => "is in doubt: the message waits for a person".to_owned(),
        code => format!("ended: {code}"),
    };
    if note.attempt == 0 {
        // It waited for its first when something was done with it.
        return format!("before any attempt {what}{}", detail(&note.detail));
    }
    format!("attempt {} {what}{}{}", note.attempt, id(note), detail(&note.detail))
}

fn late(note: &AttemptNote) -> String {
    format!(
        "a late word about attempt {}: {}{}{}",
        note.attempt,
        note.outcome,
        id(note),
        detail(&note.detail)
    )
}

fn id(note: &AttemptNote) -> String {
    note.backend_id.as_ref().map(|id| format!(", the backend's id {id}")).unwrap_or_default()
}

fn detail(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

fn report(report: &Report) -> Step {
    let words = format!(
        "report of revision {}: {} ({}), {}; replaced later",
        report.revision,
        report.status.as_str(),
        report.code.as_str(),
        report.detail
    );
    Step::new(report.final_at, "report", words)
}

fn newest(view: &MessageView) -> Step {
    let words = format!(
        "report of revision {}: {} ({}), {}; {}",
        view.revision,
        view.status.as_str(),
        view.code.map_or("", |code| code.as_str()),
        view.detail.as_deref().unwrap_or_default(),
        if view.charged { "charged" } else { "not charged" }
    );
    Step::new(view.final_at, "report", words)
}

/// Whether the newest report was read, and an earlier one.
fn read(dossier: &Dossier, past: &mut Vec<Step>, coming: &mut Vec<Step>) {
    match dossier.report_read {
        ReportRead::None => {}
        ReportRead::Unread { from, earlier } => {
            let revision = "the customer acknowledged an earlier revision";
            past.extend(earlier.map(|at| Step::new(at, "acknowledged", revision)));
            let words = format!("the report was not acknowledged yet; it is handed out from {from} on");
            coming.push(Step::new(None, "unread", words));
        }
        ReportRead::Read { at: Some(at) } => {
            past.push(Step::new(at, "acknowledged", "the customer acknowledged the report"));
        }
        ReportRead::Read { at: None } => {
            let words = "the customer acknowledged the report; when was not kept";
            coming.push(Step::new(None, "acknowledged", words));
        }
    }
}

fn waiting(dossier: &Dossier) -> String {
    match dossier.view.status {
        State::Ready => format!("waits for its turn; its time is over at {}", dossier.expires_at),
        State::Scheduled => "waits for its time".to_owned(),
        State::Retrying => "is tried again then".to_owned(),
        State::Held => "waits for a person: naru uncertain resolve".to_owned(),
        State::Stopped => "was recalled".to_owned(),
        State::Sending => "an attempt is under way".to_owned(),
        State::Sent => "its delivery report has not come; it is asked for, or given up, then".to_owned(),
        _ => "is on its way".to_owned(),
    }
}
